import numpy as np
import pytest
import torch
from scipy.spatial.distance import cosine
from scipy.stats import entropy

from kp_helpers import geometry, losses
from kp_helpers.heatmaps import gaussian_target
from kp_helpers.keypoints import argmax_keypoints, soft_argmax


def _maps(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_localization_is_the_formula_written_out():
    maps, sigma = _maps(3, 12, 12), 2.0
    rows, columns = np.mgrid[:12, :12]
    errors = []
    for m in maps.numpy():
        row, column = np.unravel_index(m.argmax(), m.shape)
        blob = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * sigma**2))
        errors.append(((m - blob) ** 2).mean())
    assert losses.localization_loss(maps, sigma).item() == pytest.approx(np.mean(errors), rel=1e-5)


def test_localization_of_a_blob_is_nothing():
    blob = gaussian_target(torch.tensor([[4.5 / 16, 9.5 / 16]]), 16, 2 / 16)
    assert losses.localization_loss(blob, 2.0).item() == pytest.approx(0, abs=1e-12)


def test_equivariance_of_maps_that_move_by_whole_pixels():
    plain = torch.zeros(1, 16, 16)
    plain[0, 6:9, 5:8] = _maps(3, 3)
    theta = torch.tensor([[[1.0, 0, 3 * 2 / 16], [0, 1, -2 * 2 / 16]]])  # the view looks 3 right and 2 up
    moved = plain.roll((2, -3), dims=(1, 2))
    assert losses.equivariance_loss(plain, moved, theta).item() == pytest.approx(0, abs=1e-10)
    assert losses.equivariance_loss(plain, plain, theta) > 1e-3


def test_equivariance_of_a_batch_is_the_mean_over_it():
    plain, moved = _maps(2, 3, 8, 8), _maps(2, 3, 8, 8, seed=1)
    thetas = torch.cat([geometry.random_affine(torch.Generator().manual_seed(s)) for s in range(2)])
    each = [losses.equivariance_loss(plain[i], moved[i], thetas[i : i + 1]).item() for i in range(2)]
    assert losses.equivariance_loss(plain, moved, thetas).item() == pytest.approx(np.mean(each), rel=1e-5)


def test_target_is_the_mean_square():
    found, target = _maps(7, 9), _maps(7, 9, seed=1)
    expected = ((found.numpy() - target.numpy()) ** 2).mean()
    assert losses.target_loss(found, target).item() == pytest.approx(expected, rel=1e-5)


def test_cross_entropy_is_scipys_divergence_plus_entropy():
    found, target = _maps(9, 9).double(), _maps(9, 9, seed=1).double()
    p, t = (m.numpy().ravel() / m.sum().item() for m in (found, target))
    assert losses.cross_entropy_loss(found, target).item() == pytest.approx(entropy(t, p) + entropy(t))
    assert losses.cross_entropy_loss(target, target).item() == pytest.approx(entropy(t))


def test_cross_entropy_of_an_empty_map_is_finite():
    empty = torch.zeros(4, 4, requires_grad=True)
    loss = losses.cross_entropy_loss(empty, _maps(4, 4))
    assert torch.isfinite(loss)


@pytest.mark.parametrize(
    "name",
    ["localization", "target", "cross_entropy", "equivariance", "similarity", "oks"],
)
def test_gradients_against_differences(name):
    maps = _maps(2, 6, 6, seed=5).double().requires_grad_(True)
    other = _maps(2, 6, 6, seed=6).double()
    theta = geometry.random_affine(torch.Generator().manual_seed(0)).double()
    loss = {
        "localization": lambda m: losses.localization_loss(m, 1.0),
        "target": lambda m: losses.target_loss(m, other),
        "cross_entropy": lambda m: losses.cross_entropy_loss(m, other),
        "equivariance": lambda m: losses.equivariance_loss(other, m, theta),
        "similarity": lambda m: losses.similarity_loss(m, other),
        "oks": lambda m: losses.oks_loss(m / 10, other[:, 0, :2], 0.5),
    }[name]
    assert torch.autograd.gradcheck(loss, maps)


def test_coordinate_by_hand():
    found, desired = torch.tensor([[0.1, 0.5], [0.7, 0.2]]), torch.tensor([[0.4, 0.9], [0.7, 0.3]])
    assert losses.coordinate_loss(found, desired).item() == pytest.approx((0.25 + 0.01) / 2)
    assert losses.coordinate_loss(found[0], desired[0]).item() == pytest.approx(0.25)


def test_oks_by_hand():
    """A map with one high pixel has its soft-argmax there: (3.5, 1.5) / 10."""
    map, point = torch.zeros(10, 10), torch.tensor([0.05, 0.15])
    map[1, 3] = 1.0
    assert losses.oks_loss(map, point, 0.2).item() == pytest.approx(1 - np.exp(-0.09 / 0.08), rel=1e-4)
    assert losses.oks_loss(map, torch.tensor([0.35, 0.15]), 0.2).item() == pytest.approx(0, abs=1e-6)


def test_similarity_is_scipys_cosine_distance():
    found, desired = _maps(4, 7), _maps(4, 7, seed=1)
    each = [cosine(*pair) for pair in zip(found.numpy(), desired.numpy(), strict=True)]
    assert losses.similarity_loss(found, desired).item() == pytest.approx(np.mean(each), rel=1e-5)
    assert losses.similarity_loss(found, -3 * found).item() == pytest.approx(2)


def test_the_coordinate_of_a_maximum_has_no_gradient_and_that_of_a_soft_argmax_has():
    map, desired = _maps(9, 9).double().requires_grad_(True), torch.tensor([0.2, 0.7]).double()
    assert not losses.coordinate_loss(argmax_keypoints(map), desired).requires_grad
    assert torch.autograd.gradcheck(lambda m: losses.coordinate_loss(soft_argmax(m, 0.1), desired), map)


def test_shapes_that_differ_are_named():
    with pytest.raises(ValueError, match=r"coordinate_loss: desired has shape \(2,\), expected \(3, 2\)"):
        losses.coordinate_loss(torch.zeros(3, 2), torch.zeros(2))
    with pytest.raises(ValueError, match=r"similarity_loss: desired has shape \(2, 4\), expected \(2, 5\)"):
        losses.similarity_loss(torch.zeros(2, 5), torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"oks_loss: point has shape \(3,\), expected \(2,\)"):
        losses.oks_loss(torch.zeros(4, 4), torch.zeros(3), 0.1)
    with pytest.raises(ValueError, match=r"target_loss: target has shape \(4, 5\), expected \(4, 4\)"):
        losses.target_loss(torch.zeros(4, 4), torch.zeros(4, 5))
    with pytest.raises(ValueError, match=r"localization_loss: maps have shape \(2, 4, 5\)"):
        losses.localization_loss(torch.zeros(2, 4, 5), 1.0)
