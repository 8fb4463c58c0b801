"""One optimisation over two processes: each sees half of a step's images, and both end as one alone does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import parallel_run

HELPERS = Path(__file__).parent / "helpers"


def two_processes(model: Path, out: Path, images_per_step: int) -> list[dict]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [HELPERS / "parallel_run.py", model, out, images_per_step]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HELPERS.parents[1])}
    done = subprocess.run([str(word) for word in command], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [torch.load(out / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.slow
def test_two_processes_learn_what_one_does(tiny_sd, tiny_sd_folder, tmp_path):
    alone = parallel_run.learn(tiny_sd, 4)
    found = two_processes(tiny_sd_folder, tmp_path, 4)
    for name, expected in alone.items():
        assert torch.equal(found[0][name], found[1][name])
        assert torch.allclose(found[0][name], expected, atol=1e-5, rtol=0), name


@pytest.mark.slow
def test_more_processes_than_images_of_a_step_are_refused(tiny_sd_folder, tmp_path):
    told = [one["error"] for one in two_processes(tiny_sd_folder, tmp_path, 1)]
    assert told == ["images_per_step is 1, expected at least one for each of 2 processes"] * 2


@pytest.mark.slow
def test_48_two_processes_are_stopped_and_killed_together_and_go_on_to_the_same_numbers(
    tiny_sd_folder, tmp_path
):
    """A signal in the second stops both behind one step; the first alone writes, and both go on from that."""
    command = [sys.executable, HELPERS / "killed_pair.py", tiny_sd_folder, tmp_path]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run([str(word) for word in command], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [one["status"] for one in told["stopped"]] == [143, 143]
    assert [one["status"] for one in told["killed"]] == [137, 1], "the second cannot go on alone"
    assert all("lock: held by process" in one["error"] for one in told["held"])
    assert [one["resumed"] for one in told["last"]] == [2, 2]
    assert [{**one, "resumed": 0} for one in told["last"]] == told["undisturbed"]
    assert told["last"][0] == told["last"][1]
