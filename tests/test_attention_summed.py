"""The tokens' share together, against the sum of their plain maps."""

import pytest
import torch

from kp_helpers.attention import summed
from kp_helpers.attention.maps import plain_maps

SIDES = ((4, 6), (8, 12))


@pytest.fixture(params=["all heads at once", "weights kept", "weights made again"])
def way(request, monkeypatch):
    """The ways of one sum, which the numbers of shares and weights decide between."""
    if request.param != "all heads at once":
        monkeypatch.setattr(summed, "FEW", 0)
    if request.param == "weights made again":
        monkeypatch.setattr(summed, "KEPT_WEIGHTS", 0)


@pytest.fixture
def coarse():
    generator = torch.Generator().manual_seed(0)
    return [(3 * torch.randn(2, 3, 5, *side, generator=generator)).requires_grad_(True) for side in SIDES]


def _rivals(size, layers=2):
    return [torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(n)) for n in range(layers)]


@pytest.mark.parametrize("size", [(16, 24), (7, 5)])
def test_the_share_and_its_gradient(coarse, way, size):
    rivals = _rivals(size)
    expected = plain_maps(coarse, size, rivals).sum(dim=1, keepdim=True)
    found = summed.summed_share(coarse, size, rivals)
    assert found.shape == (2, 1, *size)
    assert torch.allclose(found, expected, atol=1e-6)
    slope = torch.randn(expected.shape, generator=torch.Generator().manual_seed(9))
    wanted = torch.autograd.grad((expected * slope).sum(), coarse)
    for mine, theirs in zip(torch.autograd.grad((found * slope).sum(), coarse), wanted, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)


def test_a_second_backward_pass_gives_the_same(coarse, way):
    loss = summed.summed_share(coarse, (8, 8), _rivals((8, 8))).square().sum()
    first = torch.autograd.grad(loss, coarse, retain_graph=True)
    for one, other in zip(first, torch.autograd.grad(loss, coarse), strict=True):
        assert torch.equal(one, other)


def test_the_gradient_by_finite_differences(way):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(1, 2, 3, 3, 2, dtype=torch.float64, generator=generator).requires_grad_(True)
    rivals = [torch.randn(1, 2, 4, 5, dtype=torch.float64, generator=generator)]
    assert torch.autograd.gradcheck(lambda x: summed.summed_share([x], (4, 5), rivals), logits)


def test_far_above_and_far_below_the_rivals_stay_finite(way):
    logits = torch.tensor([500.0, -500.0]).reshape(2, 1, 1, 1, 1).expand(2, 1, 2, 4, 4)
    logits = logits.clone().requires_grad_(True)
    found = summed.summed_share([logits], (8, 8), [torch.zeros(2, 1, 8, 8)])
    assert torch.equal(found[:, 0, 0, 0], torch.tensor([1.0, 0.0]))
    assert torch.equal(torch.autograd.grad(found.sum(), logits)[0], torch.zeros_like(logits))
