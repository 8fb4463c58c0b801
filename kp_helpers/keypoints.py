"""From heat maps to points, and which tokens make good keypoints.

Points are (x, y) in [0,1], pixel centres at +0.5. Ties go to the first pixel in reading order. `inside` is
which pixels of a map lie in the picture, bool (H, W) or (..., H, W), None for all: no point lies in a bar.
"""

import torch

from kp_helpers.heatmaps import gaussian_target, pixel_centres, pixels_inside

CALIBRATION = (3.85, -5.91)
"""a and b of `hit_probability`, from validation pictures of the reference run of 10_beyond_the_paper."""


def argmax_keypoints(maps: torch.Tensor, inside: torch.Tensor | None = None) -> torch.Tensor:
    """The centre of the largest pixel: (..., H, W) -> (..., 2) as (x, y) in [0,1]."""
    height, width = maps.shape[-2:]
    index = _filled(maps, inside, -torch.inf).flatten(-2).argmax(dim=-1)
    x = (index % width + 0.5) / width
    y = (index.div(width, rounding_mode="floor") + 0.5) / height
    return torch.stack([x, y], dim=-1).to(maps.dtype)


def windowed_average(
    maps: torch.Tensor, radius: float = 5.0, inside: torch.Tensor | None = None
) -> torch.Tensor:
    """The centre of mass of what lies within `radius` pixels of the largest pixel; the rest counts as zero.

    maps: (..., H, W), values >= 0. Returns (..., 2) as (x, y) in [0,1]. StableKeypoints uses 5 pixels at 512.
    Of a map that is zero, the first pixel.
    """
    height, width = maps.shape[-2:]
    peak = argmax_keypoints(maps, inside)
    columns = (pixel_centres(width, maps) - peak[..., :1]) * width
    rows = (pixel_centres(height, maps) - peak[..., 1:]) * height
    distance = rows.square()[..., :, None] + columns.square()[..., None, :]
    # half a thousandth of a pixel keeps the disc's rim inside it, whatever the rounding
    disc = _filled(maps * (distance <= (radius + 5e-4) ** 2), inside, 0.0)
    blank = disc.sum(dim=(-2, -1)) == 0
    return torch.where(blank[..., None], peak, _centre_of_mass(disc))


def soft_argmax(
    maps: torch.Tensor, temperature: float = 1.0, inside: torch.Tensor | None = None
) -> torch.Tensor:
    """The mean point under softmax over pixels of maps / temperature, a differentiable stand-in for argmax.

    maps: (..., H, W). Returns (..., 2) as (x, y) in [0,1]; a small temperature comes nearer to the argmax.
    """
    weights = _filled(maps / temperature, inside, -torch.inf).flatten(-2).softmax(dim=-1)
    return _centre_of_mass(weights.view(maps.shape))


def _filled(maps: torch.Tensor, inside: torch.Tensor | None, value: float) -> torch.Tensor:
    """The maps with `value` in the bars."""
    return maps if inside is None else maps.masked_fill(~inside.to(maps.device), value)


def _centre_of_mass(maps: torch.Tensor) -> torch.Tensor:
    height, width = maps.shape[-2:]
    total = maps.sum(dim=(-2, -1)) + torch.finfo(maps.dtype).tiny
    x = (maps.sum(dim=-2) * pixel_centres(width, maps)).sum(dim=-1) / total
    y = (maps.sum(dim=-1) * pixel_centres(height, maps)).sum(dim=-1) / total
    return torch.stack([x, y], dim=-1)


def runner_up(
    maps: torch.Tensor, points: torch.Tensor, near: float = 0.08, inside: torch.Tensor | None = None
) -> torch.Tensor:
    """How high a map is elsewhere, beside its height at its point: (...,) in [0,1], 0 for a single peak.

    maps: (..., H, W), values >= 0, H equal to W. points: (..., 2) as (x, y) in [0,1], the maxima. Elsewhere:
    the map times 1 - G, G a Gaussian of standard deviation `near` of the side and peak 1 at the point.
    """
    maps = _filled(maps, inside, 0.0)
    elsewhere = maps * (1 - gaussian_target(points, maps.shape[-1], near).to(maps))
    least = torch.finfo(maps.dtype).tiny
    return elsewhere.amax(dim=(-2, -1)) / maps.amax(dim=(-2, -1)).clamp_min(least)


