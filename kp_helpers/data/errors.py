"""The errors of the data layer, and the sentences for an unknown name and for a wrong field."""

import difflib
from collections.abc import Sequence

from pydantic import ValidationError


class DataError(ValueError):
    """Input that cannot be used; the sentence names file or field, what was found and what was expected."""


class DamagedImage(DataError):
    """A file that is no whole image: empty, of another kind, or cut off; loaders can be told to skip it."""


class ImageProblems(DataError):
    """Images of a data set that cannot be used. damaged: whether a loader can be told to skip some."""

    def __init__(self, message: str, damaged: bool):
        super().__init__(message)
        self.damaged = damaged


def known(name: str, names: Sequence[str], field: str) -> str:
    """`name` if it is one of `names`, else a DataError that says the nearest."""
    if name not in names:
        near = difflib.get_close_matches(str(name), names, 1, 0)
        hint = f", did you mean {near[0]!r}?" if near else "."
        raise DataError(f"{field} {name!r} is unknown{hint} Known: {', '.join(names)}")
    return name


def sentence(where: str, error: ValidationError) -> str:
    """The first problem that pydantic found: the field, what it is, and what was expected."""
    first = error.errors(include_url=False)[0]
    field = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in first["loc"]).lstrip(".")
    if first["type"] == "missing":
        return f"{where}: has no {field}, expected it"
    expected = first["msg"].partition(" or instance of")[0]
    return f"{where}: {field or 'it'} is {repr(first['input'])[:80]}: {expected}"
