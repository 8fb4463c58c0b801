"""Unlabelled pictures as further examples: what was learned from a few labels labels them itself.

Only the predictions that are most certain are taken, and learning begins anew from both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from kp_helpers import reading
from kp_helpers.config import Profile
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended
from kp_helpers.evaluate.protocol import Framed, of_run
from kp_helpers.heatmaps import gaussian_target
from kp_helpers.stages import AppendedTokens, Run


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
