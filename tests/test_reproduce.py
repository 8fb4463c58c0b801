"""Running one notebook: what is refused, what counts as failed, and that a failure leaves results alone."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kp_helpers.reproduce import ReproduceError, main, run_notebook

NOTEBOOKS = Path(__file__).parent / "data" / "notebooks"


def contents(folder: Path) -> dict:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_run_gives_its_product_and_its_notebook(tmp_path):
    given = {"seed": "7", "rate": "1e-3", "fast": "true", "label": 'x"; 1/0'}
    (tmp_path / "happy").mkdir()
    (tmp_path / "happy" / "quick.failed.ipynb").write_text("{}")
    product = run_notebook(NOTEBOOKS / "happy.ipynb", tmp_path / "happy" / "quick", given)
    assert product == tmp_path / "happy" / "quick" / "metrics.json"
    assert json.loads(product.read_text()) == {"seed": 7, "rate": 0.001, "fast": True, "label": 'x"; 1/0'}
    assert f"seed 7, saved under {tmp_path}" in (product.parent / "notebook.ipynb").read_text()
    assert [path.name for path in product.parent.parent.iterdir()] == ["quick"], (
        "a good run clears a failed one"
    )
    config = json.loads((product.parent / "config.json").read_text())
    command = "python -m kp_helpers.reproduce tests/data/notebooks/happy.ipynb results/happy/quick -p seed 7"
    assert config.keys() == {"settings", "command", "commit", "minutes", "memory_gb"}
    assert config["command"].startswith(command)
    assert re.fullmatch(r"([0-9a-f]{12,}(-dirty)?)?", config["commit"])
    assert 0 <= config["minutes"] < 10 and 0 < config["memory_gb"] < 100
    with pytest.raises(ReproduceError, match="quick exists: choose another run, or give --overwrite"):
        run_notebook(NOTEBOOKS / "happy.ipynb", product.parent)


def test_a_notebook_says_nothing_of_the_machine(tmp_path, monkeypatch):
    monkeypatch.setattr("kp_helpers.reproduce.project_path", lambda path: tmp_path / path)
    product = run_notebook(NOTEBOOKS / "happy.ipynb", tmp_path / "results" / "happy" / "quick")
    page = (product.parent / "notebook.ipynb").read_text()
    assert "saved under results" in page and str(tmp_path) not in page


def test_the_working_directory_changes_nothing(tmp_path):
    command = [sys.executable, "-m", "kp_helpers.reproduce", NOTEBOOKS / "happy.ipynb"]
    done = subprocess.run(
        [*command, "happy/a", "-p", "seed", "3"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "happy" / "a" / "metrics.json").read_text())["seed"] == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("exits", "FAILED, cell 2 ended with SystemExit"),
        ("killed", "FAILED, .*(DeadKernel|died|was not run)"),
        ("fails", "FAILED, .*the cell says why"),
        ("no_product", "FAILED, it ran to its end but saved no metrics.json"),
    ],
)
def test_a_failed_run_says_so_and_leaves_the_results_before(name, message, tmp_path):
    old = tmp_path / name / "quick"
    old.mkdir(parents=True)
    (old / "metrics.json").write_text("[]")
    before = contents(old)
    with pytest.raises(ReproduceError, match=f"(?s){name}.ipynb: {message}"):
        run_notebook(NOTEBOOKS / f"{name}.ipynb", old, {"seed": "1"}, overwrite=True)
    assert contents(old) == before
    assert {path.name for path in old.parent.iterdir()} <= {"quick", "quick.failed.ipynb"}


def test_a_cell_that_takes_too_long_is_a_failure(tmp_path):
    with pytest.raises(ReproduceError, match=r"slow.ipynb: FAILED, .*(?i:time)"):
        run_notebook(NOTEBOOKS / "slow.ipynb", tmp_path / "slow" / "quick", timeout=2)
    assert not (tmp_path / "slow" / "quick").exists()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sed": "1"}, "parameter 'sed' is unknown, did you mean 'seed'?"),
        ({"seed\nimport os": "1"}, "is no identifier"),
        ({"seed": "ten"}, "parameter 'seed' is 'ten', expected int as its default 0"),
        ({"rate": "fast"}, "parameter 'rate' is 'fast', expected float"),
        ({"fast": "yes"}, "parameter 'fast' is 'yes', expected bool"),
        ({"results": "/elsewhere"}, "parameter 'results' follows from OUT_DIR"),
    ],
)
def test_wrong_parameters_are_refused_before_anything_runs(given, message, tmp_path):
    with pytest.raises(ReproduceError) as caught:
        run_notebook(NOTEBOOKS / "happy.ipynb", tmp_path / "happy" / "quick", given)
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_missing_kernel_names_the_command(tmp_path):
    with pytest.raises(ReproduceError, match=r"kernel 'nowhere' is not installed: .*ipykernel install"):
        run_notebook(NOTEBOOKS / "happy.ipynb", tmp_path / "happy" / "quick", kernel="nowhere")


def test_files_that_are_no_notebook_are_named(tmp_path, capsys):
    broken = tmp_path / "broken.ipynb"
    broken.write_text("<html>")
    bare = tmp_path / "bare.ipynb"
    shutil.copy(NOTEBOOKS / "happy.ipynb", bare)
    bare.write_text(bare.read_text().replace('"parameters"', '"other"'))
    assert main([str(tmp_path / "none.ipynb"), str(tmp_path / "none" / "a")]) == 1
    assert main([str(broken), str(tmp_path / "broken" / "a")]) == 1
    assert main([str(bare), str(tmp_path / "bare" / "a")]) == 1
    errors = capsys.readouterr().err
    assert "none.ipynb: no such notebook" in errors
    assert "broken.ipynb: cannot be read as a notebook" in errors
    assert "bare.ipynb: its parameters cell has no 'results', found []" in errors


def test_a_parameter_given_twice_is_refused(tmp_path, capsys):
    twice = ["-p", "seed", "1", "-p", "seed", "2"]
    assert main([str(NOTEBOOKS / "happy.ipynb"), str(tmp_path / "happy" / "a"), *twice]) == 1
    assert "parameter 'seed' is given twice: '1' and '2'" in capsys.readouterr().err