def hit_probability(runner_up: torch.Tensor) -> torch.Tensor:
    """The probability that a fitted keypoint is within a twentieth of the picture, from `runner_up`.

    1 / (1 + exp(-(a + b runner_up))) with `CALIBRATION`, which was fitted on validation pictures of the
    figures world (preset "best", five labels, twelve joints); for another model or world it ranks pictures.
    """
    level, slope = CALIBRATION
    return torch.sigmoid(level + slope * runner_up)


def rank_gaussian(
    maps: torch.Tensor, k: int, sigma: float, floor: float = 1e-5, inside: torch.Tensor | None = None
) -> torch.Tensor:
    """The k tokens whose maps are nearest to one Gaussian blob, nearest first (StableKeypoints).

    Nearness is KL(G || P): P the softmax over pixels of the map, G a Gaussian of standard deviation `sigma`
    pixels at the map's argmax, plus `floor`, normalised. maps: (N, H, W). Returns (k,) indices into N.
    """
    _check_count("rank_gaussian", k, len(maps))
    peaks = argmax_keypoints(maps, inside)
    blobs = gaussian_target(peaks, maps.shape[-1], sigma / maps.shape[-1])
    target = pixels_inside(blobs, inside) + floor
    target = target / target.sum(dim=1, keepdim=True)
    log_share = pixels_inside(maps, inside).log_softmax(dim=1)
    divergence = (target * (target.log() - log_share)).sum(dim=1)
    return divergence.argsort(stable=True)[:k]


def candidates(
    maps: torch.Tensor, k: int, sigma: float, by: str = "gaussian", inside: torch.Tensor | None = None
) -> torch.Tensor:
    """The k tokens that compete for a place, (k,) indices into N of maps (N, H, W), by StableKeypoints' ways.

    by: "gaussian", those nearest to one blob of `sigma` pixels (`rank_gaussian`); "entropy", those whose
    softmax over pixels has the least entropy; "consistent", the first k, the same for every picture.
    """
    if by == "gaussian":
        return rank_gaussian(maps, k, sigma, inside=inside)
    _check_count("candidates", k, len(maps))
    if by == "consistent":
        return torch.arange(k, device=maps.device)
    log_share = pixels_inside(maps, inside).log_softmax(dim=1)
    entropy = -(log_share.exp() * log_share).sum(dim=1)
    return entropy.argsort(stable=True)[:k]


def furthest_points(
    maps: torch.Tensor, k: int, candidates: torch.Tensor, inside: torch.Tensor | None = None
) -> torch.Tensor:
    """k of the candidates, spread out: the furthest pair, then each time the one furthest from all chosen.

    Distances are between argmax positions. maps: (N, H, W). candidates: (C,) indices into N, C >= k; among
    equals the earlier candidate wins. Returns (k,) indices into N in the order in which they were chosen.
    """
    _check_count("furthest_points", k, len(candidates))
    points = argmax_keypoints(maps[candidates], inside)
    distance = torch.cdist(points[None], points[None], compute_mode="donot_use_mm_for_euclid_dist")[0]
    pairs = torch.ones_like(distance).triu(1).bool()  # each pair once, also where all points coincide
    chosen = list(divmod(int(distance.where(pairs, -1.0).argmax()), len(points)))[:k]
    while len(chosen) < k:
        nearest = distance[:, chosen].min(dim=1).values
        nearest[chosen] = -1.0
        chosen.append(int(nearest.argmax()))
    return candidates[chosen]


def most_chosen(choices: torch.Tensor, k: int) -> torch.Tensor:
    """The k tokens that occur most often in `choices` (any shape, indices), the most frequent first.

    Among equally frequent tokens the smaller index wins. Returns (k,) indices.
    """
    tokens, counts = choices.flatten().unique(return_counts=True)
    _check_count("most_chosen", k, len(tokens))
    return tokens[counts.argsort(descending=True, stable=True)[:k]]


def _check_count(name: str, k: int, available: int) -> None:
    if not 1 <= k <= available:
        raise ValueError(f"{name}: k is {k}, expected 1 to {available}, the number of tokens to choose from")
