"""The losses of a joint's map: what a run of the appended stage makes of the maps of its tokens."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch

from kp_helpers import losses
from kp_helpers.heatmaps import cauchy_target, gaussian_target
from kp_helpers.readout import combine, layers_of
from kp_helpers.training_examples import Examples
from kp_helpers.training_views import ImagePairs

TARGETS = {"gaussian": gaussian_target, "cauchy": cauchy_target}
OBJECTIVES = {"mse": losses.target_loss, "cross_entropy": losses.cross_entropy_loss}
"""(the joint's map, its target map) -> a scalar."""
POINT_OBJECTIVES = {"soft_argmax": losses.soft_argmax_loss, "oks": losses.oks_loss}
"""(the joint's map, its label, the target's sigma) -> a scalar."""

MapsOf = Callable[[Sequence[ImagePairs], Sequence[torch.Tensor], Sequence[int], int], list]
"""`training_maps.CoupledMaps` or `ReadoutMaps`."""


@dataclass(frozen=True, eq=False)
class Labelled:
    """What a run of the appended stage learns from.

    objective: in the place of the target loss, (the joint's map, number of the image) -> a scalar.
    """

    pairs: ImagePairs
    examples: Examples
    objective: Callable | None = None

    @property
    def settings(self):
        return self.pairs.settings

    @property
    def layers(self) -> int:
        """How many parts a token has, one for each layer that reads with tokens of its own."""
        if not self.settings.layer_tokens:
            return 1
        return len(layers_of(self.pairs.diffusion, self.settings.reading))

    @cached_property
    def targets(self) -> torch.Tensor:
        """The target map of every example, (n, S, S)."""
        return self._target(self.examples.points)

    @cached_property
    def elsewhere(self) -> torch.Tensor:
        """The same at the other side's joint; NaN where that is not known."""
        return self._target(self.examples.others)

    def _target(self, points: torch.Tensor) -> torch.Tensor:
        settings = self.settings
        found = TARGETS[settings.target](points, settings.reading.map_size, settings.sigma)
        return found.to(self.pairs.diffusion.device)

    def readouts(self, maps: torch.Tensor, image: int) -> torch.Tensor:
        """What may be the joint's map: (B, T, S, S) of all tokens, of their sum or of sides, to (B, K, S, S).

        K is 1, but for the read-out "best", where each token is a candidate. Of two sides it is that whose
        joint the image is an example of.
        """
        if self.examples.has_rivals:
            maps = maps.unflatten(1, (2, -1))[:, int(self.examples.rival[image])]
        return maps if self.settings.readout == "best" else combine(maps, self.settings.readout)[:, None]

    def loss(self, map: torch.Tensor, image: int) -> torch.Tensor:
        """The target loss of the joint's map (S, S)."""
        name, settings = self.settings.objective, self.settings
        if self.objective:
            return self.objective(map, image)
        if name in POINT_OBJECTIVES:
            return POINT_OBJECTIVES[name](map, self.examples.points[image].to(map), settings.sigma)
        return OBJECTIVES[name](map, self.targets[image])

    def parts(self, maps: torch.Tensor, theta: torch.Tensor, image: int) -> dict[str, torch.Tensor]:
        """The losses by name; maps: (2, T, S, S), plain and on the view theta (1, 2, 3)."""
        settings, joint = self.settings, self.readouts(maps, image)
        plain, moved = joint[:, int(self.losses_of(joint[0], image).argmin()) if joint.shape[1] > 1 else 0]
        found = {
            "localization": losses.localization_loss(plain[None], settings.localization_sigma * len(plain)),
            "equivariance": losses.equivariance_loss(plain[None], moved[None], theta),
            "target": self.loss(plain, image),
        }
        if settings.other_side_weight:
            found["other_side"] = self._other_side(plain, image)
        return found

    def _other_side(self, map: torch.Tensor, image: int) -> torch.Tensor:
        if self.examples.midline or self.examples.others[image].isnan().any():
            return 0 * map.sum()
        return losses.other_side_loss(map, self.targets[image], self.elsewhere[image])

    @torch.no_grad()
    def losses_of(self, maps: torch.Tensor, image: int) -> torch.Tensor:
        """The target loss (K,) of each of the joint's possible maps (K, S, S)."""
        return torch.stack([self.loss(map, image) for map in maps])

    @torch.no_grad()
    def plain_losses(self, maps_of: MapsOf, tokens: torch.Tensor, images: Iterable[int]) -> torch.Tensor:
        """The sum (K,) over plain images of the target losses of the joint's possible maps."""
        total = 0
        for image in images:
            maps = maps_of([self.pairs], [tokens], [image], 0)[0][0][:1]
            total = total + self.losses_of(self.readouts(maps, image)[0], image)
        return total
