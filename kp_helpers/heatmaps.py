"""Heat maps: the targets that a labelled joint asks for, and maps of several views brought back to one.

A map has its values at pixel centres: pixel (row i, column j) of an (H, W) map stands for the point
((j + 0.5) / W, (i + 0.5) / H).
"""

import torch

from kp_helpers.geometry import invert, warp


def gaussian_target(keypoint: torch.Tensor, size: int | tuple[int, int], sigma: float = 0.05) -> torch.Tensor:
    """exp(-(dx^2 + dy^2) / (2 sigma^2)), peak 1 at the keypoint (Schofield's target).

    keypoint: (..., 2) as (x, y) in [0,1]. size: S or (H, W). sigma: standard deviation as a fraction of each
    image dimension, so an ellipse in pixels where the map is not square. Returns (..., H, W) in [0,1].
    """
    return torch.exp(-_squared_distance(keypoint, size, sigma) / 2)


def cauchy_target(keypoint: torch.Tensor, size: int | tuple[int, int], sigma: float = 0.05) -> torch.Tensor:
    """1 / (1 + (dx^2 + dy^2) / sigma^2), peak 1: thicker tails and a steeper centre than the Gaussian.

    Arguments as for `gaussian_target`; sigma is the distance at which the value has fallen to one half.
    """
    return 1 / (1 + _squared_distance(keypoint, size, sigma))


TARGETS = {"gaussian": gaussian_target, "cauchy": cauchy_target}
"""Shape -> (keypoints, size, sigma) -> target maps."""


def pixel_centres(size: int, like: torch.Tensor | None = None) -> torch.Tensor:
    """(i + 0.5) / size for i = 0 .. size - 1, in [0,1]; with the dtype and device of `like`."""
    like = torch.empty(0) if like is None else like
    return (torch.arange(size, device=like.device, dtype=like.dtype) + 0.5) / size


def inside_mask(part: torch.Tensor | None, size: int) -> torch.Tensor | None:
    """Which pixels of a map lie in the picture, bool (..., size, size): those with their centre in `part`,
    and in any case the one at its middle.

    part: (..., 4) as (x0, y0, x1, y1) in [0,1], the rest of the square is bars; None where there are none.
    """
    if part is None:
        return None
    x0, y0, x1, y1 = part[..., None].unbind(dim=-2)
    rows, columns = _between(y0, y1, size), _between(x0, x1, size)
    return rows[..., :, None] & columns[..., None, :]


def _between(low: torch.Tensor, high: torch.Tensor, size: int) -> torch.Tensor:
    """Which of `size` pixels have their centre between two bounds (..., 1), or are in the middle of them."""
    centres = pixel_centres(size, low)
    middle = (centres * size).floor() == ((low + high) / 2 * size).floor()
    return ((centres > low) & (centres < high)) | middle


def pixels_inside(maps: torch.Tensor, inside: torch.Tensor | None) -> torch.Tensor:
    """The pixels of maps (..., H, W) that lie in the picture, (..., P); inside: (H, W), None for all."""
    flat = maps.flatten(-2)
    return flat if inside is None else flat[..., inside.flatten().to(maps.device)]


def _squared_distance(keypoint: torch.Tensor, size: int | tuple[int, int], sigma: float) -> torch.Tensor:
    """Squared distance of every pixel centre from the keypoint in units of sigma, (..., H, W)."""
    if keypoint.shape[-1:] != (2,):
        raise ValueError(f"keypoint has shape {tuple(keypoint.shape)}, expected (..., 2) as (x, y) in [0,1]")
    if not sigma > 0:
        raise ValueError(f"sigma is {sigma}, expected a fraction of the image above 0")
    height, width = (size, size) if isinstance(size, int) else size
    dx = (pixel_centres(width, keypoint) - keypoint[..., :1]) / sigma
    dy = (pixel_centres(height, keypoint) - keypoint[..., 1:]) / sigma
    return dy.square()[..., :, None] + dx.square()[..., None, :]


def warp_back(maps: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
    """T^-1: maps of the view `theta` brought back to the image, bilinear, zero where the view saw nothing.

    maps: (N, H, W) with theta (1, 2, 3), or (B, N, H, W) with theta (B, 2, 3). Same shape back. The inverse
    matrix is applied in one resampling step.
    """
    if maps.ndim == 3:
        return warp_back(maps[None], theta)[0]
    if maps.ndim != 4 or len(maps) != len(theta):
        raise ValueError(
            f"warp_back: maps have shape {tuple(maps.shape)} and theta {tuple(theta.shape)}, "
            "expected (B, N, H, W) with (B, 2, 3)"
        )
    return warp(maps, invert(theta))


def average_views(maps: torch.Tensor, thetas: torch.Tensor) -> torch.Tensor:
    """Test-time average: sum over views of the maps brought back, over the sum of ones brought back.

    maps: (V, N, H, W), the maps of V views. thetas: (V, 2, 3). Returns (N, H, W); zero where no view looked.
    """
    seen = warp_back(torch.ones_like(maps[:, :1]), thetas).sum(dim=0)
    total = warp_back(maps, thetas).sum(dim=0)
    return torch.where(seen > 0, total / seen, torch.zeros_like(total))
