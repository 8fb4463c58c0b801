"""The tuner without its page: checked values, one run at a time, going on after a loss, history, saving."""

import json
import math
import shlex
import threading
from pathlib import Path

import papermill
import pytest
import torch
from helpers import tiny_tuner

from kp_helpers import config, embeddings, evaluate, reading
from kp_helpers.stages import AppendedTokens, Run
from kp_helpers.widgets import TunerError, TunerSession, tuner_session
from kp_helpers.widgets.knobs import Choice, Slider
from kp_helpers.widgets.tuner_folder import TunerFolder

STEPS = 6


@pytest.fixture(scope="module")
def parts(tiny_sd_folder, tiny_threedpw):
    return tiny_tuner.parts(tiny_sd_folder, tiny_threedpw)


@pytest.fixture
def session(parts, tmp_path):
    made = TunerSession(*parts, folder=tmp_path / "tuner")
    yield made
    made.pause()
    made.wait()


class Gate:
    """Stands in `on_change`: holds a running session behind every step until it is let go."""

    def __init__(self, session, monkeypatch):
        monkeypatch.setattr(tuner_session, "_LOOKS", 0.0)
        self.session, self.reached, self.go = session, threading.Semaphore(0), threading.Semaphore(0)
        session.on_change = self
        assert session.start() and self.wait()

    def __call__(self):
        if self.session.running:
            self.reached.release()
            self.go.acquire(timeout=60)

    def wait(self) -> bool:
        """Until the next step is done."""
        return self.reached.acquire(timeout=60)

    def step(self) -> None:
        self.go.release()
        assert self.wait()

    def open(self) -> None:
        """Let the run go to its end, or to where it was told to stop."""
        self.session.on_change = lambda: None
        self.go.release()
        self.session.wait()


def run_through(session) -> None:
    assert session.start()
    session.wait()


@pytest.mark.parametrize(
    "value, used, said",
    [
        (7.0, 7.0, ""),
        (99, 20.0, "weight is 99, expected 0 to 20; 20 is used"),
        (-math.inf, 0.0, "weight is -inf, expected 0 to 20; 0 is used"),
        (math.nan, 5.0, "weight is nan, expected 0 to 20; it stays 5"),
        ("much", 5.0, "weight is 'much', expected 0 to 20; it stays 5"),
        (True, 5.0, "weight is True, expected 0 to 20; it stays 5"),
        (None, 5.0, "weight is None, expected 0 to 20; it stays 5"),
    ],
)
def test_a_value_is_checked(value, used, said):
    assert Slider("weight", 0, 20).check(value, 5.0) == (used, said)


def test_a_choice_is_checked():
    choice = Choice("side", (32, 64), ("32", "64"))
    assert choice.check(64, 32) == (64, "")
    assert choice.check(True, 32) == (32, "side is True, expected one of 32, 64; it stays 32")


def test_the_checked_value_is_what_a_run_learns_with(session):
    assert session.set("target_weight", math.nan) == 5.0
    assert session.message == "target weight is nan, expected 0 to 20; it stays 5"
    assert session.set("sigma", 4) == 0.3
    assert session.set("steps", 2.4) == 2
    run_through(session)
    own = session.current.settings
    assert (own.target_weight, own.sigma, own.steps) == (5.0, 0.3, 2)


def test_it_learns_what_the_stage_learns(session, parts):
    frozen, base, train, test, joint, _ = parts
    stage = Run(AppendedTokens(frozen, base, train.images, train.points(joint), session.current.settings))
    records = list(stage)
    run_through(session)
    assert torch.equal(session.seen.appended.tokens, stage.result.tokens)
    assert [row[0] for row in session.current.losses] == [record.loss for record in records]
    maps = reading.read_appended(frozen, stage.result, test.images, session.current.test)
    points = reading.read_keypoints(maps, session.current.test)
    assert torch.allclose(session.seen.test.points, points, atol=1e-6)
    scores = evaluate.score(evaluate.located(test, points, joint, "appended", 0))
    assert session.seen.hits == scores["within"].sum() and session.seen.pictures == len(scores)


