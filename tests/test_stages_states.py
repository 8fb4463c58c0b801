"""States on disk that nothing went wrong with; faults are in test_faults_runtime.py."""

import pytest
import torch
from helpers.plain_stage import SETTINGS, PlainStage

from kp_helpers import stages
from kp_helpers.stages import Run, states


@pytest.fixture
def after_every_step(monkeypatch):
    monkeypatch.setattr(states, "EVERY", 0.0)


def stopped(stage, root, at: int) -> Run:
    run = Run(stage, root)
    with pytest.raises(KeyboardInterrupt):
        for _ in run:
            if run.step == at:
                raise KeyboardInterrupt
    return run


@pytest.mark.parametrize("at", [1, 7, 11])
def test_a_run_goes_on_to_what_it_would_have_learned(at, tiny_sd, tmp_path, after_every_step):
    expected = Run(PlainStage(tiny_sd))
    every = list(expected)
    stopped(PlainStage(tiny_sd), tmp_path, at)
    run = Run(PlainStage(tiny_sd), tmp_path)
    assert run.resumed == at and list(run) == every[at:] and run.records == every
    assert torch.equal(run.result, expected.result)
    assert run.state()["optimizer"].keys() == {"step", "exp_avg", "exp_avg_sq"}


def test_two_states_are_kept_and_of_a_finished_run_the_last_which_is_not_learned_again(
    tiny_sd, tmp_path, after_every_step
):
    run = Run(PlainStage(tiny_sd), tmp_path)
    kept = [sorted(path.stem for path in run.states.folder.glob("*.safetensors")) for _ in run]
    assert kept[:3] == [["state"], ["before", "state"], ["before", "state"]]
    assert [path.name for path in run.states.folder.iterdir()] == ["state.safetensors"]
    again = Run(PlainStage(tiny_sd, spoilt_at=11), tmp_path)
    assert not list(again) and again.records == run.records and torch.equal(again.result, run.result)
    stages.clear(tmp_path)
    assert not tmp_path.exists()


def test_without_a_folder_nothing_is_written(tiny_sd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert len(list(Run(PlainStage(tiny_sd)))) == 12
    stages.clear(None)
    assert not list(tmp_path.iterdir())


def test_another_number_of_threads_is_told(tiny_sd, tmp_path, monkeypatch, after_every_step):
    stopped(PlainStage(tiny_sd), tmp_path, 3)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    with pytest.warns(UserWarning, match=r"begun with .*'threads': \d+.*, expected .*77.* up to rounding"):
        Run(PlainStage(tiny_sd), tmp_path)


def test_a_state_is_written_after_some_seconds_and_later_where_it_takes_long(tiny_sd, tmp_path, monkeypatch):
    """A second a step: after 2 s, a file that takes 0.095 s, and the next not before 9.5 s more."""
    clock, steps = {"now": 0.0}, []

    def save(path, tensors, facts):
        clock["now"] += 0.095
        steps.append(len(tensors["records"]))

    monkeypatch.setattr(states.store, "save", save)
    monkeypatch.setattr(states.time, "monotonic", lambda: clock["now"])
    for _ in Run(PlainStage(tiny_sd, SETTINGS.replace(steps=15)), tmp_path):
        clock["now"] += 1
    assert steps == [3, 13, 15]


def test_a_folder_is_named_by_all_that_a_run_follows_from(tiny_sd, tmp_path, monkeypatch):
    first = states.key_of(PlainStage(tiny_sd))
    assert states.key_of(PlainStage(tiny_sd)) == first and Run(PlainStage(tiny_sd), tmp_path).resumed == 0
    others = [PlainStage(tiny_sd, SETTINGS.replace(seed=4)), PlainStage(tiny_sd), PlainStage(tiny_sd)]
    others[1].data = {"images": torch.full((5, 3), 1e-6)}
    others[2].about = {"value": 1}
    keys = [states.key_of(stage) for stage in others]
    monkeypatch.setattr(states, "_code", lambda: "other")
    keys.append(states.key_of(PlainStage(tiny_sd)))
    assert len({first, *keys}) == 5
