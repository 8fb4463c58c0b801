"""Faults while a run is under way, each test named by its row: kills, full disks, second runs, signals."""

import errno
import json
import os
import resource
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from helpers.plain_stage import SETTINGS, PlainStage

from kp_helpers import embeddings
from kp_helpers.reproduce import ReproduceError, run_notebook
from kp_helpers.results import Metric, RunFolder
from kp_helpers.stages import OptimisationError, Run, states
from kp_helpers.stages.states import CheckpointError
from kp_helpers.store import HeldError, held, replace_file

NEWEST = "state.safetensors"
HELPERS, NOTEBOOKS = Path(__file__).parent / "helpers", Path(__file__).parent / "data" / "notebooks"
ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def told(tiny_sd_folder, tmp_path_factory, warm_python) -> dict:
    """What runs in processes of their own told that were left alone, killed and stopped."""
    command = [warm_python, HELPERS / "killed_run.py", tiny_sd_folder, tmp_path_factory.mktemp("killed")]
    done = subprocess.run(command, capture_output=True, text=True, env=ONE_THREAD)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def as_undisturbed(told: dict, last: dict) -> bool:
    return all(last[key] == told["undisturbed"][key] for key in ("embedding", "records"))


def contents(folder: Path) -> dict:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def files_of_at_most(size: int):
    """As on a disk that is full when a file has `size` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_48_five_kills_at_random_steps_change_not_one_bit(told):
    *killed, last = told["killed"]
    assert [run["status"] for run in killed] == [137] * 5 and last["status"] == 0
    assert 0 < last["resumed"] < len(last["records"]) and as_undisturbed(told, last)


def test_49_a_kill_while_a_state_is_written_leaves_the_one_before(told):
    killed, last = told["while writing"]
    assert killed["status"] == 137 and len(told["left"]) == 1, "half a file was there"
    assert last["resumed"] == 5 and as_undisturbed(told, last)


@pytest.fixture
def half_way(tiny_sd, tmp_path, monkeypatch) -> Run:
    """A run that was stopped after step 6, with the states of steps 5 and 6 in its folder."""
    monkeypatch.setattr(states, "EVERY", 0.0)
    run = Run(PlainStage(tiny_sd), tmp_path / "kept")
    for _ in run:
        if run.step == 6:
            break
    assert {path.name for path in run.states.folder.glob("*.safetensors")} == {NEWEST, "before.safetensors"}
    return run


DAMAGES = {
    "empty": lambda data: b"",
    "truncated": lambda data: data[: len(data) // 2],
    "a number flipped": lambda data: data[:-3] + bytes([data[-3] ^ 1]) + data[-2:],
    "a setting flipped": lambda data: data.replace(b"learning_rate", b"learning_rats", 1),
    "a page": lambda data: b"<html>" * 100,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_50_a_damaged_newest_state_is_told_and_the_one_before_used(damage, half_way, tiny_sd, tmp_path):
    newest = half_way.states.folder / NEWEST
    newest.write_bytes(DAMAGES[damage](newest.read_bytes()))
    with pytest.warns(UserWarning, match=r"state.safetensors: damaged \(.*the one before it is used"):
        run = Run(PlainStage(tiny_sd), tmp_path / "kept")
    expected = Run(PlainStage(tiny_sd))
    every = list(expected)
    assert run.resumed == 5 and list(run) == every[5:] and torch.equal(run.result, expected.result)


def test_51_a_changed_setting_has_a_folder_of_its_own_and_a_state_in_the_wrong_one_is_refused(
    half_way, tiny_sd, tmp_path
):
    changed = PlainStage(tiny_sd, SETTINGS.replace(learning_rate=0.2))
    other = Run(changed, tmp_path / "kept")
    assert other.resumed == 0 and other.states.folder != half_way.states.folder
    half_way.states.folder.rename(other.states.folder)
    with pytest.raises(OptimisationError, match="the state belongs to other settings"):
        Run(changed, tmp_path / "kept")


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_52_a_signal_ends_a_run_that_goes_on_later(name, status, told):
    stopped, last = told[name]
    assert stopped["status"] == status
    assert last["resumed"] == 3 and as_undisturbed(told, last)


@pytest.mark.parametrize("size", [0, 100, 1000])
def test_53_a_full_disk_at_a_state_leaves_the_one_before(size, half_way, tiny_sd, tmp_path):
    before = (half_way.states.folder / NEWEST).read_bytes()
    run = Run(PlainStage(tiny_sd), tmp_path / "kept")
    with (
        pytest.raises(CheckpointError, match=r"state.safetensors: cannot be written \(File too large\)"),
        files_of_at_most(size),
    ):
        list(run)
    assert before in contents(run.states.folder).values()
    assert not list(run.states.folder.glob(".*")), "no temporary file"
    assert Run(PlainStage(tiny_sd), tmp_path / "kept").resumed == 6


WRITES = {
    "metrics.json": lambda folder: folder.metrics([Metric(name="error", value=1.0, n=2)] * 50),
    "embedding.safetensors": lambda folder: embeddings.save(
        folder.file("embedding.safetensors"),
        {"base": torch.ones(20, 30)},
        dict.fromkeys(embeddings.METADATA),
    ),
}


@pytest.mark.parametrize("write", WRITES)
def test_53_a_full_disk_at_a_result_leaves_the_run_before(write, tmp_path):
    with RunFolder(tmp_path, "08_evaluate_3dpw", "quick") as folder:
        WRITES[write](folder)
    before = contents(tmp_path)
    for size in (0, 1000):
        with (
            pytest.raises(OSError, match=f"File too large: .*{write}"),
            files_of_at_most(size),
            RunFolder(tmp_path, "08_evaluate_3dpw", "quick", overwrite=True) as folder,
        ):
            WRITES[write](folder)
        assert contents(tmp_path) == before
        assert [path.name for path in (tmp_path / "08_evaluate_3dpw").iterdir()] == ["quick"]


def test_53_a_full_disk_leaves_a_file_as_it_was(tmp_path):
    path = replace_file(tmp_path / "a.json", lambda partial: partial.write_bytes(b"1" * 100))
    with pytest.raises(OSError, match=f"File too large: '{path}'"), files_of_at_most(50):
        replace_file(path, lambda partial: partial.write_bytes(b"2" * 100))
    assert path.read_bytes() == b"1" * 100 and list(tmp_path.iterdir()) == [path]


def test_54_a_second_run_on_the_same_states_names_the_first(half_way, tiny_sd, tmp_path):
    before = contents(half_way.states.folder)
    second = Run(PlainStage(tiny_sd), tmp_path / "kept")
    with (
        held(half_way.states.folder / "lock"),
        pytest.raises(HeldError, match=f"lock: held by process {os.getpid()} on "),
    ):
        list(second)
    assert contents(half_way.states.folder) == before


def test_56_a_loss_that_is_nan_keeps_the_last_good_state_on_disk(tiny_sd, tmp_path):
    with pytest.raises(OptimisationError, match="step 7: the loss nan"):
        list(Run(PlainStage(tiny_sd, spoilt_at=7), tmp_path / "kept"))
    run = Run(PlainStage(tiny_sd), tmp_path / "kept")
    assert run.resumed == 7 and len(list(run)) == 5 and torch.isfinite(run.result).all()


@pytest.fixture
def notebook_at_work(tmp_path):
    """`reproduce` in a process of its own, in the middle of a cell that sleeps for minutes."""
    old = tmp_path / "slow" / "quick"
    old.mkdir(parents=True)
    (old / "metrics.json").write_text("[]")
    command = [sys.executable, "-m", "kp_helpers.reproduce", NOTEBOOKS / "slow.ipynb", old, "--overwrite"]
    command += ["-p", "mark", tmp_path / "started"]
    work = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=ONE_THREAD)
    while not (tmp_path / "started").exists() and work.poll() is None:
        time.sleep(0.05)
    yield work, old
    work.kill()
    work.wait()
    work.stderr.close()


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_52_a_notebook_that_is_stopped_says_so_and_leaves_the_results_before(name, status, notebook_at_work):
    work, old = notebook_at_work
    before = contents(old)
    work.send_signal(getattr(signal, name))
    _, told = work.communicate()
    assert work.returncode == status and f"slow.ipynb: stopped by {name}" in told
    assert contents(old) == before
    assert {path.name for path in old.parent.iterdir()} == {"quick", "quick.failed.ipynb"}


def test_54_a_second_run_is_refused_by_name_and_a_killed_one_is_taken_over(notebook_at_work):
    work, old = notebook_at_work
    before = contents(old)
    with pytest.raises(HeldError, match=rf".quick.lock: held by process {work.pid} on .* since 2\d\d\d-"):
        run_notebook(NOTEBOOKS / "fails.ipynb", old, overwrite=True)
    work.kill()
    work.wait()
    assert list(old.parent.glob(".quick.staging.*")), "what the killed process left"
    with (
        pytest.warns(
            UserWarning, match=f"lock: taken over; its holder, process {work.pid} on .*, was killed"
        ),
        pytest.raises(ReproduceError, match="the cell says why"),
    ):
        run_notebook(NOTEBOOKS / "fails.ipynb", old, overwrite=True)
    assert contents(old) == before
    assert {path.name for path in old.parent.iterdir()} == {"quick", "quick.failed.ipynb"}


def test_58_a_results_folder_that_cannot_be_written_fails_before_the_work(tmp_path, monkeypatch):
    """The system's answer is given by hand, since root may write everywhere."""

    def refused(*args, **kwargs):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("kp_helpers.store.FileLock", refused)
    monkeypatch.setattr("kp_helpers.reproduce._execute", lambda *given: pytest.fail("the work began"))
    sentence = r"happy: cannot be written to \(Permission denied\), expected the right to write there"
    with pytest.raises(ReproduceError, match=sentence):
        run_notebook(NOTEBOOKS / "happy.ipynb", tmp_path / "happy" / "quick")


def test_58_a_results_folder_that_is_a_file_fails_before_the_work(tmp_path, monkeypatch):
    (tmp_path / "happy").write_text("")
    monkeypatch.setattr("kp_helpers.reproduce._execute", lambda *given: pytest.fail("the work began"))
    with pytest.raises(
        ReproduceError, match=r"happy: cannot be written to \((File exists|Not a directory)\)"
    ):
        run_notebook(NOTEBOOKS / "happy.ipynb", tmp_path / "happy" / "quick")
