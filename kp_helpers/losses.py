"""The losses of the two stages. Maps have their values in [0,1]; every loss is a mean, so sizes compare.

`inside` is the pixels of a map that lie in the picture, bool (S, S), None for all: bars count in no mean.
"""

import torch
import torch.nn.functional as F

from kp_helpers.heatmaps import gaussian_target, pixels_inside, warp_back
from kp_helpers.keypoints import argmax_keypoints, soft_argmax

TEMPERATURE = 0.02
"""Of the soft-argmax in a loss: a map whose peak is .2 above the rest puts e^10 times the weight there."""


def localization_loss(maps: torch.Tensor, sigma: float, inside: torch.Tensor | None = None) -> torch.Tensor:
    """mean_n mean_px (M_n - G_n)^2: each map should be one blob where it is largest now (StableKeypoints).

    G_n is a Gaussian of peak 1 and standard deviation `sigma` pixels of the map at the argmax of M_n; no
    gradient passes through its place. maps: (..., N, S, S). Returns a scalar.
    """
    if maps.ndim < 3 or maps.shape[-1] != maps.shape[-2]:
        raise ValueError(f"localization_loss: maps have shape {tuple(maps.shape)}, expected (..., N, S, S)")
    size = maps.shape[-1]
    blobs = gaussian_target(argmax_keypoints(maps.detach(), inside), size, sigma / size)
    return pixels_inside((maps - blobs).square(), inside).mean()


def equivariance_loss(
    maps: torch.Tensor,
    maps_transformed: torch.Tensor,
    theta: torch.Tensor,
    inside: torch.Tensor | None = None,
) -> torch.Tensor:
    """mean_n mean_px (T^-1(M_n(T(x))) - M_n(x))^2: the maps should move with the image (StableKeypoints).

    maps: (N, H, W) of the plain view; maps_transformed: (N, H, W) of the view `theta` (1, 2, 3). Batches
    (B, N, H, W) with theta (B, 2, 3) too. Returns a scalar.
    """
    _check_same("equivariance_loss", "maps_transformed", maps_transformed, maps)
    return pixels_inside((warp_back(maps_transformed, theta) - maps).square(), inside).mean()


def target_loss(map: torch.Tensor, target: torch.Tensor, inside: torch.Tensor | None = None) -> torch.Tensor:
    """mean over all pixels of (map - target)^2 (Schofield). Both (..., H, W). Returns a scalar."""
    _check_same("target_loss", "target", target, map)
    return pixels_inside((map - target).square(), inside).mean()


def cross_entropy_loss(
    map: torch.Tensor, target: torch.Tensor, inside: torch.Tensor | None = None
) -> torch.Tensor:
    """-sum_px t log p, with p and t the map and the target each divided by its sum over pixels, mean over
    maps.

    The kit's own alternative to `target_loss`: a map that is nearly zero everywhere is not nearly right under
    it. map, target: (..., H, W), values >= 0. Returns a scalar; its smallest value is the entropy of t.
    """
    _check_same("cross_entropy_loss", "target", target, map)
    tiny = torch.finfo(map.dtype).tiny
    flat, goal = pixels_inside(map, inside), pixels_inside(target, inside)
    log_share = (flat + tiny).log() - (flat.sum(-1, keepdim=True) + tiny).log()
    share = goal / goal.sum(-1, keepdim=True)
    return -(share * log_share).sum(-1).mean()


def coordinate_loss(found: torch.Tensor, desired: torch.Tensor) -> torch.Tensor:
    """mean_n |p_n - q_n|^2: the squared distance of found from desired points (Schofield, failed).

    found, desired: (..., 2) as (x, y) in [0,1]. Returns a scalar. The place of a map's maximum passes no
    gradient on to the map; that of `keypoints.soft_argmax` does.
    """
    _check_same("coordinate_loss", "desired", desired, found)
    return (found - desired).square().sum(dim=-1).mean()


def oks_loss(
    map: torch.Tensor, point: torch.Tensor, sigma: float, inside: torch.Tensor | None = None
) -> torch.Tensor:
    """mean_n (1 - exp(-|p_n - q_n|^2 / (2 sigma^2))), one less the similarity that COCO scores keypoints by.

    p_n is the map's soft-argmax at `TEMPERATURE`, q_n the label. map: (..., H, W) in [0,1]; point: (..., 2)
    as (x, y) in [0,1]; sigma: a fraction of the image. Returns a scalar. Far from the label it is 1 and
    nearly without a gradient.
    """
    found = soft_argmax(map, TEMPERATURE, inside)
    _check_same("oks_loss", "point", point, found)
    return (1 - torch.exp(-(found - point).square().sum(dim=-1) / (2 * sigma**2))).mean()


def similarity_loss(found: torch.Tensor, desired: torch.Tensor) -> torch.Tensor:
    """mean_n (1 - u_n . v_n / (|u_n| |v_n|)): embeddings of crops (Schofield, failed).

    found, desired: (..., D). Returns a scalar from 0, the same direction, to 2, the opposite one.
    """
    _check_same("similarity_loss", "desired", desired, found)
    return (1 - F.cosine_similarity(found, desired, dim=-1)).mean()


def _check_same(loss: str, name: str, found: torch.Tensor, expected: torch.Tensor) -> None:
    if found.shape != expected.shape:
        raise ValueError(f"{loss}: {name} has shape {tuple(found.shape)}, expected {tuple(expected.shape)}")
