"""Names say the thing: none of the words that name everything, see "A private dialect" in the style guide."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1] / "kp_helpers"
BANNED = set(["found", "own", "one", "given", "kept", "asked", "shown", "seen", "told", "every", "wanted"])
PLAIN = (
    "results",
    "metrics/paper.py",
    "notebook/sweeps",
    "notebook/display",
    "notebook/*.py",
    "reproduce.py",
)
PLAIN += ("store.py", "randomness.py")
"""What is held to it so far: files, and folders with all below them."""


def bindings(path: Path) -> list[str]:
    """What a file binds: variables, arguments, attributes of classes, functions."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.append(node.id)
        elif isinstance(node, ast.arg):
            names.append(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
    return names


def test_no_binding_has_a_banned_name():
    paths = [path for pattern in PLAIN for path in ROOT.glob(pattern)]
    files = [file for path in paths for file in ([path] if path.is_file() else path.rglob("*.py"))]
    assert len(files) > 20
    banned = {
        f"{path.relative_to(ROOT)}: {name}" for path in files for name in bindings(path) if name in BANNED
    }
    assert not banned
