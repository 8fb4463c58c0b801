"""A sweep that is killed and goes on, in two copies of the package in folders of other names."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from kp_helpers import config

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def told(tiny_sd_folder, tiny_threedpw, tmp_path_factory) -> list[dict]:
    """What the same work told that ran with each copy, undisturbed and killed twice."""
    return [
        work(tmp_path_factory.mktemp(name), tiny_sd_folder, tiny_threedpw)
        for name in ("first", "a second clone")
    ]


def work(clone: Path, model: Path, data: Path) -> dict:
    shutil.copytree(
        ROOT / "kp_helpers", clone / "kp_helpers", ignore=shutil.ignore_patterns("__pycache__", "model")
    )
    command = [sys.executable, ROOT / "tests" / "helpers" / "killed_sweep.py", model, data, clone / "kept"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(clone)}
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert Path(found["package"]).is_relative_to(clone), "this copy was at work, and no installed one"
    return found


def test_48_a_sweep_that_was_killed_twice_goes_on_to_the_same_predictions(told):
    """Each step of the base, of two variants and of a run of its own has a file; killed after 5 and 4."""
    steps = 3 + 3 * config.profile("smoke").appended.steps
    for own in told:
        *killed, last = own["killed"]
        assert [one["status"] for one in killed] == [137, 137] and last["status"] == 0
        assert own["undisturbed"]["files"] == steps and last["files"] == steps - 5 - 4
        assert last | {"files": steps} == own["undisturbed"]


def test_a_second_clone_has_the_same_hashes_and_names_of_checkpoints(told):
    first, second = told
    assert first["package"] != second["package"]
    assert first["undisturbed"] == second["undisturbed"] and len(first["undisturbed"]["folders"]) == 4
