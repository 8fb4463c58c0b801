"""Means that say how many cases they are over."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Score:
    """A mean over the n cases that counted; value is None where there was none."""

    value: float | None
    n: int


def mean(values: ArrayLike, visible: ArrayLike | None = None) -> Score:
    """Mean over what is visible; of booleans it is the share of hits."""
    values = np.asarray(values, float)
    counted = values[np.ones(values.shape, bool) if visible is None else np.asarray(visible, bool)]
    if not np.isfinite(counted).all():
        raise ValueError("a visible joint has a value that is not finite, expected it to be marked invisible")
    return Score(float(counted.mean()) if len(counted) else None, len(counted))


def macro_mean(values: ArrayLike, visible: ArrayLike) -> Score:
    """Mean over joints of the means over images, (images, joints); a joint that is never seen is left out."""
    columns = zip(np.asarray(values, float).T, np.asarray(visible, bool).T, strict=True)
    scores = [score for score in (mean(*column) for column in columns) if score.n]
    average = float(np.mean([score.value for score in scores])) if scores else None
    return Score(average, sum(score.n for score in scores))
