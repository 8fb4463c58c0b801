"""The plain maps against torch's interpolation, and their substitute and its backward pass against them."""

import pytest
import torch
import torch.nn.functional as F

from kp_helpers.attention import shares
from kp_helpers.attention.maps import plain_maps

SIDES = ((4, 6), (4, 6), (8, 12))


@pytest.fixture(params=["kept whole", "all rows at once", "one row at a time"])
def way(request, monkeypatch):
    """The ways of one sum, which the number of shares decides between."""
    if request.param != "kept whole":
        monkeypatch.setattr(shares, "KEPT_NUMBERS", {"cpu": 0})
    if request.param == "one row at a time":
        monkeypatch.setattr(shares, "ROWS_NUMBERS", {"cpu": 1})


@pytest.fixture
def coarse():
    generator = torch.Generator().manual_seed(0)
    return [(3 * torch.randn(2, 3, 5, *side, generator=generator)).requires_grad_(True) for side in SIDES]


def _rivals(size):
    return [torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(layer)) for layer in range(3)]


@pytest.mark.parametrize("size", [(16, 24), (7, 5)])
@pytest.mark.parametrize("with_rivals", [False, True])
def test_the_plain_maps_are_torchs_interpolation_and_softmax(coarse, size, with_rivals):
    rivals = _rivals(size) if with_rivals else None
    expected = []
    for layer, logits in enumerate(coarse):
        fine = F.interpolate(logits.flatten(0, 1), size=size, mode="bicubic", align_corners=False)
        powers = fine.unflatten(0, logits.shape[:2]).exp()
        below = powers.sum(dim=2, keepdim=True) + (rivals[layer][:, :, None].exp() if rivals else 0)
        expected.append((powers / below).mean(dim=1))
    assert torch.allclose(plain_maps(coarse, size, rivals), sum(expected) / 3, atol=1e-6)


@pytest.mark.parametrize("size", [(16, 24), (7, 5)])
@pytest.mark.parametrize("with_rivals", [False, True])
@pytest.mark.parametrize("tokens", [None, [3, 0], slice(2, None), torch.tensor([1])])
def test_the_substitute_has_the_plain_maps_and_gradients(coarse, way, size, with_rivals, tokens):
    rivals = _rivals(size) if with_rivals else None
    expected = plain_maps(coarse, size, rivals)[:, slice(None) if tokens is None else tokens]
    found = shares.mean_shares(coarse, size, rivals, tokens)
    assert torch.allclose(found, expected, atol=1e-6)
    slope = torch.randn(expected.shape, generator=torch.Generator().manual_seed(9))
    wanted = torch.autograd.grad((expected * slope).sum(), coarse)
    for mine, theirs in zip(torch.autograd.grad((found * slope).sum(), coarse), wanted, strict=True):
        assert torch.allclose(mine, theirs, atol=1e-5)


def test_the_gradient_by_finite_differences(way):
    logits = torch.randn(1, 2, 3, 3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(
        lambda x: shares.mean_shares([x], (4, 5), None, [2, 0]), logits.requires_grad_(True)
    )


def test_large_logits_stay_finite(way):
    logits = torch.tensor([200.0, -200.0, 0.0]).reshape(1, 1, 3, 1, 1).expand(1, 2, 3, 4, 4)
    found = shares.mean_shares([logits], 8)
    assert torch.equal(found[0, :, 0, 0], torch.tensor([1.0, 0.0, 0.0]))


def test_a_token_named_twice_is_refused(coarse):
    with pytest.raises(ValueError, match=r"tokens are \[1, 4, 1\], expected each of them once"):
        shares.mean_shares(coarse, 8, None, [1, -1, 1])
