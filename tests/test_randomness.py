import pytest
import torch
from helpers.plain_stage import PlainStage

from kp_helpers.config import randomness
from kp_helpers.stages import Run


def _draw(*key):
    return torch.randn(4, generator=randomness.generator(*key))


def test_numbers_follow_from_seed_purpose_and_keys_alone():
    first = _draw(1, "noise", 2, 3)
    _draw(1, "noise", 2, 4)
    assert torch.equal(_draw(1, "noise", 2, 3), first)
    for other in [(2, "noise", 2, 3), (1, "view", 2, 3), (1, "noise", 3, 2), (1, "noise", 2)]:
        assert not torch.equal(_draw(*other), first)


def test_every_epoch_visits_every_image_once_in_an_order_of_its_own():
    order = randomness.image_order(0, 7, 0, 21)
    epochs = [order[i : i + 7] for i in (0, 7, 14)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert randomness.image_order(0, 7, 5, 4) == order[5:9]


def test_wrong_inputs_are_named():
    with pytest.raises(ValueError, match="expected integers >= 0"):
        randomness.generator(-1, "noise")
    with pytest.raises(ValueError, match="images is 0"):
        randomness.image_order(0, 0, 0, 1)


def test_the_level_of_determinism_is_strict_on_the_cpu_unless_asked(monkeypatch):
    monkeypatch.delenv(randomness.VARIABLE, raising=False)
    assert [randomness.level(device) for device in ("cpu", "cuda:1", "mps")] == ["A", "B", "B"]
    monkeypatch.setenv(randomness.VARIABLE, "C")
    assert randomness.level("cpu") == "C"
    monkeypatch.setenv(randomness.VARIABLE, "a")
    with pytest.raises(ValueError, match="KEYPOINT_KIT_DETERMINISM is 'a', expected one of A, B, C"):
        randomness.level("cpu")


@pytest.mark.parametrize(("level", "strict"), [("A", True), ("B", False)])
def test_a_step_is_strict_at_level_a_and_torch_is_left_as_it_was(level, strict, tiny_sd, monkeypatch):
    monkeypatch.setenv(randomness.VARIABLE, level)
    seen = []
    stage, losses = PlainStage(tiny_sd), PlainStage.losses
    stage.losses = lambda *given: seen.append(_mode()) or losses(stage, *given)
    before, steps = _mode(), iter(Run(stage))
    next(steps)
    assert set(seen) == {strict} and _mode() == before


def test_strictness_ends_with_an_error_too():
    before = _mode()
    with pytest.raises(ZeroDivisionError), randomness.strict("cpu"):
        assert _mode() is True
        _ = 1 / 0
    assert _mode() == before


def _mode() -> bool:
    return torch.are_deterministic_algorithms_enabled()
