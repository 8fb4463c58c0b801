"""A joint read in many views: their maps averaged, their positions averaged, or a vote."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike

from kp_helpers import geometry, heatmaps, reading
from kp_helpers.config import TestTime
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended

WAYS = ("maps", "positions", "vote")
"""The average of the maps (StableKeypoints), the mean of the positions, and where most positions agree."""
VOTE_RADIUS = 0.05
"""Positions agree that lie this near to each other, in [0,1] of the square: the target's own width."""


def by_views(
    diffusion: Diffusion,
    appended: Appended,
    images: torch.Tensor,
    settings: TestTime,
    counts: Sequence[int],
) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """A joint read from the first views of each image, for several numbers of them, in all `WAYS`.

    images: (n, 3, S, S) in [0,1]. settings.views: V, the largest of counts. Returns points (n, 2) in [0,1] by
    name, "1 view" for the plain image and such as "maps of 10 views" for more, and each view's own position,
    (n, V, 2), where the view saw it in the image.
    """
    plain = settings.replace(views=1)
    maps = reading.read_appended(diffusion, appended, images, plain)
    points = {"1 view": reading.read_keypoints(maps, plain).cpu()}
    ways: dict[str, list[torch.Tensor]] = {}
    alone = []
    for own, thetas in reading.appended_views(diffusion, appended, images, settings):
        seen = reading.read_keypoints(own[:, 0], settings).cpu()
        positions = geometry.transform_points(seen[:, None], geometry.invert(thetas))[:, 0]
        alone.append(positions)
        for count in counts:
            if count > 1:
                average = heatmaps.average_views(own[:count], thetas[:count].to(own))[0]
                found = (reading.read_keypoints(average, settings).cpu(), positions[:count].mean(0))
                for way, point in zip(WAYS, (*found, vote(positions[:count])), strict=True):
                    ways.setdefault(f"{way} of {count} views", []).append(point)
    return points | {way: torch.stack(own) for way, own in ways.items()}, torch.stack(alone)


def vote(positions: torch.Tensor) -> torch.Tensor:
    """The mean (2,) of the largest group of positions (V, 2): those within `VOTE_RADIUS` of one of them.

    Among equal groups that of the position which is nearest to all the others on average wins.
    """
    distance = (positions[:, None] - positions[None]).norm(dim=-1)
    votes = (distance <= VOTE_RADIUS).sum(dim=1)
    centrality = torch.where(votes == votes.max(), distance.sum(dim=1), torch.inf)
    return positions[distance[centrality.argmin()] <= VOTE_RADIUS].mean(dim=0)


def humps(errors: ArrayLike, runs: ArrayLike, *, resamples: int = 100, seed: int = 0) -> tuple[int, float]:
    """How many humps the logarithms of errors (n,) > 0 have, 1 or 2, and the share of resamples with two.

    Two if two normal distributions describe them better than one by BIC and their sum has two maxima. A
    resample draws whole runs, (n,) of their numbers, with replacement.
    """
    errors, runs = np.log10(np.asarray(errors, float)), np.asarray(runs)
    by_run = [errors[runs == run] for run in np.unique(runs)]
    rng = np.random.default_rng(seed)
    draws = rng.integers(0, len(by_run), (resamples, len(by_run)))
    two = [_humps(np.concatenate([by_run[run] for run in draw])) == 2 for draw in draws]
    return _humps(errors), float(np.mean(two))


def _humps(values: np.ndarray) -> int:
    from sklearn.mixture import GaussianMixture  # a second of every notebook's start, for one of them

    column = values[:, None]
    one, two = (GaussianMixture(count, random_state=0).fit(column) for count in (1, 2))
    if two.bic(column) >= one.bic(column):
        return 1
    density = two.score_samples(np.linspace(values.min(), values.max(), 500)[:, None])
    inner = density[1:-1]
    return min(2, max(1, int(((inner > density[:-2]) & (inner > density[2:])).sum())))
