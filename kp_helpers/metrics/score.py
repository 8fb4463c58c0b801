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
