"""Notebooks as they are kept: outputs of their code, order, kernel, a parameters cell and a set-up cell."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest

from kp_helpers.results.found import answered
from kp_helpers.results.publish import COMMAND, FACTS, LIMIT, stale

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
FIXTURES = [
    *sorted((ROOT / "notebooks" / "app").glob("*.ipynb")),
    *sorted((ROOT / "tests" / "data" / "notebooks").glob("*.ipynb")),
]
REPOSITORY = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Repository"]
COMMON = {"model", "data", "seed", "profile", "run", "results"}

for_each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
for_all = pytest.mark.parametrize("path", NOTEBOOKS + FIXTURES, ids=lambda path: path.stem)


def command(*arguments) -> None:
    done = subprocess.run([sys.executable, "-m", *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@for_each
def test_outputs_are_those_of_the_code(path):
    page = nbformat.read(path, as_version=4)
    problem = stale(path)
    assert not problem, problem
    assert path.stat().st_size <= LIMIT
    if FACTS not in page.metadata:
        assert not [cell for cell in page.cells if cell.get("outputs")], f"run `{COMMAND} {path.stem}`"
        return
    config = json.loads((ROOT / page.metadata[FACTS]["run"] / "config.json").read_text())
    assert page.metadata[FACTS]["model_sha256"] == config["model"]["sha256"]
    for cell in page.cells:
        if "found_here(" in cell.source and cell.cell_type == "code":
            told, _ = answered(path.stem, ROOT / "results")
            assert cell.outputs[0].data["text/markdown"] == told, f"run `{COMMAND} {path.stem}`"


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: path.stem)
def test_other_notebooks_have_no_outputs(path):
    assert not [cell for cell in json.loads(path.read_text())["cells"] if cell.get("outputs")]


@for_each
def test_a_click_opens_it_elsewhere_and_its_first_code_installs_what_is_missing(path):
    title, setup, *rest = nbformat.read(path, as_version=4).cells
    owner = REPOSITORY.removeprefix("https://github.com/")
    for where in (f"colab.research.google.com/github/{owner}/blob/main", f"mybinder.org/v2/gh/{owner}/HEAD"):
        assert re.search(rf"\]\(https://{where}\S*/{path.name}\)", title.source), where
    assert setup.metadata["tags"] == ["setup", "remove-cell"] and f'"{REPOSITORY}"' in setup.source
    assert setup.source == nbformat.read(NOTEBOOKS[0], as_version=4).cells[1].source
    assert not [cell for cell in rest if "setup" in cell.metadata.get("tags", ())]


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
