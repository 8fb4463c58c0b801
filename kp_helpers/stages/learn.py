"""Learning in one call: all steps of a stage, or from labelled pictures to a keypoint."""

from pathlib import Path

import torch
from tqdm.auto import tqdm

from kp_helpers.config import AppendedStage
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended
from kp_helpers.stages.appended import AppendedTokens
from kp_helpers.stages.base import BaseTokens
from kp_helpers.stages.linear import linear_fit
from kp_helpers.stages.readout_cache import ReadoutCache
from kp_helpers.stages.run import Run


def learn(
    diffusion: Diffusion,
    base: torch.Tensor,
    images: torch.Tensor,
    points: torch.Tensor,
    settings: AppendedStage,
    *,
    cache: Path | ReadoutCache | None = None,
    checkpoint: Path | None = None,
    about: str = "",
) -> Appended:
    """What the settings make of labelled pictures: a `linear_fit` for the read-out "linear", else a `Run`.

    base to cache: as for `AppendedTokens`. checkpoint: the folder `root` of `Run`. about: what the progress
    bar says; empty shows none.
    """
    if settings.readout == "linear":
        return linear_fit(diffusion, base, images, points, settings)
    stage = AppendedTokens(diffusion, base, images, points, settings, cache=cache)
    return finished(stage, checkpoint, about)


def finished(stage: BaseTokens | AppendedTokens, checkpoint: Path | None = None, about: str = ""):
    """What a stage learns in all its steps; checkpoint, about: as for `learn`."""
    run = Run(stage, checkpoint)
    for _ in tqdm(run, desc=about, unit="step", disable=not about):
        pass
    return run.result
