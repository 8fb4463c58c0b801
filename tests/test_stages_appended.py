"""The parts of a run's loss, against the same by hand."""

import pytest
import torch

from kp_helpers import geometry, losses
from kp_helpers.config import AppendedStage, Reading
from kp_helpers.heatmaps import cauchy_target
from kp_helpers.stages import AppendedTokens

IMAGES = torch.zeros(2, 3, 128, 128)
POINTS = torch.tensor([[0.2, 0.3], [0.7, 0.6]])
THETA = geometry.random_affine(torch.Generator().manual_seed(0))


def _maps(tokens):
    return torch.rand(2, tokens, 16, 16, generator=torch.Generator().manual_seed(tokens))


def _stage(tiny_sd, **changes) -> AppendedTokens:
    settings = AppendedStage(reading=Reading(map_size=16, timestep=20), **changes)
    base = torch.zeros(4, tiny_sd.context_width)
    return AppendedTokens(tiny_sd, base, IMAGES, POINTS, settings)


def test_oks_takes_the_label(tiny_sd):
    own, maps = _stage(tiny_sd, objective="oks", sigma=0.1), _maps(3)
    expected = losses.oks_loss(maps[0].sum(0), POINTS[1], 0.1)
    assert own.losses(maps, THETA, 1)["target"].item() == pytest.approx(expected.item())


def test_the_target_has_the_shape_that_is_asked_for(tiny_sd):
    own, maps = _stage(tiny_sd, target="cauchy"), _maps(3)
    expected = (maps[0].sum(0) - cauchy_target(POINTS[0], 16, 0.05)).square().mean()
    assert own.losses(maps, THETA, 0)["target"].item() == pytest.approx(expected.item(), rel=1e-5)
