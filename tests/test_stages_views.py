import pytest
import torch

from kp_helpers import geometry
from kp_helpers.config import AppendedStage, Reading, randomness
from kp_helpers.diffusion import Diffusion
from kp_helpers.stages.maps import TrainingViews

SETTINGS = AppendedStage(seed=3, reading=Reading(timestep=20))


@pytest.fixture
def encoded(monkeypatch) -> list[int]:
    """How many images each call of the encoder is given."""
    calls, encode = [], Diffusion.encode_image
    monkeypatch.setattr(Diffusion, "encode_image", lambda model, x: calls.append(len(x)) or encode(model, x))
    return calls


def test_latents_are_those_of_the_image_and_its_view(tiny_sd, two_images):
    theta = geometry.random_affine(randomness.generator(3, "view", 5, 1))
    both = torch.cat([two_images[1:], geometry.warp(two_images[1:], theta)])
    noise = randomness.generator(3, "noise", 5, 1)
    expected = tiny_sd.add_noise(tiny_sd.encode_image(both), 20, noise)
    pairs = TrainingViews(tiny_sd, two_images, SETTINGS, 0)
    assert torch.equal(pairs.theta(1, 5), theta) and len(pairs) == 2
    assert torch.allclose(pairs.latents(1, 5), expected, atol=1e-6)


def test_without_a_pool_every_step_has_a_view_of_its_own(tiny_sd, two_images, encoded):
    pairs = TrainingViews(tiny_sd, two_images, SETTINGS, 0)
    assert [pairs.view(step) for step in (0, 7)] == [0, 7]
    for _ in range(2):
        pairs.latents(0, 0)
    assert len(encoded) == 3, "the plain image once, its view each time"


def test_a_pool_is_encoded_once_and_comes_round(tiny_sd, two_images, encoded):
    pairs = TrainingViews(tiny_sd, two_images, SETTINGS, 2)
    assert [pairs.view(step) for step in range(5)] == [0, 1, 0, 1, 0]
    first = [pairs.latents(0, pairs.view(step)) for step in range(2)]
    again = [pairs.latents(0, pairs.view(step)) for step in range(2, 4)]
    assert len(encoded) == 3 and not torch.equal(*first)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
