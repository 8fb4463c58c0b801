import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform
from scipy.stats import multivariate_normal

from kp_helpers import geometry, heatmaps


def _view(seed):
    return geometry.random_affine(torch.Generator().manual_seed(seed))


def test_gaussian_target_is_scipys_density_with_peak_one():
    height, width, sigma = 12, 20, 0.05
    target = heatmaps.gaussian_target(torch.tensor([0.3, 0.7], dtype=torch.float64), (height, width), sigma)
    x, y = np.meshgrid((np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height)
    density = multivariate_normal([0.3, 0.7], sigma**2).pdf(np.stack([x, y], -1))
    assert np.allclose(target.numpy(), density * 2 * np.pi * sigma**2, atol=1e-12)


def test_cauchy_target_by_hand_and_beside_the_gaussian():
    keypoint = torch.tensor([0.5, 0.5], dtype=torch.float64)
    cauchy, gaussian = (f(keypoint, 101, 0.05) for f in (heatmaps.cauchy_target, heatmaps.gaussian_target))
    assert cauchy[50, 50] == 1 and gaussian[50, 50] == 1
    right = (10 / 101) / 0.05
    assert cauchy[50, 60].item() == pytest.approx(1 / (1 + right**2))
    assert cauchy[50, 51] < gaussian[50, 51]  # steeper in the centre
    assert cauchy[50, 70] > gaussian[50, 70]  # thicker tails


def test_targets_take_leading_axes():
    points = torch.rand(4, 3, 2, generator=torch.Generator().manual_seed(0))
    maps = heatmaps.gaussian_target(points, 16, 0.1)
    assert maps.shape == (4, 3, 16, 16)
    assert torch.equal(maps[2, 1], heatmaps.gaussian_target(points[2, 1], 16, 0.1))


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan")])
def test_a_sigma_of_no_width_is_refused(sigma):
    with pytest.raises(ValueError, match="expected a fraction of the image above 0"):
        heatmaps.gaussian_target(torch.tensor([0.5, 0.5]), 8, sigma)


def test_warp_back_is_scipys_affine_transform():
    """Independent of torch: sample the map with scipy at the places that the inverse matrix names."""
    size, theta = 32, _view(1)
    maps = torch.rand(2, size, size, generator=torch.Generator().manual_seed(0))
    inverse = np.linalg.inv(np.vstack([theta[0].numpy(), [0, 0, 1]]))
    flip = inverse[[1, 0]][:, [1, 0, 2]]  # (row, col) instead of (x, y)
    centre = (size - 1) / 2
    offset = centre + flip[:, 2] * size / 2 - flip[:, :2] @ [centre, centre]
    expected = [
        affine_transform(m, flip[:, :2], offset, order=1, mode="grid-constant", cval=0) for m in maps.numpy()
    ]
    found = heatmaps.warp_back(maps, theta)
    assert np.allclose(found.numpy(), np.stack(expected), atol=1e-4)
    batch = heatmaps.warp_back(maps[None], theta)
    assert torch.equal(batch[0], found)


def test_warp_back_undoes_a_view():
    smooth = heatmaps.gaussian_target(torch.tensor([[0.5, 0.45]]), 64, 0.1)
    theta = _view(2)
    back = heatmaps.warp_back(geometry.warp(smooth[None], theta)[0], theta)
    assert torch.allclose(back[:, 20:44, 20:44], smooth[:, 20:44, 20:44], atol=0.02)


def test_average_views_is_the_sum_over_what_was_seen():
    thetas = torch.cat([_view(seed) for seed in range(3)])
    maps = torch.rand(3, 2, 24, 24, generator=torch.Generator().manual_seed(0))
    ones = torch.ones(1, 24, 24)
    total = sum(heatmaps.warp_back(maps[v], thetas[v : v + 1]) for v in range(3))
    seen = sum(heatmaps.warp_back(ones, thetas[v : v + 1]) for v in range(3))
    average = heatmaps.average_views(maps, thetas)
    assert torch.allclose(average, (total / seen).nan_to_num(0.0), atol=1e-6)


def test_where_no_view_looked_the_average_is_zero():
    theta = torch.tensor([[[0.5, 0, 0], [0, 0.5, 0]]])  # sees the middle half
    average = heatmaps.average_views(torch.ones(1, 1, 16, 16), theta)
    assert torch.allclose(average[0, 5:11, 5:11], torch.ones(6, 6)) and average[0, 0, 0] == 0
    assert torch.isfinite(average).all()


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match=r"\(2, 3, 8, 8\) and theta \(1, 2, 3\)"):
        heatmaps.warp_back(torch.zeros(2, 3, 8, 8), _view(0))
