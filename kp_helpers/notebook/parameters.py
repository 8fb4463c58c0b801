"""The parameters of a notebook, given as text and checked by name and type before its kernel starts."""

import ast
import difflib
from pathlib import Path

_FROM_OUT_DIR = ("results", "run")


class ReproduceError(RuntimeError):
    """A notebook that cannot be run, or a run that failed; the sentence says which, where and why."""


def checked_parameters(notebook: Path, texts: dict[str, str]) -> dict:
    """Texts by name as values of the types that the notebook's defaults have."""
    import papermill  # slow to import, and not needed for --help

    if not notebook.is_file():
        raise ReproduceError(f"{notebook}: no such notebook")
    try:
        known = papermill.inspect_notebook(str(notebook))
    except Exception as error:  # nbformat and papermill raise many types on a damaged file
        raise ReproduceError(f"{notebook.name}: cannot be read as a notebook ({error})") from None
    for name in _FROM_OUT_DIR:
        if name not in known:
            raise ReproduceError(
                f"{notebook.name}: its parameters cell has no {name!r}, found {sorted(known)}"
            )
        if name in texts:
            raise ReproduceError(f"parameter {name!r} follows from OUT_DIR and cannot be given beside it")
    return {name: _value(name, text, known) for name, text in texts.items()}


def _value(name: str, text: str, known: dict):
    if not name.isidentifier():
        raise ReproduceError(f"parameter name {name!r} is no identifier")
    if name not in known:
        near = difflib.get_close_matches(name, known, 1, 0)
        raise ReproduceError(f"parameter {name!r} is unknown, did you mean {near[0]!r}?")
    try:
        default = ast.literal_eval(known[name]["default"])
    except (ValueError, SyntaxError):
        raise ReproduceError(
            f"parameter {name!r}: its default {known[name]['default']} is no plain value"
        ) from None
    try:
        return _parsed(text, type(default))
    except (ValueError, SyntaxError):
        kind = type(default).__name__
        raise ReproduceError(
            f"parameter {name!r} is {text!r}, expected {kind} as its default {default!r}"
        ) from None


def _parsed(text: str, kind: type):
    """Text as it is, as an int or a float, or as a literal of the type; ValueError for anything else."""
    if kind in (str, int, float):
        return kind(text)
    value = ast.literal_eval(text.capitalize() if kind is bool else text)
    if not isinstance(value, kind):
        raise ValueError(text)
    return value
