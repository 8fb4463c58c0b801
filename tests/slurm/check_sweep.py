"""Four jobs on a real Slurm, one of them cancelled and done again; the results are this process's.

`make test-slurm`; as root it begins a cluster of this one machine, with accounting and without.
"""

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from helpers import tiny_sweep

HERE = Path(__file__).parent
PROFILE = tiny_sweep.ROOT / "profiles" / "slurm"
MISSING = "Slurm is not installed: apt install slurm-wlm munge"
NEEDED = ("sbatch", "slurmctld", "slurmd", "munged")

pytestmark = [
    pytest.mark.skipif(not all(map(shutil.which, NEEDED)), reason=MISSING),
    pytest.mark.skipif(os.getuid() != 0, reason="a cluster of its own is begun as root"),
]


@pytest.fixture(params=["", "accounting"])
def cluster(request, tmp_path):
    """A running Slurm; all its jobs and daemons end with the test."""
    if request.param and not all(map(shutil.which, ("slurmdbd", "mariadbd"))):
        pytest.skip("accounting needs slurmdbd and mariadb-server")
    arguments = [*filter(None, [request.param]), tmp_path / "slurm"]
    subprocess.run([HERE / "start.sh", *arguments], check=True, timeout=120)
    yield
    subprocess.run(["scancel", "--user", "root"], check=False)
    subprocess.run([HERE / "stop.sh"], check=True)


def launched(folder: Path) -> subprocess.Popen:
    often = ("--slurm-init-seconds-before-status-checks", "5", "--seconds-between-status-checks", "5")
    return tiny_sweep.snakemake(folder, "--profile", PROFILE, "--jobs", "2", *often)


def running() -> list[str]:
    """Slurm's numbers of the jobs that run now."""
    command = ["squeue", "--noheader", "--states", "RUNNING", "--format", "%A"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


def test_a_cancelled_job_is_done_again(cluster, tmp_path, tiny_sd, tiny_threedpw):
    file = tiny_sweep.make(tmp_path, tiny_sd, tiny_threedpw, seeds=[0])
    first = launched(tmp_path)
    until = time.monotonic() + 120
    while not (found := running()) and first.poll() is None and time.monotonic() < until:
        time.sleep(0.2)
    subprocess.run(["scancel", *found[:1]], check=True)
    told = first.communicate(timeout=900)[0]
    assert first.returncode == 0 and found, told
    assert "Trying to restart job" in told and f"SLURM-job '{found[0]}'" in told, told
    tiny_sweep.undisturbed(file, tmp_path / "undisturbed")
    assert tiny_sweep.contents(tmp_path / "results") == tiny_sweep.contents(tmp_path / "undisturbed")
    assert "Nothing to be done" in launched(tmp_path).communicate(timeout=120)[0]
