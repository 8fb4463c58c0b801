"""What else is asked of learned embeddings: read in many views, compared, and as labellers of pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from sklearn.mixture import GaussianMixture

from kp_helpers import geometry, heatmaps, reading
from kp_helpers.config import Profile, TestTime
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended
from kp_helpers.evaluate.protocol import Framed, of_run
from kp_helpers.heatmaps import gaussian_target
from kp_helpers.stages import AppendedTokens, Run


def token_cosines(learned: Sequence[Appended]) -> torch.Tensor:
    """Cosine similarity of the embeddings' tokens, (E, E), token by token in their order, then the mean."""
    tokens = torch.stack([F.normalize(one.tokens, dim=-1) for one in learned])
    return torch.einsum("amd,bmd->ab", tokens, tokens) / tokens.shape[1]


def map_correlations(
    diffusion: Diffusion, learned: Sequence[Appended], images: torch.Tensor, settings: TestTime
) -> torch.Tensor:
    """Pearson's correlation of the maps of each two embeddings, (E, E), the mean over images (n, 3, S, S).

    It says whether two embeddings look at the same places, whatever their tokens are.
    """
    seen = [reading.read_appended(diffusion, one, images, settings).flatten(1) for one in learned]
    maps = torch.stack(seen)
    maps = F.normalize(maps - maps.mean(dim=-1, keepdim=True), dim=-1)
    return torch.einsum("anp,bnp->ab", maps, maps) / len(images)


def average(learned: Sequence[Appended]) -> Appended:
    """The mean of the embeddings' tokens, token by token."""
    return _joined(learned, lambda tokens: torch.stack(tokens).mean(dim=0))


def side_by_side(learned: Sequence[Appended]) -> Appended:
    """All tokens of the embeddings in one context; they share out each pixel among them."""
    return _joined(learned, torch.cat)


def _joined(learned: Sequence[Appended], join: Callable) -> Appended:
    """One embedding from the tokens of several, and from their rivals where they have any."""
    rivals = [one.rivals for one in learned if one.rivals is not None]
    return replace(
        learned[0],
        tokens=join([one.tokens for one in learned]),
        rivals=join(rivals) if len(rivals) == len(learned) else None,
    )


@dataclass(frozen=True)
class PseudoLabelled:
    """Unlabelled pictures with the labels that an embedding gave them, the most certain first.

    pictures: n of them. points: (n, 2) as (x, y) in [0,1] of their squares. certainty: (n,), in [0,1].
    """

    pictures: Framed
    points: torch.Tensor
    certainty: torch.Tensor


def certainty(maps: torch.Tensor, points: torch.Tensor, sigma: float) -> torch.Tensor:
    """How much of a map's mass lies round its point, (n,) in [0,1].

    maps: (n, S, S), not negative. points: (n, 2) in [0,1]. sigma: of the Gaussian weight, which is 1 at the
    point, as a fraction of the side.
    """
    near = gaussian_target(points, maps.shape[-1], sigma).to(maps)
    return (maps * near).sum(dim=(1, 2)) / maps.sum(dim=(1, 2)).clamp_min(torch.finfo(maps.dtype).tiny)


@torch.no_grad()
def pseudo_labelled(
    diffusion: Diffusion, appended: Appended, pictures: Framed, settings: Profile, keep: int
) -> PseudoLabelled:
    """The `keep` pictures of which the embedding is most certain."""
    maps = reading.read_appended(diffusion, appended, pictures.images, settings.test)
    points = reading.read_keypoints(maps, settings.test)
    sure = certainty(maps, points, settings.appended.sigma)
    first = sure.argsort(descending=True, stable=True)[:keep].tolist()
    return PseudoLabelled(_some(pictures, first), points[first].cpu(), sure[first].cpu())


def learn_with(
    diffusion: Diffusion,
    base: torch.Tensor,
    train: Framed,
    more: PseudoLabelled,
    joint: str,
    settings: Profile,
    run: int,
    *,
    cache: Path | None = None,
    checkpoint: Path | None = None,
) -> Appended:
    """`learn`, from labelled pictures and pseudo-labelled ones alike.

    Of a pseudo-labelled picture the other side's joint is not known.
    """
    images = torch.cat([train.images, more.pictures.images])
    own, sided = train.points(joint), train.others(joint)
    midline = torch.equal(own, sided)
    others = torch.cat([sided, more.points if midline else torch.full_like(more.points, torch.nan)])
    points, of_this_run = torch.cat([own, more.points]), of_run(settings.appended, run)
    stage = AppendedTokens(diffusion, base, images, points, of_this_run, others=others, cache=cache)
    learning = Run(stage, checkpoint)
    for _ in learning:
        pass
    return learning.result


def _some(pictures: Framed, numbers: Sequence[int]) -> Framed:
    samples, squares = ([own[n] for n in numbers] for own in (pictures.samples, pictures.squares))
    return replace(
        pictures, samples=tuple(samples), squares=tuple(squares), images=pictures.images[list(numbers)]
    )


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


def vote(positions: torch.Tensor, radius: float = VOTE_RADIUS) -> torch.Tensor:
    """The mean (2,) of the largest group of positions (V, 2): those within `radius` of one of them.

    Among equal groups that of the position which is nearest to all the others on average wins.
    """
    distance = (positions[:, None] - positions[None]).norm(dim=-1)
    votes = (distance <= radius).sum(dim=1)
    centrality = torch.where(votes == votes.max(), distance.sum(dim=1), torch.inf)
    return positions[distance[centrality.argmin()] <= radius].mean(dim=0)


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
    column = values[:, None]
    one, two = (GaussianMixture(count, random_state=0).fit(column) for count in (1, 2))
    if two.bic(column) >= one.bic(column):
        return 1
    density = two.score_samples(np.linspace(values.min(), values.max(), 500)[:, None])
    inner = density[1:-1]
    return min(2, max(1, int(((inner > density[:-2]) & (inner > density[2:])).sum())))
