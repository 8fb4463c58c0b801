"""What the optimisation stages share: a run that can be watched, stopped and resumed, and several runs as
one batch.

Noise, views and the order of images follow from (seed, step, image), so a resumed run draws what it would
have, and a run in a batch what it draws alone. Where `torch.distributed` is set up, as accelerate's
`PartialState` does it, each process takes a share of a step's images, and all end with the same context.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import distributed

from kp_helpers import randomness
from kp_helpers.config import AppendedStage, BaseStage

LossesOf = Callable[[list[torch.Tensor], Sequence[int], int], list[dict[str, torch.Tensor]]]
"""(a context of each run, an image of each, step) -> the parts of each run's loss by name, scalars or (R,) of
R restarts: gradients are of their sum, records of their mean."""


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

    start: the context at step 0. images: how many there are. losses_of: the parts of the loss of a batch of
    runs, which is asked for this run alone; the setting `name_weight` is the factor of each part.
    finish(context): makes the `result`. state: what `state()` of an earlier run with the same settings
    returned; the run goes on from there.
    """

    def __init__(
        self,
        settings: BaseStage | AppendedStage,
        start: torch.Tensor,
        images: int,
        losses_of: LossesOf,
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
        while len(self):
            yield _advance([self], self.losses_of)[0]

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
        found, wanted = tuple(state["context"].shape), tuple(self.context.shape)
        if found != wanted:
            raise OptimisationError(f"the state's context has shape {found}, expected {wanted}")
        self.step = state["step"]
        with torch.no_grad():
            self.context.copy_(state["context"])
        self.optimizer.state.clear()
        if state["optimizer"]:
            self.optimizer.state[self.context] = {
                key: self._beside_context(value) for key, value in state["optimizer"].items()
            }

    def _beside_context(self, value: torch.Tensor) -> torch.Tensor:
        """A copy of one of Adam's numbers where Adam keeps it: its count of steps stays on the CPU."""
        return value.to(self.context.device, copy=True) if value.ndim else value.clone()

    def _images_of_step(self) -> list[int]:
        count = self.settings.images_per_step
        return randomness.image_order(self.settings.seed, self.images, self.step * count, count)

    def _weighted(self, parts: dict):
        weights = {name: getattr(self.settings, f"{name}_weight") for name in parts}
        return sum(weights[name] * part for name, part in parts.items())

    def _check(self, loss: float, name: str) -> None:
        if not math.isfinite(loss) or not torch.isfinite(self.context.grad).all():
            raise OptimisationError(
                f"{name}step {self.step}: the loss {loss} or its gradient is not finite, expected finite "
                "numbers; the context is as it was before this step; try a smaller learning_rate"
            )


class RunBatch:
    """Several runs side by side: iterating yields a list of one `StepRecord` a run.

    Each run draws, learns and ends as it would alone, up to rounding; what they share is one pass of the
    model for all of them. losses_of: as for `Run`, for all of `runs` at once.
    """

    def __init__(self, runs: Sequence[Run], losses_of: LossesOf):
        self.runs, self.losses_of = list(runs), losses_of
        steps = {run.step for run in self.runs}
        if len(steps) > 1:
            raise OptimisationError(f"the runs of a batch stand at steps {sorted(steps)}, expected one step")

    def __len__(self) -> int:
        return len(self.runs[0])

    @property
    def step(self) -> int:
        """How many steps are done."""
        return self.runs[0].step

    def __iter__(self) -> Iterator[list[StepRecord]]:
        while len(self):
            yield _advance(self.runs, self.losses_of)

    @property
    def results(self) -> list:
        """The `result` of each run; an error while steps remain."""
        return [run.result for run in self.runs]

    def states(self) -> list[dict]:
        """The `state()` of each run: a batch, or the run alone, goes on from it."""
        return [run.state() for run in self.runs]


def _advance(runs: list[Run], losses_of: LossesOf) -> list[StepRecord]:
    """One step of runs that stand at the same step; image after image, so that memory holds one of each."""
    with randomness.strict(runs[0].context.device):
        return _advanced(runs, losses_of)


def _advanced(runs: list[Run], losses_of: LossesOf) -> list[StepRecord]:
    step, count = runs[0].step, runs[0].settings.images_per_step
    totals: list[dict[str, float]] = [{} for _ in runs]
    for run in runs:
        run.optimizer.zero_grad()
    for images in _own_share(list(zip(*(run._images_of_step() for run in runs), strict=True))):
        found = losses_of([run.context for run in runs], images, step)
        sum((run._weighted(parts) / count).sum() for run, parts in zip(runs, found, strict=True)).backward()
        for total, parts in zip(totals, found, strict=True):
            for name, part in parts.items():
                total[name] = total.get(name, 0.0) + float(part.detach().mean()) / count
    if distributed.is_initialized():
        _add_up(runs, totals)
    losses = [run._weighted(total) for run, total in zip(runs, totals, strict=True)]
    for number, (run, loss) in enumerate(zip(runs, losses, strict=True)):
        run._check(loss, f"run {number}, " if len(runs) > 1 else "")
    _update(runs)
    return [StepRecord(step, loss, total) for loss, total in zip(losses, totals, strict=True)]


def _own_share(images: list) -> list:
    """What this process takes of a step's images: all, or every n-th of n processes that work together."""
    if not distributed.is_initialized():
        return images
    processes = distributed.get_world_size()
    if len(images) < processes:
        raise OptimisationError(
            f"images_per_step is {len(images)}, expected at least one for each of {processes} processes"
        )
    return images[distributed.get_rank() :: processes]


def _add_up(runs: list[Run], totals: list[dict[str, float]]) -> None:
    """Gradients and parts of the losses over all processes, so that each makes the same step."""
    for run, total in zip(runs, totals, strict=True):
        parts = torch.tensor(list(total.values()), dtype=torch.float64, device=run.context.device)
        for one in (run.context.grad, parts):
            distributed.all_reduce(one)
        total.update(zip(total, parts.tolist(), strict=True))


def _update(runs: list[Run]) -> None:
    """Adam's step of every run or of none: Ctrl-C in the middle of it leaves all as they were before."""
    before = [run.state() for run in runs]
    try:
        for run in runs:
            run.optimizer.step()
            run.step += 1
    except BaseException:
        for run, state in zip(runs, before, strict=True):
            run._resume(state)
        raise
