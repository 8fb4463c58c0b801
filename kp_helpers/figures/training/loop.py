"""One resumable training loop for all stages: AdamW, warm-up, a late decay, averaged weights, a log."""

import copy
import csv
import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from tqdm.auto import tqdm

from kp_helpers.store import replace_file

_LOGGED = 50
"""Steps to a row of the log."""


@dataclass(frozen=True)
class LoopSettings:
    """`steps` optimiser steps with the peak `learning_rate`; the last `decay` share of them falls to zero.

    `compiled`: whether a GPU compiles the model first. With `minutes` the clock ends the run in the place of
    `steps`, over all starts together.
    """

    steps: int
    learning_rate: float
    warmup: int = 200
    decay: float = 0.25
    weight_decay: float = 0.01
    averaging: float = 0.999
    clip: float = 1.0
    save_minutes: float = 2.0
    compiled: bool = False
    minutes: float | None = None


def train(
    model: torch.nn.Module,
    loss_at: Callable[[int], dict[str, torch.Tensor]],
    settings: LoopSettings,
    folder: Path,
    device: str,
) -> torch.nn.Module:
    """Run to `settings.steps` from where `folder` stopped; returns a copy of `model` with averaged weights.

    `loss_at(step)` gives a dict whose "loss" is minimised; its batch depends on the step alone, so that a
    resumed run sees the same batches. `settings.steps` may be another when resuming.
    """
    folder.mkdir(parents=True, exist_ok=True)
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        learned,
        settings.learning_rate,
        betas=(0.9, 0.98),
        weight_decay=settings.weight_decay,
        fused=device == "cuda",
    )
    average = copy.deepcopy(model).requires_grad_(False)
    if device == "cuda" and settings.compiled:
        torch.backends.cudnn.benchmark = True
        model.compile(dynamic=False)  # in place, so that checkpoints keep their names
    path = folder / "checkpoint.pt"
    step, before = _resume(path, model, average, optimizer)
    saved, started, window = time.monotonic(), time.monotonic(), []
    total = None if settings.minutes else settings.steps
    bar = tqdm(desc=folder.name, initial=step, total=total, mininterval=5)
    while (done := _done(step, before + time.monotonic() - started, settings)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * _rate_share(step, done, settings)
        with torch.autocast(device, torch.bfloat16) if device == "cuda" else nullcontext():
            losses = loss_at(step)
        optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        torch.nn.utils.clip_grad_norm_(learned, settings.clip)
        optimizer.step()
        _average(average, model, min(settings.averaging, (1 + step) / (10 + step)))
        window.append({name: value.detach() for name, value in losses.items()})
        step += 1
        bar.update()
        if step % _LOGGED:
            continue
        _log(folder / "log.csv", step, before + time.monotonic() - started, window)
        window = []
        if time.monotonic() - saved > 60 * settings.save_minutes:
            _save(path, step, before + time.monotonic() - started, model, average, optimizer)
            saved = time.monotonic()
    if window:
        _log(folder / "log.csv", step, before + time.monotonic() - started, window)
    _save(path, step, before + time.monotonic() - started, model, average, optimizer)
    bar.close()
    return average


def _done(step: int, seconds: float, settings: LoopSettings) -> float:
    """Share of the run that is behind us."""
    if settings.minutes:
        return seconds / (60 * settings.minutes)
    return step / settings.steps


def _rate_share(step: int, done: float, settings: LoopSettings) -> float:
    """Share of the peak learning rate: up over the warm-up, level, then straight down to zero."""
    left = (1 - done) / max(1e-9, settings.decay)
    return min(1.0, (step + 1) / settings.warmup, left)


@torch.no_grad()
def _average(average: torch.nn.Module, model: torch.nn.Module, keep: float) -> None:
    torch._foreach_lerp_(list(average.parameters()), list(model.parameters()), 1 - keep)


def _save(path: Path, step: int, seconds: float, model, average, optimizer) -> None:
    state = {
        "step": step,
        "seconds": seconds,
        "model": model.state_dict(),
        "average": average.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    replace_file(path, lambda partial: torch.save(state, partial))


def _resume(path: Path, model, average, optimizer) -> tuple[int, float]:
    """Load the checkpoint if there is one; the step to go on from, and the seconds that were spent."""
    if not path.exists():
        return 0, 0.0
    state = torch.load(path, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    average.load_state_dict(state["average"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"], state["seconds"]


def _log(path: Path, step: int, seconds: float, window: list[dict[str, torch.Tensor]]) -> None:
    """Add a row of means; a loss that is not finite raises FloatingPointError, before it is saved."""
    means = {name: float(torch.stack([row[name] for row in window]).mean()) for name in window[0]}
    if not math.isfinite(means["loss"]):
        raise FloatingPointError(f"{path.parent.name}: a loss before step {step} is not finite")
    fresh = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if fresh:
            writer.writerow(["step", "seconds", *means])
        writer.writerow([step, f"{seconds:.1f}", *(f"{value:.6f}" for value in means.values())])
