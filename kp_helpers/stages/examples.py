"""What the appended stage learns from: labelled pictures and, where settings ask for them, mirrored ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from kp_helpers.config import AppendedStage, ConfigError


@dataclass(frozen=True, eq=False)
class Examples:
    """Pictures with a joint of one person's side each, as the run sees them.

    images: (n, 3, H, W). points: (n, 2), the joint that is learned from each. others: (n, 2), its counterpart
    of the other side; NaN where it is not known. rival: of each, whether its joint is the rivals'. midline:
    whether the joint is its own counterpart.
    """

    images: torch.Tensor
    points: torch.Tensor
    others: torch.Tensor
    rival: Sequence[bool]
    midline: bool

    def __len__(self) -> int:
        return len(self.images)

    @property
    def has_rivals(self) -> bool:
        return any(self.rival)


def examples_of(
    images: torch.Tensor, points: torch.Tensor, others: torch.Tensor | None, settings: AppendedStage
) -> Examples:
    """The pictures (n, 3, H, W) with their labels and, behind them, what `settings.mirror` makes of them.

    points: (n, 2) as (x, y) in [0,1]. others: (n, 2), the other side's joint, NaN where it is not known; the
    points themselves say that the joint is of the midline, None that nothing is known.
    "rivals": the mirrored picture shows the joint as the other side's, at the mirrored label. "examples": it
    shows the other side's joint as this one, at that one's mirrored label; so does any joint of the midline.
    """
    points = checked_points("points", points, len(images))
    midline = others is not None and torch.equal(torch.as_tensor(others, dtype=torch.float32), points)
    others = _others(others, points, settings)
    if settings.mirror == "none":
        return Examples(images, points, others, [False] * len(points), midline)
    rivals = settings.mirror == "rivals" and not midline
    theirs, opposite = (points, others) if rivals else (others, points)
    known = ~theirs.isnan().any(dim=1)
    return Examples(
        torch.cat([images, images[known.to(images.device)].flip(-1)]),
        torch.cat([points, mirrored(theirs[known])]),
        torch.cat([others, mirrored(opposite[known])]),
        [False] * len(points) + [rivals] * int(known.sum()),
        midline,
    )


def mirrored(points: torch.Tensor) -> torch.Tensor:
    """Where the mirrored picture shows points (..., 2): (1 - x, y)."""
    return torch.stack([1 - points[..., 0], points[..., 1]], dim=-1)


def _others(others: torch.Tensor | None, points: torch.Tensor, settings: AppendedStage) -> torch.Tensor:
    found = torch.full_like(points, torch.nan)
    if others is not None:
        found = checked_points("others", others, len(points), unknown=True)
    if found.isnan().any(dim=1).all() and (settings.mirror == "examples" or settings.other_side_weight):
        asked = f"mirror is {settings.mirror!r} and other_side_weight {settings.other_side_weight}"
        raise ConfigError(
            f"{asked}, but others know no image's; expected the other side's joint in some image"
        )
    return found


def checked_points(name: str, points: torch.Tensor, images: int, unknown: bool = False) -> torch.Tensor:
    """Points (n, 2) in [0,1]; with `unknown` NaN too."""
    points = torch.as_tensor(points, dtype=torch.float32)
    if points.shape != (images, 2):
        raise ValueError(
            f"{name} have shape {tuple(points.shape)}, expected ({images}, 2), one joint an image"
        )
    inside = (points >= 0) & (points <= 1) | (points.isnan() & unknown)
    if not inside.all():
        image = int((~inside).any(dim=1).nonzero()[0])
        raise ValueError(f"{name}: image {image} has {points[image].tolist()}, expected (x, y) in [0,1]")
    return points
