"""Measured numbers that say how many cases they are over."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One row of `metrics.json`: a measured number, its denominator, and what the source reports.

    value, sd, interval, paper and paper_sd are all in `unit`; n is the number of cases behind the value.
    joint, method, measure, train_images: the facts of a protocol's number, which has its name from them;
    empty where there are none.
    """

    name: str = ""
    value: float | None
    n: int
    threshold: str = ""
    normaliser: str = ""
    unit: str = ""
    sd: float | None = None
    interval: tuple[float, float] | None = None
    paper: float | None = None
    paper_sd: float | None = None
    source: str = ""
    joint: str = ""
    method: str = ""
    measure: str = ""
    train_images: int | None = None

    def row(self) -> dict:
        """All fields, as `metrics.json` has them."""
        return asdict(self) | {"name": self.name or f"{self.joint}, {self.method}: {self.measure}"}


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