@pytest.mark.parametrize("mode", ["readout", "coupled"])
def test_it_sees_what_the_test_sees(session, parts, mode):
    frozen, _, _, test, _, _ = parts
    for name, value in {"views": 3, "mode": mode, "steps": 1}.items():
        session.set(name, value)
    run_through(session)
    seen, settings = session.seen, session.current.test
    assert settings.views == 3 and seen.appended.mode == mode
    maps = reading.read_appended(frozen, seen.appended, test.images, settings)
    assert torch.allclose(seen.test.points, reading.read_keypoints(maps, settings), atol=1e-6)


def test_a_second_run_at_once_is_refused(session, monkeypatch):
    gate = Gate(session, monkeypatch)
    assert not session.start() and session.message == "run 1 is under way; there is one at a time"
    assert not session.resume()
    assert [thread.name for thread in threading.enumerate()].count("tuner") == 1
    session.pause()
    gate.open()
    assert list(session.history) == [1]


def test_pause_resume_and_an_uninterrupted_run_agree(session, monkeypatch):
    gate = Gate(session, monkeypatch)
    session.pause()
    gate.open()
    assert session.current.step == 1 and not session.running
    assert session.resume()
    session.wait()
    assert session.current.step == STEPS and not session.resume()
    paused = session.seen.appended.tokens
    run_through(session)
    assert torch.equal(paused, session.seen.appended.tokens) and list(session.history) == [1, 2]


def test_a_knob_that_is_turned_on_the_way_counts_from_the_next_step(session, monkeypatch):
    gate = Gate(session, monkeypatch)
    session.set("target_weight", 9.0)
    session.set("appended", 5)
    gate.open()
    run = session.current
    assert run.changes == [(1, {"target_weight": 9.0})]
    total, *parts = run.losses[1]
    assert total == pytest.approx(parts[0] + parts[1] + 9 * parts[2])
    assert run.settings.appended_tokens(10) == 2, "how many tokens there are waits for the next run"
    run_through(session)
    assert len(session.seen.appended.tokens) == 5


def test_fewer_steps_than_were_done_end_the_run(session, monkeypatch):
    gate = Gate(session, monkeypatch)
    gate.step()
    session.set("steps", 1)
    gate.open()
    assert session.current.step == 2 == session.current.settings.steps and session.current.finished


def test_a_lost_kernel_loses_nothing_behind_the_last_step(session, parts, tmp_path, monkeypatch):
    gate = Gate(session, monkeypatch)
    for _ in range(3):
        gate.step()
    after = TunerSession(
        *parts, folder=tmp_path / "tuner"
    )  # as a new kernel: nobody told the old one to stop
    assert after.history[1].step == 4 and "not at their end yet: 1" in after.message
    assert after.restore(1) and after.resume()
    after.wait()
    gate.open()
    assert torch.equal(after.seen.appended.tokens, session.seen.appended.tokens)
    assert after.current.losses == session.current.losses


def test_history_is_restored_with_its_knobs_and_deleted_with_its_file(session, tmp_path):
    session.set("sigma", 0.1)
    run_through(session)
    session.set("sigma", 0.2)
    run_through(session)
    assert session.restore(1) and session.values["sigma"] == 0.1
    session.wait()
    assert session.seen.run is session.history[1]
    saved = session.save_config()
    assert session.delete(1) and not session.delete(1) and not session.restore(1)
    assert list(session.history) == [2] and not (tmp_path / "tuner" / "runs" / "0001").exists()
    assert saved.is_file() and session.current.step == 0


def test_a_run_under_way_is_neither_deleted_nor_left_for_another(session, monkeypatch):
    run_through(session)
    gate = Gate(session, monkeypatch)
    assert not session.delete(2) and not session.restore(1)
    assert "cannot be shown" in session.message
    session.pause()
    gate.open()


def test_reset_keeps_the_run_and_puts_the_knobs_back(session):
    session.set("learning_rate", 1.0)
    run_through(session)
    session.reset()
    session.wait()
    assert session.values["learning_rate"] == 0.1 and session.current.step == 0
    assert list(session.history) == [1] and session.seen.step == 0


