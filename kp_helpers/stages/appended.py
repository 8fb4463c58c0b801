"""The supervised stage of Schofield: tokens behind a frozen base, whose map lands on a labelled joint."""

from collections.abc import Iterable
from pathlib import Path

import torch

from kp_helpers import losses
from kp_helpers.config import AppendedStage
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended
from kp_helpers.heatmaps import TARGETS
from kp_helpers.reading import combine, layers_of
from kp_helpers.stages import starts
from kp_helpers.stages.maps import CoupledMaps, ReadoutMaps, TrainingViews, checked_points
from kp_helpers.stages.readout_cache import ReadoutCache

MAP_OBJECTIVES = {"mse": losses.target_loss, "cross_entropy": losses.cross_entropy_loss}
"""(the joint's map, its target map) -> a scalar; "oks" takes the label itself."""


class AppendedTokens:
    """M tokens appended to a frozen base (N, D) so that their map peaks on one joint.

    images: (n, 3, H, W) in [0,1]; points: (n, 2), the joint in each of them as (x, y) in [0,1]. The three
    losses are of one map, the read-out of the appended tokens' maps.
    cache: where read-out mode keeps what the U-Net says of each view, for this run and others that see the
    same: a folder, or a `ReadoutCache` that stages share; None keeps it in memory only.
    inside: the part of each square that shows its picture, (n, 4) as (x0, y0, x1, y1) in [0,1]; the rest is
    bars, which no loss counts. None where there are none.
    about: JSON values of what the losses of a subclass follow from besides all that.
    """

    about: dict | None = None

    def __init__(
        self,
        diffusion: Diffusion,
        base: torch.Tensor,
        images: torch.Tensor,
        points: torch.Tensor,
        settings: AppendedStage,
        *,
        cache: str | Path | ReadoutCache | None = None,
        inside: torch.Tensor | None = None,
    ):
        if settings.readout == "linear":
            raise ValueError("readout is 'linear', which is fitted and not learned: expected `linear_fit`")
        self.diffusion, self.settings = diffusion, settings
        self.base = starts.base_tokens(diffusion, base, settings)
        self.points = checked_points(points, len(images))
        self.views = TrainingViews(diffusion, images, settings, settings.pool, inside)
        if settings.mode == "coupled":
            self.maps = CoupledMaps(self.views, self.base)
        else:
            self.maps = ReadoutMaps(self.views, self.base, ReadoutCache.at(cache, diffusion.device))
        target = TARGETS[settings.target](self.points, settings.reading.map_size, settings.sigma)
        self.targets = target.to(diffusion.device)
        self.data = {"base": self.base, "images": images, "points": points}
        self.data |= {} if inside is None else {"inside": inside}

    def start(self) -> torch.Tensor:
        """The first tokens (M, D): see `starts.start`."""
        return starts.start(self)

    def losses(self, maps: torch.Tensor, theta: torch.Tensor, image: int) -> dict[str, torch.Tensor]:
        """The losses of the joint's map by name. maps: (2, T, S, S), plain and on the view theta (1, 2, 3).

        localization and equivariance as in the base stage, and the target loss against the label's map.
        """
        joint = self.joint_maps(maps)
        plain, moved = joint[:, self.best_of(joint[0], image)]
        sigma, inside = self.settings.localization_sigma * len(plain), self.views.inside(image)
        return {
            "localization": losses.localization_loss(plain[None], sigma, inside),
            "equivariance": losses.equivariance_loss(plain[None], moved[None], theta, inside),
            "target": self.target_loss(plain, image),
        }

    @torch.no_grad()
    def result(self, tokens: torch.Tensor) -> Appended:
        """What was learned; with the read-out "best" also the token of the least target loss over images."""
        settings, best = self.settings, None
        if settings.readout == "best":
            best = int(self.plain_losses(tokens, range(len(self.views))).argmin())
        return Appended(self.base, tokens, settings.readout, best, settings.mode)

    @property
    def layers(self) -> int:
        """How many parts a token has, one for each layer that reads with tokens of its own."""
        return len(layers_of(self.diffusion, self.settings.reading)) if self.settings.layer_tokens else 1

    def target_loss(self, map: torch.Tensor, image: int) -> torch.Tensor:
        """The objective, a scalar: how far a map (S, S) is from what the image's label asks for."""
        inside = self.views.inside(image)
        if self.settings.objective == "oks":
            return losses.oks_loss(map, self.points[image].to(map), self.settings.sigma, inside)
        return MAP_OBJECTIVES[self.settings.objective](map, self.targets[image], inside)

    def joint_maps(self, maps: torch.Tensor) -> torch.Tensor:
        """What may be the joint's map: (B, T, S, S) of all tokens, or of their sum, to (B, K, S, S).

        K is 1, but for the read-out "best", where each token is a candidate.
        """
        return maps if self.settings.readout == "best" else combine(maps, self.settings.readout)[:, None]

    def best_of(self, candidates: torch.Tensor, image: int) -> int:
        """Which of the joint's possible maps (K, S, S) has the least target loss."""
        return int(self.target_losses(candidates, image).argmin()) if len(candidates) > 1 else 0

    @torch.no_grad()
    def target_losses(self, candidates: torch.Tensor, image: int) -> torch.Tensor:
        """The target loss (K,) of each of the joint's possible maps (K, S, S)."""
        return torch.stack([self.target_loss(candidate, image) for candidate in candidates])

    @torch.no_grad()
    def plain_losses(self, tokens: torch.Tensor, images: Iterable[int]) -> torch.Tensor:
        """The sum (K,) over plain images of the target losses of the joint's possible maps."""
        total = 0
        for image in images:
            plain = self.maps(tokens, image, 0)[:1]
            total = total + self.target_losses(self.joint_maps(plain)[0], image)
        return total
