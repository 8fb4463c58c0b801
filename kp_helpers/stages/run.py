"""A run of a stage: Adam on its tokens, step by step, that can be watched, stopped and resumed.

Noise, views and the order of images follow from (seed, step, image), so a resumed run draws what it would
have drawn. `learn` and `finished` make all steps in one call.
"""

import math
from collections.abc import Iterator
from pathlib import Path

import torch
from tqdm.auto import tqdm

from kp_helpers.config import AppendedStage, BaseStage, randomness
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended
from kp_helpers.reading import layers_of, timestep_of
from kp_helpers.stages.appended import AppendedTokens
from kp_helpers.stages.base import BaseTokens
from kp_helpers.stages.linear import linear_fit
from kp_helpers.stages.readout_cache import ReadoutCache
from kp_helpers.stages.states import States, StepRecord


class OptimisationError(RuntimeError):
    """An optimisation that cannot go on; the run's `state()` still holds the last good step."""


class Run:
    """Adam on the tokens of a stage: iterating yields a `StepRecord` each, `len` counts the steps to come.

    root: a folder below which the state is kept every two seconds and at the end, in a folder named by all
    that the run follows from; a run that was stopped or killed goes on there, a finished one is read and not
    learned again. state: what `state()` of an earlier run with the same settings returned; instead of `root`.
    `records` holds all steps so far.
    """

    def __init__(
        self, stage: BaseTokens | AppendedTokens, root: Path | None = None, state: dict | None = None
    ):
        self.stage, self.settings = stage, stage.settings
        self.step, self.records = 0, []
        self.tokens = stage.start().detach().clone().requires_grad_(True)
        self.optimizer = torch.optim.Adam([self.tokens], lr=self.settings.learning_rate)
        self.states = States(stage, root)
        if root is not None:
            state = self.states.newest()
        if state is not None:
            self._resume(state)
        self.resumed = self.step

    def __len__(self) -> int:
        return self.settings.steps - self.step

    def __iter__(self) -> Iterator[StepRecord]:
        count, weights = self.settings.images_per_step, self.settings.weights
        with self.states.kept(self):
            while len(self):
                of_images: list[dict[str, torch.Tensor]] = []
                self.optimizer.zero_grad()
                with randomness.strict(self.tokens.device):
                    for image in self._images_of_step():
                        view = self.stage.views.view(self.step)
                        maps = self.stage.maps(self.tokens, image, view)
                        theta = self.stage.views.theta(image, view).to(maps.device)
                        terms = self.stage.losses(maps, theta, image)
                        loss = sum(weights[name] * term for name, term in terms.items()) / count
                        loss.backward()
                        of_images.append({name: term.detach() for name, term in terms.items()})
                parts = _mean_parts(of_images)
                loss = sum(weights[name] * part for name, part in parts.items())
                self._check(loss)
                self.optimizer.step()
                self.records.append(StepRecord(self.step, loss, parts))
                self.step += 1
                self.states.save_when_due(self)
                yield self.records[-1]

    @property
    def result(self):
        """What the finished optimisation learned; an error while steps remain."""
        if len(self):
            raise OptimisationError(
                f"{len(self)} of {self.settings.steps} steps remain, expected a finished run"
            )
        return self.stage.result(self.tokens.detach().clone())

    def state(self) -> dict:
        """All that a run needs to go on from here: step, tokens, Adam's moments, records, and the settings
        they belong to.
        """
        optimizer = {name: value.clone() for name, value in self.optimizer.state.get(self.tokens, {}).items()}
        return {
            "step": self.step,
            "tokens": self.tokens.detach().clone(),
            "optimizer": optimizer,
            "records": list(self.records),
            "settings": self.settings.model_dump_json(),
        }

    def _resume(self, state: dict) -> None:
        if state["settings"] != self.settings.model_dump_json():
            raise OptimisationError(
                "the state belongs to other settings, expected the ones that it was made with"
            )
        shape, expected = tuple(state["tokens"].shape), tuple(self.tokens.shape)
        if shape != expected:
            raise OptimisationError(f"the state's tokens have shape {shape}, expected {expected}")
        self.step, self.records = state["step"], list(state["records"])
        with torch.no_grad():
            self.tokens.copy_(state["tokens"])
        if state["optimizer"]:
            self.optimizer.state[self.tokens] = {
                name: self._beside_tokens(value) for name, value in state["optimizer"].items()
            }

    def _beside_tokens(self, value: torch.Tensor) -> torch.Tensor:
        """A copy of one of Adam's numbers where Adam keeps it: its count of steps stays on the CPU."""
        return value.to(self.tokens.device, copy=True) if value.ndim else value.clone()

    def _images_of_step(self) -> list[int]:
        count = self.settings.images_per_step
        return randomness.image_order(self.settings.seed, len(self.stage.views), self.step * count, count)

    def _check(self, loss: float) -> None:
        if not math.isfinite(loss) or not torch.isfinite(self.tokens.grad).all():
            raise OptimisationError(
                f"step {self.step}: the loss {loss} or its gradient is not finite, expected finite numbers; "
                "the tokens are as they were before this step; try a smaller learning_rate"
            )


def _mean_parts(of_images: list[dict[str, torch.Tensor]]) -> dict[str, float]:
    """The loss's parts, the mean over a step's images; read at its end alone, as a GPU waits at each read."""
    count = len(of_images)
    return {name: sum(float(terms[name]) / count for terms in of_images) for name in of_images[0]}


def metadata(diffusion: Diffusion, settings: BaseStage | AppendedStage) -> dict:
    """What `embeddings.save` wants to know of tokens that a stage learned."""
    reading = settings.reading
    return {
        "space": "unet context",
        "model": diffusion.name,
        "model_hash": diffusion.fingerprint,
        "revision": diffusion.revision,
        "layers": list(layers_of(diffusion, reading)),
        "timestep": timestep_of(diffusion, reading),
        "precision": reading.precision,
        "settings": settings.model_dump(mode="json"),
        "seed": settings.seed,
    }


def learn(
    diffusion: Diffusion,
    base: torch.Tensor,
    images: torch.Tensor,
    points: torch.Tensor,
    settings: AppendedStage,
    *,
    inside: torch.Tensor | None = None,
    cache: Path | ReadoutCache | None = None,
    checkpoint: Path | None = None,
    about: str = "",
) -> Appended:
    """What the settings make of labelled pictures: a `linear_fit` for the read-out "linear", else a `Run`.

    base to cache, inside: as for `AppendedTokens`. checkpoint: the folder `root` of `Run`. about: what the
    progress bar says; empty shows none.
    """
    if settings.readout == "linear":
        return linear_fit(diffusion, base, images, points, settings, inside)
    stage = AppendedTokens(diffusion, base, images, points, settings, cache=cache, inside=inside)
    return finished(stage, checkpoint, about)


def finished(stage: BaseTokens | AppendedTokens, checkpoint: Path | None = None, about: str = ""):
    """What a stage learns in all its steps; checkpoint, about: as for `learn`."""
    run = Run(stage, checkpoint)
    for _ in tqdm(run, desc=about, unit="step", disable=not about):
        pass
    return run.result