def test_what_is_saved_is_what_the_notebook_saves(session, parts):
    frozen, *_ = parts
    with pytest.raises(TunerError, match="no embedding to save yet"):
        session.save_embedding()
    session.set("target_weight", 8.0)
    run_through(session)
    path = session.save_embedding()
    tensors, about = embeddings.load(path, fingerprint=frozen.fingerprint, width=frozen.context_width)
    assert torch.equal(tensors["appended"], session.seen.appended.tokens) and about["joint"] == "left_foot"
    content = json.loads(session.save_config().read_text())
    assert content["settings"]["appended"]["target_weight"] == 8.0 and content["step"] == STEPS
    assert session.save_config() != session.save_config(), "nothing is written over"


def test_the_command_quotes_what_a_shell_would_read(parts, tmp_path):
    parameters = {"data": "my data; rm -rf $HOME", "seed": 0}
    session = TunerSession(*parts, folder=tmp_path, parameters=parameters)
    session.set("sigma", 0.1)
    run_through(session)
    words = shlex.split(session.command())
    given = dict(zip(words[words.index("-p") + 1 :: 3], words[words.index("-p") + 2 :: 3], strict=True))
    assert words[:2] == ["papermill", "notebooks/03_appended_embedding.ipynb"]
    assert given["data"] == parameters["data"] and given["weights"] == "1:1:5" and given["sigma"] == "0.1"


def test_every_parameter_of_the_command_is_one_of_the_notebook(session, tmp_path):
    notebook = Path(__file__).parents[1] / "notebooks" / "03_appended_embedding.ipynb"
    known = papermill.inspect_notebook(str(notebook))
    words = shlex.split(session.command())
    assert set(words[words.index("-p") + 1 :: 3]) <= known.keys()


def test_an_error_in_a_step_is_told_and_the_last_step_kept(session):
    session.set("learning_rate", 10)
    session.learner.step, step = None, session.learner.step
    session.start()
    session.wait()
    assert not session.running and session.message.startswith("run 1 stopped behind step 0: ")
    session.learner.step = step
    run_through(session)
    assert session.current.finished


def test_a_folder_that_cannot_be_written_is_told_before_the_work(parts, tmp_path):
    (tmp_path / "tuner").write_text("a file")
    session = TunerSession(*parts, folder=tmp_path / "tuner")
    assert not session.start() and "cannot be written" in session.message and not session.running


def test_a_damaged_run_is_named_and_left(session, parts, tmp_path):
    run_through(session)
    path = tmp_path / "tuner" / "runs" / "0001" / "run.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    after = TunerSession(*parts, folder=tmp_path / "tuner")
    assert not after.history and f"{path}: damaged" in after.message
    assert path.read_bytes() == whole[:-9]
    run_through(after)
    assert list(after.history) == [2]


def test_runs_of_other_pictures_are_not_shown(session, parts, tmp_path):
    run_through(session)
    frozen, base, *rest = parts
    other = TunerSession(frozen, base + 1, *rest, folder=tmp_path / "tuner")
    assert not other.history and TunerFolder(tmp_path / "tuner", {}).load() == ({}, [])


def test_a_run_that_was_given_is_shown_first_and_goes_on_under_a_number(parts, tmp_path):
    frozen, base, train, _, joint, settings = parts
    wide = settings.appended.replace(sigma=0.5, reading=config.Reading(map_size=24))
    run = Run(AppendedTokens(frozen, base, train.images, train.points(joint), wide))
    assert len(list(run)) == STEPS
    session = TunerSession(*parts, folder=tmp_path, learned=run)
    assert session.knobs["sigma"].high == 0.5 and 24 in session.knobs["map_size"].options
    assert session.current.name == "0" and session.current.finished
    session.set("steps", STEPS + 2)
    assert session.resume()
    session.wait()
    assert session.current.number == 1 and session.current.step == STEPS + 2
    assert len(session.history[0].losses) == STEPS and list(session.history) == [0, 1]
