"""What both optimisation stages share: a run that can be watched, stopped and resumed, and its training
views.

Noise, views and the order of images follow from (seed, step, image), so a resumed run draws what it would
have.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from kp_helpers import geometry, randomness
from kp_helpers.config import AppendedStage, BaseStage
from kp_helpers.diffusion import Diffusion
from kp_helpers.readout import random_view, timestep_of


class OptimisationError(RuntimeError):
    """An optimisation that cannot go on; the run's `state()` still holds the last good step."""


@dataclass(frozen=True)
class StepRecord:
    """One step: its number from 0, the weighted loss, the parts of the loss by name before weighting."""

    step: int
    loss: float
    parts: dict[str, float]


class Run:
    """Adam on a context: iterating yields a `StepRecord` each, `len` counts the steps that remain.

    start: the context at step 0. losses_of(context, image, step): the parts of one image's loss by name; the
    setting `name_weight` is the factor of each. finish(context): makes the `result`. state: what `state()` of
    an earlier run with the same settings returned; the run goes on from there.
    """

    def __init__(
        self,
        settings: BaseStage | AppendedStage,
        start: torch.Tensor,
        images: int,
        losses_of: Callable[[torch.Tensor, int, int], dict[str, torch.Tensor]],
        finish: Callable[[torch.Tensor], object],
        state: dict | None = None,
    ):
        self.settings, self.images = settings, images
        self.losses_of, self.finish = losses_of, finish
        self.step = 0
        self.context = start.detach().clone().requires_grad_(True)
        self.optimizer = torch.optim.Adam([self.context], lr=settings.learning_rate)
        if state is not None:
            self._resume(state)

    def __len__(self) -> int:
        return self.settings.steps - self.step

    def __iter__(self) -> Iterator[StepRecord]:
        while self.step < self.settings.steps:
            yield self._advance()

    @property
    def result(self):
        """What the finished optimisation learned; an error while steps remain."""
        if len(self):
            raise OptimisationError(
                f"{len(self)} of {self.settings.steps} steps remain, expected a finished run"
            )
        return self.finish(self.context.detach().clone())

    def state(self) -> dict:
        """All that a run needs to go on from here: step, context, Adam's moments, and the settings they
        belong to.
        """
        optimizer = {key: value.clone() for key, value in self.optimizer.state.get(self.context, {}).items()}
        context = self.context.detach().clone()
        settings = self.settings.model_dump_json()
        return {"step": self.step, "context": context, "optimizer": optimizer, "settings": settings}

    def _resume(self, state: dict) -> None:
        if state["settings"] != self.settings.model_dump_json():
            raise OptimisationError(
                "the state belongs to other settings, expected the ones that it was made with"
            )
        self.step = state["step"]
        with torch.no_grad():
            self.context.copy_(state["context"])
        if state["optimizer"]:
            self.optimizer.state[self.context] = {
                key: value.clone() for key, value in state["optimizer"].items()
            }

    def _advance(self) -> StepRecord:
        count = self.settings.images_per_step
        self.optimizer.zero_grad()
        totals: dict[str, float] = {}
        for image in randomness.image_order(self.settings.seed, self.images, self.step * count, count):
            parts = self.losses_of(self.context, image, self.step)
            (self._weighted(parts) / count).backward()
            for name, part in parts.items():
                totals[name] = totals.get(name, 0.0) + float(part.detach()) / count
        loss = self._weighted(totals)
        if not math.isfinite(loss) or not torch.isfinite(self.context.grad).all():
            raise OptimisationError(
                f"step {self.step}: the loss {loss} or its gradient is not finite, expected finite numbers; "
                "the context is as it was before this step; try a smaller learning_rate"
            )
        self.optimizer.step()
        self.step += 1
        return StepRecord(self.step - 1, loss, totals)

    def _weighted(self, parts: dict):
        weights = {name: getattr(self.settings, f"{name}_weight") for name in parts}
        return sum(weights[name] * part for name, part in parts.items())


class ImagePairs:
    """The plain and the transformed view of training images as noised latents; plain ones are encoded
    once.
    """

    def __init__(self, diffusion: Diffusion, images: torch.Tensor, settings: BaseStage | AppendedStage):
        self.diffusion, self.images, self.settings = diffusion, images, settings
        self.timestep = timestep_of(diffusion, settings.reading)
        self._plain: dict[int, torch.Tensor] = {}

    def __call__(self, image: int, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Noised latents (2, 4, h, w), plain then transformed, and the view theta (1, 2, 3)."""
        theta = random_view(self.settings.augmentation, self.settings.seed, "view", step, image)
        picture = self.images[image][None]
        if image not in self._plain:
            self._plain[image] = self.diffusion.encode_image(picture)
        moved = self.diffusion.encode_image(geometry.warp(picture, theta))
        latents = torch.cat([self._plain[image], moved])
        noise = randomness.generator(self.settings.seed, "noise", step, image)
        return self.diffusion.add_noise(latents, self.timestep, noise), theta.to(latents.device)
