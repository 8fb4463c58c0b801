"""Sweeps through Snakemake: two at once with jobs that are killed, a stand-in cluster, Slurm's dry run."""

import os
import random
import re
import signal
import subprocess
import sys
import time
from contextlib import suppress

import psutil
import pytest
from helpers import tiny_sweep

from kp_helpers.notebook.sweeps import plan

SCRIPT = tiny_sweep.ROOT / "tests" / "helpers" / "stand_in_cluster.py"
CANCEL = """echo "cancel $*" >> "$STAND_IN/log"
for job; do kill -TERM "-$job"; done"""
"""In shell alone: Snakemake gives it two seconds, which the start of a Python may take on a busy machine."""

pytestmark = pytest.mark.slow


def sizes(folder):
    return {path.name: path.stat().st_size for path in (folder / "build" / "cache").glob("*.safetensors")}


def test_a_sweep_with_killed_jobs_is_the_undisturbed_one(tmp_path, tiny_sd, tiny_threedpw):
    """A quarter of the jobs die once, by SIGKILL, a random time after their start.

    SWEEP_SEEDS=5 in the environment makes 20 jobs of the four.
    """
    settings = {mode: {"appended": {"mode": mode}} for mode in ("coupled", "readout")}
    seeds = list(range(int(os.environ.get("SWEEP_SEEDS", "1"))))
    file = tiny_sweep.make(tmp_path, tiny_sd, tiny_threedpw, settings=settings, seeds=seeds)
    names = [job.name for job in plan.read(file)]
    drawn = random.Random(0)
    victims = {name: drawn.uniform(0, 8) for name in drawn.sample(names, len(names) // 4)}
    path = tiny_sweep.killer(tmp_path / "killer", victims)
    process = tiny_sweep.snakemake(tmp_path, "--cores", "2", path=path)
    told, _ = process.communicate()
    assert process.returncode == 0, told
    assert {mark.stem for mark in path.glob("*.killed")} == set(victims)
    tiny_sweep.undisturbed(file, tmp_path / "undisturbed")
    found = tiny_sweep.contents(tmp_path / "results")
    assert sorted(found) == sorted(names), "all of them, and none twice"
    assert found == tiny_sweep.contents(tmp_path / "undisturbed")
    assert sizes(tmp_path), "read-out jobs shared what was kept"
    again = tiny_sweep.snakemake(tmp_path, "--cores", "2")
    assert "Nothing to be done" in again.communicate(timeout=120)[0]


def cluster(folder) -> list[str]:
    """Snakemake's options for a stand-in cluster of two places, whose commands are made in a folder."""
    options = ["--executor", "cluster-generic", "--jobs", "2", "--latency-wait", "30"]
    options += ["--seconds-between-status-checks", "5"]
    texts = {name: f'exec "{sys.executable}" "{SCRIPT}" {name} "$@"' for name in ("submit", "status")}
    texts["cancel"] = CANCEL
    for name, text in texts.items():
        command = folder / name
        command.write_text(f"#!/bin/sh\n{text}\n")
        command.chmod(0o755)
        options += [f"--cluster-generic-{name}-cmd", command]
    return options


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    """The stand-in cluster's folder; what was submitted and still runs is ended after the test."""
    monkeypatch.setenv("STAND_IN", str(tmp_path))
    yield tmp_path
    for job in submitted(tmp_path):
        with suppress(ProcessLookupError):
            os.killpg(int(job), signal.SIGKILL)


def submitted(folder) -> list[str]:
    log = folder / "log"
    return re.findall(r"^submit (\d+)$", log.read_text(), re.M) if log.is_file() else []


def asked_for(folder) -> set[str]:
    """The jobs whose status was asked for, so that Snakemake knows their numbers and can cancel them."""
    log = folder / "log"
    return set(re.findall(r"^status (\d+)$", log.read_text(), re.M)) if log.is_file() else set()


def running(job: str) -> list[str]:
    """Command lines of a job's processes; one that has ended counts no more, read by its parent or not."""
    own = []
    for process in psutil.process_iter():
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(process.pid) == int(job) and process.status() != psutil.STATUS_ZOMBIE:
                own.append(" ".join(process.cmdline()))
    return own


def interrupted(process) -> str:
    """What Snakemake told until it ended by SIGINT, which is sent again where it was not heard."""
    for _ in range(4):
        process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            return process.communicate(timeout=40)[0]
    raise AssertionError("Snakemake goes on after four SIGINTs")


def test_a_cluster_is_asked_to_submit_tell_and_cancel(tmp_path, stand_in, tiny_sd, tiny_threedpw):
    file = tiny_sweep.make(tmp_path, tiny_sd, tiny_threedpw, seeds=[0], settings={"coupled": {}})
    process = tiny_sweep.snakemake(tmp_path, *cluster(tmp_path))
    until = time.monotonic() + 120
    while len(asked_for(tmp_path)) < 2 and time.monotonic() < until:
        time.sleep(0.2)
    time.sleep(1)  # while it asks, Snakemake forgets which jobs there are to cancel
    told = interrupted(process)
    first = submitted(tmp_path)
    cancelled = re.findall(r"^cancel (.*)$", (tmp_path / "log").read_text(), re.M)
    assert process.returncode != 0 and sorted(" ".join(cancelled).split()) == sorted(first), told
    until = time.monotonic() + 60  # a job may take a while to end well
    while any(running(job) for job in first) and time.monotonic() < until:
        time.sleep(0.2)
    assert not [own for job in first for own in running(job)]
    assert not list(tmp_path.glob("results/sweeps/tiny/[a-z]*/metrics.json"))
    process = tiny_sweep.snakemake(tmp_path, *cluster(tmp_path))
    told, _ = process.communicate(timeout=300)
    assert process.returncode == 0, told
    second = submitted(tmp_path)[len(first) :]
    log = (tmp_path / "log").read_text()
    assert len(second) == 2 and all(f"status {job}\n" in log for job in second)
    tiny_sweep.undisturbed(file, tmp_path / "undisturbed")
    assert tiny_sweep.contents(tmp_path / "results") == tiny_sweep.contents(tmp_path / "undisturbed")


def test_slurm_would_be_given_every_job(tmp_path, tiny_sd, tiny_threedpw):
    tiny_sweep.make(tmp_path, tiny_sd, tiny_threedpw)
    profile = tiny_sweep.ROOT / "profiles" / "slurm"
    process = tiny_sweep.snakemake(tmp_path, "--profile", profile, "--dry-run")
    told, _ = process.communicate(timeout=120)
    assert process.returncode == 0, told
    counts = dict(re.findall(r"^(job|sweep)\s+(\d+)$", told, re.M))
    assert counts == {"job": "8", "sweep": "1"}
    assert "mem_mb=4005" in told and "runtime=16" in told, "a tiny model and few steps"


def test_without_data_a_sweep_makes_the_world_of_its_profile(tmp_path, tiny_sd):
    tiny_sweep.make(tmp_path, tiny_sd, "")
    told, _ = tiny_sweep.snakemake(tmp_path, "--cores", "1", "--dry-run").communicate(timeout=120)
    assert re.search(r"rule world:\s+output: build/figures-smoke/manifest.json", told), told


def test_a_base_that_no_rule_would_make_is_named(tmp_path, tiny_sd):
    tiny_sweep.make(tmp_path, tiny_sd, "", base="")
    process = tiny_sweep.snakemake(tmp_path, "--cores", "1", "--dry-run")
    told, _ = process.communicate(timeout=120)
    assert process.returncode != 0
    assert "sweep 'tiny': results/02_stable_keypoints/smoke/embedding.safetensors is missing" in told
    assert "make it with `make sweep PROFILE=smoke`, or name another as `base`" in told


def test_a_wrong_file_stops_before_any_job(tmp_path):
    (tmp_path / "sweeps.yaml").write_text("tiny: {joints: [head], setting: {}}")
    process = tiny_sweep.snakemake(tmp_path, "--cores", "1")
    told, _ = process.communicate(timeout=120)
    assert process.returncode != 0 and not (tmp_path / "results").exists()
    assert "sweep 'tiny': Sweep has no setting 'setting'; the nearest is 'settings'" in told


def test_make_sweep_ends_with_the_table(tmp_path):
    """Both targets are known, and end with the table of what is missing."""
    for target in ("sweep", "sweep-slurm"):
        done = subprocess.run(
            ["make", target, "--dry-run", "SWEEP=targets"],
            cwd=tiny_sweep.ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0 and "sweep=targets" in done.stdout, done.stderr
        assert "kp_helpers.notebook.sweeps summary targets" in done.stdout
