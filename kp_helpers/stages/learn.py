"""One call from labelled pictures to a keypoint: tokens that are learned, or the fit that needs no step."""

from pathlib import Path

import torch
from tqdm.auto import tqdm

from kp_helpers.config import AppendedStage
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended
from kp_helpers.stages.appended import AppendedTokens
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
    inside: torch.Tensor | None = None,
    about: str = "",
) -> Appended:
    """What the settings make of labelled pictures: a `linear_fit` for the read-out "linear", else a `Run`.

    base to cache, inside: as for `AppendedTokens`. checkpoint: the folder `root` of `Run`. about: what the
    progress bar says; empty shows none.
    """
    if settings.readout == "linear":
        return linear_fit(diffusion, base, images, points, settings, inside)
    stage = AppendedTokens(diffusion, base, images, points, settings, cache=cache, inside=inside)
    learning = Run(stage, checkpoint)
    for _ in tqdm(learning, desc=about, unit="step", disable=not about):
        pass
    return learning.result
