"""Names say the thing: no binding has one of the words that name everything."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1] / "kp_helpers"
BANNED = {"found", "own", "one", "given", "kept", "asked", "shown", "seen", "told", "every", "wanted"}
HELD = ("results/*", "notebook/*", "notebook/sweeps/*", "notebook/display/*", "metrics/paper", "reproduce")
HELD += ("store", "config/randomness", "config/command", "config/profiles")
"""The files that are held to it so far."""


def bindings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name


def test_no_binding_has_a_name_that_says_nothing():
    files = {path for pattern in HELD for path in ROOT.glob(f"{pattern}.py")}
    assert len(files) > 20
    assert not [(path.name, name) for path in files for name in bindings(path) if name in BANNED]
