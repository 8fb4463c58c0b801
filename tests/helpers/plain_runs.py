"""Runs whose losses are written by hand: fast, and without any model."""

import torch

from kp_helpers.config import BaseStage
from kp_helpers.runs import Run, RunBatch

SETTINGS = BaseStage(tokens=3, keypoints=2, candidates=2, steps=12, images_per_step=2, learning_rate=0.1)


def batch(settings=(SETTINGS,), *, states=None, spoilt_at: int = -1) -> RunBatch:
    """Runs that pull a context (3, 4) towards numbers of the image and the step; NaN at step `spoilt_at`."""

    def losses_of(contexts, images, step):
        spoilt = float("nan") if step == spoilt_at else 1.0
        wanted = [image + torch.arange(12.0).reshape(3, 4) / (step + 1) for image in images]
        pairs = zip(contexts, wanted, strict=True)
        squares = [(spoilt * (context - goal)).square().mean() for context, goal in pairs]
        return [{"localization": square, "equivariance": square / 3} for square in squares]

    runs = [
        Run(one, torch.zeros(3, 4), 5, losses_of, lambda found: found, state)
        for one, state in zip(settings, states or [None] * len(settings), strict=True)
    ]
    return RunBatch(runs, losses_of)
