"""Notebooks as they are kept: no outputs, ruff's order, the python3 kernel, one parameters cell."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FIXTURES = [
    *sorted((ROOT / "notebooks" / "app").glob("*.ipynb")),
    *sorted((ROOT / "tests" / "data" / "notebooks").glob("*.ipynb")),
]
COMMON = {"model", "data", "seed", "profile", "run", "results"}

for_each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
for_all = pytest.mark.parametrize("path", NOTEBOOKS + FIXTURES, ids=lambda path: path.stem)


def command(*arguments) -> None:
    done = subprocess.run([sys.executable, "-m", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_outputs_are_kept():
    command("nbstripout", "--verify", *NOTEBOOKS, *FIXTURES)


@for_all
def test_the_kernel_is_python3(path):
    assert json.loads(path.read_text())["metadata"]["kernelspec"]["name"] == "python3"


def test_ruff_finds_nothing():
    command("ruff", "check", *NOTEBOOKS, *FIXTURES)
    command("ruff", "format", "--check", *NOTEBOOKS, *FIXTURES)


@for_each
def test_one_cell_holds_the_parameters_and_only_plain_values(path):
    cells = json.loads(path.read_text())["cells"]
    tagged = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    assert len(tagged) == 1 and tagged[0]["cell_type"] == "code"
    values = {}
    for statement in ast.parse("".join(tagged[0]["source"])).body:
        assert isinstance(statement, ast.Assign | ast.AnnAssign), ast.unparse(statement)
        target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
        values[target.id] = ast.literal_eval(statement.value)
    assert values.keys() >= COMMON, f"no parameter {sorted(COMMON - values.keys())}"
    assert all(isinstance(value, str | int | float | bool) for value in values.values())
