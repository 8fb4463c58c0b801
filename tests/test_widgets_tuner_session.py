"""The tuner without its page: checked values, one run at a time, going on after a loss, saving."""

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
from kp_helpers.widgets import TunerSession, tuner_session
from kp_helpers.widgets.tuner_learning import Learner

STEPS = 6


@pytest.fixture(scope="module")
def parts(tiny_sd_folder, tiny_threedpw):
    return tiny_tuner.parts(tiny_sd_folder, tiny_threedpw)


@pytest.fixture
def begin(parts, tmp_path):
    """A function: a session as a new kernel has it, on the same folder."""
    made = []

    def begin(*more, base=parts[1]) -> TunerSession:
        made.append(TunerSession(Learner(parts[0], base, *parts[2:5]), parts[5], tmp_path / "tuner", *more))
        return made[-1]

    yield begin
    for session in made:
        session.pause()
        session.wait()


@pytest.fixture
def session(begin):
    return begin()


class Gate:
    """Stands in `on_change`: holds a running session after every step until it is let go."""

    def __init__(self, session, monkeypatch):
        monkeypatch.setattr(tuner_session, "_LOOKS", 0.0)
        self.session, self.reached, self.go = session, threading.Semaphore(0), threading.Semaphore(0)
        session.on_change = self
        session.start()
        assert self.wait()

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
    session.start()
    session.wait()


@pytest.mark.parametrize(
    "name, value, told",
    [
        ("target_weight", math.nan, "target_weight is nan: Input should be a finite number"),
        ("sigma", -1.0, "sigma is -1.0: Input should be greater than 0"),
        ("target", "flat", "target is 'flat'"),
        ("views", 0, "views is 0"),
    ],
)
def test_a_value_is_checked(session, name, value, told):
    before = dict(session.values)
    with pytest.raises(config.ConfigError, match=told):
        session.set(name, value)
    assert session.values == before


def test_it_learns_what_the_stage_learns(session, parts):
    frozen, base, train, test, joint, _ = parts
    stage = Run(AppendedTokens(frozen, base, train.images, train.points(joint), session.current.settings))
    records = list(stage)
    run_through(session)
    assert torch.equal(session.seen.appended.tokens, stage.result.tokens)
    assert session.current.records == records
    points = session.seen.test[1]
    scores = evaluate.score(evaluate.located(test, points, joint, "appended", 0))
    assert session.seen.hits == (scores["within"].sum(), len(scores))


@pytest.mark.parametrize("mode", ["coupled", "readout"])
def test_it_sees_what_the_test_sees(parts, tmp_path, mode):
    settings = parts[5].replace(test=parts[5].test.replace(views=2))
    session = TunerSession(Learner(*parts[:5]), settings, tmp_path)
    session.set("mode", mode)
    session.set("steps", 1)
    run_through(session)
    expected = reading.read_appended(parts[0], session.seen.appended, parts[3].images, session.current.test)
    points = reading.read_keypoints(expected, session.current.test)
    assert session.seen.appended.mode == mode and torch.allclose(session.seen.test[1], points, atol=1e-6)


def test_a_second_run_at_once_is_refused(session, monkeypatch):
    gate = Gate(session, monkeypatch)
    with pytest.raises(ValueError, match="run 1 is under way; there is one at a time"):
        session.start()
    for refused in (session.resume, session.show_last):
        with pytest.raises(ValueError):
            refused()
    assert [thread.name for thread in threading.enumerate()].count("tuner") == 1
    session.pause()
    gate.open()
    assert session.current.number == 1 and session.last is None


def test_pause_resume_and_an_uninterrupted_run_agree(session, monkeypatch):
    gate = Gate(session, monkeypatch)
    session.pause()
    gate.open()
    assert session.current.step == 1 and not session.running
    session.resume()
    session.wait()
    assert session.current.step == STEPS
    with pytest.raises(ValueError, match="nothing to resume"):
        session.resume()
    paused = session.seen.appended.tokens
    run_through(session)
    assert torch.equal(paused, session.seen.appended.tokens)
    assert (session.current.number, session.last.number) == (2, 1)


def test_a_knob_that_is_turned_on_the_way_counts_from_the_next_step(session, monkeypatch):
    gate = Gate(session, monkeypatch)
    session.set("target_weight", 9.0)
    session.set("appended", 5)
    assert session.message == "appended tokens 5: from the next run on; Run begins it"
    gate.open()
    run = session.current
    assert run.changes == [(1, {"target_weight": 9.0})]
    loss, parts = run.records[1].loss, run.records[1].parts
    assert loss == pytest.approx(parts["localization"] + parts["equivariance"] + 9 * parts["target"])
    assert run.settings.appended_tokens(10) == 2, "how many tokens there are waits for the next run"
    run_through(session)
    assert len(session.seen.appended.tokens) == 5


