"""Checkpoints that nothing went wrong with; faults are in test_faults_runtime.py."""

from functools import partial

import pytest
import torch
from helpers import plain_runs

from kp_helpers import checkpoints
from kp_helpers.checkpoints import CheckpointError, Checkpoints

TWO = [plain_runs.SETTINGS, plain_runs.SETTINGS.replace(seed=3, learning_rate=0.3)]


def stopped(folder, settings, at: int, **more) -> None:
    def watch(batch):
        for rows in batch:
            yield rows
            if batch.step == at:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Checkpoints(folder, settings, {}, **more).finish(partial(plain_runs.batch, settings), watch)


@pytest.mark.parametrize("at", [1, 7, 11])
def test_a_batch_goes_on_to_what_it_would_have_learned(at, tmp_path):
    make = partial(plain_runs.batch, TWO)
    expected, every = Checkpoints(None, TWO, {}).finish(make)
    stopped(tmp_path / "kept", TWO, at)
    kept = Checkpoints(tmp_path / "kept", TWO, {})
    batch, records = kept.finish(make)
    assert kept.resumed == at and records == every and len(records) == 12
    for found, wanted in zip(batch.runs, expected.runs, strict=True):
        assert torch.equal(found.context, wanted.context)
        assert found.state()["optimizer"].keys() == {"step", "exp_avg", "exp_avg_sq"}


def test_the_two_newest_are_kept_and_of_a_finished_run_the_last_which_is_not_learned_again(tmp_path):
    kept = Checkpoints(tmp_path / "kept", TWO, {}, every=0)
    seen = []

    def watch(batch):
        for rows in batch:
            yield rows
            seen.append(sorted(int(path.stem[5:]) for path in kept.folder.glob("step_*")))

    first, records = kept.finish(partial(plain_runs.batch, TWO), watch)
    assert seen[:3] == [[1], [1, 2], [2, 3]] and seen[10] == [10, 11]
    assert [path.name for path in kept.folder.iterdir()] == ["step_000012.safetensors"]
    again, same = Checkpoints(kept.folder, TWO, {}).finish(partial(plain_runs.batch, TWO, spoilt_at=11))
    assert same == records and torch.equal(again.results[1], first.results[1])
    checkpoints.clear(tmp_path)
    assert not kept.folder.exists()


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _, records = checkpoints.finish(
        None, lambda _, settings, **given: plain_runs.batch(settings, **given), None, TWO
    )
    checkpoints.clear(None)
    assert len(records) == 12 and not list(tmp_path.iterdir())


def test_the_number_of_runs_is_checked_whatever_was_asked(tmp_path):
    stopped(tmp_path, TWO, 3)
    with pytest.raises(CheckpointError, match="learned with runs 2, expected 1"):
        Checkpoints(tmp_path, TWO[:1], {}, changed=True).finish(plain_runs.batch)


def test_another_number_of_threads_is_told(tmp_path, monkeypatch):
    stopped(tmp_path, TWO, 3)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    with pytest.warns(UserWarning, match=r"made with threads \d+, expected 77 now; .* equal up to rounding"):
        Checkpoints(tmp_path, TWO, {}).finish(partial(plain_runs.batch, TWO))


def test_a_file_is_written_after_some_seconds_and_later_where_it_takes_long(tmp_path, monkeypatch):
    """A second a step: after 2 s, a file that takes 0.095 s, and the next not before 9.5 s more."""
    clock, steps = {"now": 0.0}, []

    def replace(path, write):
        clock["now"] += 0.095
        steps.append(int(path.stem[5:]))

    def watch(batch):
        for rows in batch:
            clock["now"] += 1
            yield rows

    monkeypatch.setattr(checkpoints, "replace_file", replace)
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: clock["now"])
    settings = [one.replace(steps=15) for one in TWO]
    Checkpoints(tmp_path, settings, {}).finish(partial(plain_runs.batch, settings), watch)
    assert steps == [2, 12, 15]


def test_what_is_finished_is_read_and_not_learned_until_its_folder_is_cleared(tiny_sd, tmp_path):
    images, learned = torch.rand(2, 3, 8, 8), []

    def stages(diffusion, pictures, settings, *, states=None, others=None):
        learned.append(states)
        return plain_runs.batch(settings, states=states)

    def finish(*pictures, **more):
        batch, records = checkpoints.finish(tmp_path / "kept", stages, tiny_sd, list(pictures), TWO, **more)
        return [one.tolist() for one in batch.results], records, len(list((tmp_path / "kept").iterdir()))

    first = finish(images)
    assert finish(images.clone()) == first and first[2] == 1
    assert learned[0] is None and [state["step"] for state in learned[1]] == [12, 12]
    for number, more in enumerate(
        [{"others": [images, None]}, {"others": [None, images]}, {"about": {"a": 1}}]
    ):
        assert finish(images, **more)[2] == number + 2
    assert learned[2:] == [None] * 3, "other tensors and facts lead to other folders"
    checkpoints.clear(tmp_path / "kept")
    assert not list(tmp_path.iterdir())


def test_a_folder_is_named_by_all_that_a_run_follows_from(tiny_sd, tmp_path, monkeypatch):
    images = torch.rand(2, 3, 8, 8)
    first = checkpoints.of_batch(tmp_path, tiny_sd, TWO, images=images).folder
    assert first.parent == tmp_path and not first.exists()
    assert checkpoints.of_batch(tmp_path, tiny_sd, TWO, images=images.clone()).folder == first
    others = [
        checkpoints.of_batch(tmp_path, tiny_sd, TWO[:1], images=images),
        checkpoints.of_batch(tmp_path, tiny_sd, TWO, images=images + 1e-6),
        checkpoints.of_batch(tmp_path, tiny_sd, [TWO[0], TWO[1].replace(seed=4)], images=images),
    ]
    monkeypatch.setattr(checkpoints, "_code", lambda: "other")
    others.append(checkpoints.of_batch(tmp_path, tiny_sd, TWO, images=images))
    assert len({own.folder for own in others} | {first}) == 5
