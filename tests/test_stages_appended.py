"""The parts of a run's loss, against the same by hand."""

import pytest
import torch

from kp_helpers import geometry, losses
from kp_helpers.config import AppendedStage, Reading
from kp_helpers.heatmaps import cauchy_target, gaussian_target
from kp_helpers.stages import AppendedTokens

IMAGES = torch.zeros(2, 3, 128, 128)
POINTS, OTHERS = torch.tensor([[0.2, 0.3], [0.7, 0.6]]), torch.tensor([[0.6, 0.3], [torch.nan, torch.nan]])
THETA = geometry.random_affine(torch.Generator().manual_seed(0))


def _maps(tokens):
    return torch.rand(2, tokens, 16, 16, generator=torch.Generator().manual_seed(tokens))


def _stage(tiny_sd, others=OTHERS, **changes) -> AppendedTokens:
    settings = AppendedStage(reading=Reading(map_size=16, timestep=20), **changes)
    base = torch.zeros(4, tiny_sd.context_width)
    return AppendedTokens(tiny_sd, base, IMAGES, POINTS, settings, others=others)


def test_the_maps_of_a_side_are_read_where_its_joint_is_stage(tiny_sd):
    own, maps = _stage(tiny_sd, mirror="rivals", target="cauchy"), _maps(6)
    for image, tokens, point in ((0, maps[:, :3], POINTS[0]), (2, maps[:, 3:], torch.tensor([0.8, 0.3]))):
        found = own.losses(maps, THETA, image)["target"]
        target = cauchy_target(point, 16, 0.05)
        expected = (tokens[0].sum(0) - target).square().mean()
        assert found.item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize("objective", ["soft_argmax", "oks"])
def test_objectives_of_points_take_the_label(tiny_sd, objective):
    own, maps = _stage(tiny_sd, objective=objective, sigma=0.1), _maps(3)
    loss = {"soft_argmax": losses.soft_argmax_loss, "oks": losses.oks_loss}[objective]
    found = own.losses(maps, THETA, 1)["target"]
    assert found.item() == pytest.approx(loss(maps[0].sum(0), POINTS[1], 0.1).item())


def test_the_other_sides_joint_counts_where_it_is_known(tiny_sd):
    own, maps = _stage(tiny_sd, other_side_weight=2.0), _maps(3)
    weight = gaussian_target(OTHERS[0], 16, 0.05) * (1 - gaussian_target(POINTS[0], 16, 0.05))
    expected = (weight * maps[0].sum(0)).sum() / weight.sum()
    assert own.losses(maps, THETA, 0)["other_side"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert own.losses(maps, THETA, 1)["other_side"] == 0, "not known"
    assert _stage(tiny_sd, POINTS, other_side_weight=2.0).losses(maps, THETA, 0)["other_side"] == 0
    assert "other_side" not in _stage(tiny_sd).losses(maps, THETA, 0)