def test_fewer_steps_than_were_done_end_the_run(session, monkeypatch):
    gate = Gate(session, monkeypatch)
    gate.step()
    session.set("steps", 1)
    gate.open()
    assert session.current.step == 2 == session.current.settings.steps and session.current.finished


def test_a_lost_kernel_loses_nothing_after_the_last_step(session, begin, monkeypatch):
    gate = Gate(session, monkeypatch)
    for _ in range(3):
        gate.step()
    after = begin()  # as a new kernel: nobody told the old one to stop
    assert after.last.step == 4 and "the last run is not at its end" in after.message
    after.show_last()
    after.resume()
    after.wait()
    gate.open()
    assert torch.equal(after.seen.appended.tokens, session.seen.appended.tokens)
    assert after.current.records == session.current.records and after.current.hits[STEPS]


def test_the_last_run_is_shown_with_its_knobs(session):
    for sigma in (0.1, 0.2):
        session.set("sigma", sigma)
        run_through(session)
    session.show_last()
    session.wait()
    assert session.values["sigma"] == 0.1 and session.seen.run is session.current
    assert (session.current.number, session.last.number) == (1, 2)


def test_reset_puts_the_knobs_back_and_the_run_is_the_last(session):
    session.set("learning_rate", 1.0)
    run_through(session)
    session.reset()
    session.wait()
    assert session.values["learning_rate"] == 0.1 and session.seen.step == session.current.step == 0
    assert session.last.step == STEPS


def test_what_is_saved_is_what_the_notebook_saves(session, parts):
    frozen, *_ = parts
    with pytest.raises(ValueError, match="no embedding to save yet"):
        session.save_embedding()
    session.set("target_weight", 8.0)
    run_through(session)
    path = session.save_embedding()
    tensors, about = embeddings.load(path, fingerprint=frozen.fingerprint, width=frozen.context_width)
    assert torch.equal(tensors["appended"], session.seen.appended.tokens) and about["joint"] == "left_foot"
    content = json.loads(session.save_config().read_text())
    assert content["settings"]["appended"]["target_weight"] == 8.0 and content["step"] == STEPS


def test_the_command_is_quoted_and_every_parameter_one_of_the_notebook(begin):
    parameters = {"data": "my data; rm -rf $HOME", "seed": 0}
    session = begin(None, parameters)
    session.set("sigma", 0.1)
    run_through(session)
    words = shlex.split(session.command())
    given = dict(zip(words[words.index("-p") + 1 :: 3], words[words.index("-p") + 2 :: 3], strict=True))
    assert words[:2] == ["papermill", "notebooks/03_appended_embedding.ipynb"]
    assert given["data"] == parameters["data"] and given["weights"] == "1:1:5" and given["sigma"] == "0.1"
    assert given.keys() <= papermill.inspect_notebook(str(Path(__file__).parents[1] / words[1])).keys()


def test_an_error_in_a_step_is_told_and_the_last_step_kept(session):
    session.learner.step, step = None, session.learner.step
    run_through(session)
    assert not session.running and session.message.startswith("run 1 stopped after step 0: ")
    session.learner.step = step
    run_through(session)
    assert session.current.finished


def test_a_folder_that_cannot_be_written_is_told(begin, tmp_path):
    (tmp_path / "tuner").write_text("a file")
    session = begin()
    run_through(session)
    assert not session.running and session.message.startswith("run 1 stopped after step 1: ")


def test_a_damaged_run_is_named_and_those_of_other_pictures_are_not_shown(session, begin, parts):
    run_through(session)
    path = session.folder.file
    assert begin().last.number == 1 and begin(base=parts[1] + 1).last is None
    path.write_bytes(path.read_bytes()[:-9])
    after = begin()
    assert after.last is None and f"{path}: damaged" in after.message
    run_through(after)
    assert begin().last.finished


def test_a_run_that_was_given_is_shown_first_and_goes_on_under_a_number(begin, parts):
    frozen, base, train, _, joint, settings = parts
    run = Run(AppendedTokens(frozen, base, train.images, train.points(joint), settings.appended))
    assert len(list(run)) == STEPS
    session = begin(run)
    assert session.current.number == 0 and session.current.finished
    session.set("steps", STEPS + 2)
    session.resume()
    session.wait()
    assert session.current.number == 1 and session.current.step == STEPS + 2
