"""Errors over a length of the frame or of the person: mean error, PCK and its area under the curve."""

import numpy as np
from numpy.typing import ArrayLike

from kp_helpers.metrics.lengths import above_zero, distance


def normalised_error(predicted: ArrayLike, true: ArrayLike, norm: ArrayLike) -> np.ndarray:
    """Distance over a length in pixels, such as the frame's long side, (...)."""
    return distance(predicted, true) / above_zero(norm)


def pck(predicted: ArrayLike, true: ArrayLike, norm: ArrayLike, alpha: float) -> np.ndarray:
    """Percentage of correct keypoints, one by one: whether d / norm < alpha, strictly, (...) bool.

    norm: pixels; the person's `box_side` or `torso_length`. PCKh is this with `head_size` and alpha 0.5.
    """
    return normalised_error(predicted, true, norm) < alpha


def auc(predicted: ArrayLike, true: ArrayLike, norm: ArrayLike, largest: float) -> np.ndarray:
    """Area under the PCK curve, one by one: mean of `pck` at alpha = largest x i / 20, i = 0 to 19, (...).

    The first threshold is 0, which nothing is below, so that 0.95 is the best (as the hand-pose sets define
    it, with largest 30 pixels, a norm of 1 here).
    """
    alphas = largest * np.arange(20) / 20
    return (normalised_error(predicted, true, norm)[..., None] < alphas).mean(axis=-1)
