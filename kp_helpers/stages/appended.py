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
from kp_helpers.stages import restarts, starts
from kp_helpers.stages.examples import examples_of
from kp_helpers.stages.maps import CoupledMaps, ReadoutMaps
from kp_helpers.stages.readout_cache import ReadoutCache
from kp_helpers.stages.views import TrainingViews

MAP_OBJECTIVES = {"mse": losses.target_loss, "cross_entropy": losses.cross_entropy_loss}
"""(the joint's map, its target map) -> a scalar."""
POINT_OBJECTIVES = {"soft_argmax": losses.soft_argmax_loss, "oks": losses.oks_loss}
"""(the joint's map, its label, the target's sigma) -> a scalar."""
OBJECTIVES = MAP_OBJECTIVES | POINT_OBJECTIVES


class AppendedTokens:
    """M tokens appended to a frozen base (N, D) so that their map peaks on one joint.

    images: (n, 3, H, W) in [0,1]; points: (n, 2), the joint in each of them as (x, y) in [0,1]. The three
    losses are of one map, the read-out of the appended tokens' maps.
    others: (n, 2), the other side's joint, NaN where it is not known; the points themselves for a joint of
    the midline. `mirror` "examples" and `other_side_weight` need them, and all else learns nothing from them.
    cache: where read-out mode keeps what the U-Net says of each view, for this run and others that see the
    same: a folder, or a `ReadoutCache` that stages share; None keeps it in memory only.
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
        others: torch.Tensor | None = None,
        cache: str | Path | ReadoutCache | None = None,
    ):
        self.diffusion, self.settings = diffusion, settings
        self.base = starts.base_tokens(diffusion, base, settings)
        self.examples = examples_of(images, points, others, settings)
        self.views = TrainingViews(diffusion, self.examples.images, settings, settings.pool)
        if settings.mode == "coupled":
            self.maps = CoupledMaps(self.views, self.base)
        else:
            self.maps = ReadoutMaps(self.views, self.base, ReadoutCache.at(cache, diffusion.device))
        self.targets = self._target(self.examples.points)
        self.elsewhere = self._target(self.examples.others)
        self.data = {"base": self.base, "images": images, "points": points}
        if others is not None:
            self.data["others"] = others

    def start(self) -> torch.Tensor:
        """The first tokens (M, D): see `starts.start`."""
        return starts.start(self)

    def losses(self, maps: torch.Tensor, theta: torch.Tensor, image: int) -> dict[str, torch.Tensor]:
        """The losses of the joint's map by name. maps: (2, T, S, S), plain and on the view theta (1, 2, 3).

        localization and equivariance as in the base stage, and the target loss against the label's map.
        """
        joint = self.joint_maps(maps, image)
        plain, moved = joint[:, self.best_of(joint[0], image)]
        sigma = self.settings.localization_sigma * len(plain)
        terms = {
            "localization": losses.localization_loss(plain[None], sigma),
            "equivariance": losses.equivariance_loss(plain[None], moved[None], theta),
            "target": OBJECTIVES[self.settings.objective](plain, *self.label(image)),
        }
        if self.settings.other_side_weight and self.knows_other_side(image):
            terms["other_side"] = losses.other_side_loss(plain, self.targets[image], self.elsewhere[image])
        elif self.settings.other_side_weight:
            terms["other_side"] = 0 * plain.sum()
        return terms

    @torch.no_grad()
    def result(self, tokens: torch.Tensor) -> Appended:
        """What was learned: of several restarts the one that `restart_by` says."""
        settings, best = self.settings, None
        if settings.restarts > 1:
            tokens = tokens[restarts.chosen(self, tokens)]
        if settings.readout == "best":
            best = int(self.plain_losses(tokens, range(len(self.examples))).argmin())
        rivals = None
        if self.examples.has_rivals:
            tokens, rivals = tokens.chunk(2)
        midline = self.examples.midline
        return Appended(
            self.base, tokens, settings.readout, best, settings.mode, rivals=rivals, midline=midline
        )

    @property
    def layers(self) -> int:
        """How many parts a token has, one for each layer that reads with tokens of its own."""
        return len(layers_of(self.diffusion, self.settings.reading)) if self.settings.layer_tokens else 1

    def label(self, image: int) -> tuple:
        """What the objective compares the joint's map with."""
        if self.settings.objective in MAP_OBJECTIVES:
            return (self.targets[image],)
        return self.examples.points[image].to(self.targets), self.settings.sigma

    def joint_maps(self, maps: torch.Tensor, image: int) -> torch.Tensor:
        """What may be the joint's map: (B, T, S, S) of all tokens, of their sum or of sides, to (B, K, S, S).

        K is 1, but for the read-out "best", where each token is a candidate. Of two sides it is the one whose
        joint the image is an example of.
        """
        if self.examples.has_rivals:
            maps = maps.unflatten(1, (2, -1))[:, int(self.examples.rival[image])]
        return maps if self.settings.readout == "best" else combine(maps, self.settings.readout)[:, None]

    def best_of(self, candidates: torch.Tensor, image: int) -> int:
        """Which of the joint's possible maps (K, S, S) has the least target loss."""
        return int(self.target_losses(candidates, image).argmin()) if len(candidates) > 1 else 0

    @torch.no_grad()
    def target_losses(self, candidates: torch.Tensor, image: int) -> torch.Tensor:
        """The target loss (K,) of each of the joint's possible maps (K, S, S)."""
        objective = OBJECTIVES[self.settings.objective]
        return torch.stack([objective(candidate, *self.label(image)) for candidate in candidates])

    @torch.no_grad()
    def plain_losses(self, tokens: torch.Tensor, images: Iterable[int]) -> torch.Tensor:
        """The sum (K,) over plain images of the target losses of the joint's possible maps."""
        total = 0
        for image in images:
            plain = self.maps(tokens, image, 0)[:1]
            total = total + self.target_losses(self.joint_maps(plain, image)[0], image)
        return total

    def knows_other_side(self, image: int) -> bool:
        """Whether the other side's joint is another point than this one, and known."""
        return not self.examples.midline and not self.examples.others[image].isnan().any()

    def _target(self, points: torch.Tensor) -> torch.Tensor:
        """Target maps (n, S, S) at points (n, 2); NaN where a point is."""
        target = TARGETS[self.settings.target]
        maps = target(points, self.settings.reading.map_size, self.settings.sigma)
        return maps.to(self.diffusion.device)
