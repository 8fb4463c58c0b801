import pytest
import torch

from kp_helpers import randomness


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
