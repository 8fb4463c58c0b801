"""How sure a measured share or mean is, over runs (draws of training images) and over test images."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm, t


@dataclass(frozen=True)
class Interval:
    """An estimate with its bounds at `level`; all in the unit of the values.

    error: standard error; freedom: Student's degrees of it. Both are NaN and 0 for Wilson's.
    """

    value: float
    low: float
    high: float
    level: float = 0.95
    error: float = math.nan
    freedom: int = 0

    def p(self, null: float = 0.0, side: str = "two-sided") -> float:
        """p of the true value being `null`; side: "two-sided", or the alternative "greater" or "less"."""
        if not self.error > 0:
            return math.nan
        distance = (self.value - null) / self.error
        tails = {"greater": t.sf(distance, self.freedom), "less": t.cdf(distance, self.freedom)}
        return float(2 * min(tails.values()) if side == "two-sided" else tails[side])


def mean_sd(per_run: ArrayLike) -> tuple[float, float | None]:
    """Mean and standard deviation (n - 1) over runs, as the paper reports; the SD of one run is None."""
    values = _finite("per_run", per_run)
    return float(values.mean()), float(values.std(ddof=1)) if values.size > 1 else None


def wilson(hits: int, n: int, level: float = 0.95) -> Interval:
    """Wilson's interval of a share, for the images of one run (they are independent, pooled runs are not).

    Centre (p + z^2/2n) / (1 + z^2/n), half width z sqrt(p(1-p)/n + z^2/4n^2) / (1 + z^2/n).
    """
    if not 0 <= hits <= n or n < 1:
        raise ValueError(f"hits is {hits} and n is {n}, expected 0 <= hits <= n and n >= 1")
    z, p = norm.ppf((1 + level) / 2), hits / n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    low, high = centre - half, centre + half
    return Interval(p, float(low) if hits else 0.0, float(high) if hits < n else 1.0, level)


def two_way(
    values: ArrayLike,
    clusters: ArrayLike | None = None,
    counts: ArrayLike | None = None,
    level: float = 0.95,
) -> Interval:
    """The headline interval of a mean over runs and pictures that both vary, two-way cluster-robust.

    V = V_run + V_cluster - V_cell, never below V_cell, each the sum of squared residual sums of its groups
    times G / (G - 1), over the squared number of cases; Student's t with min(runs, clusters) - 1 degrees of
    freedom (Cameron, Gelbach and Miller, 2011). Of one run it speaks of other pictures alone.

    values: (runs, pictures), NaN where a run has no value for a picture. clusters: (pictures,), which of them
    belong together, as those of a sequence do; each by itself unless given. counts: of how many cases each
    value is the mean, one unless given; then the mean is that of the cases. ValueError for fewer than two
    clusters.
    """
    table = np.asarray(values, float)
    if table.ndim != 2 or not np.isfinite(table).any():
        found = f"values has shape {table.shape}, {np.isfinite(table).sum()} of them finite"
        raise ValueError(f"{found}, expected (runs, pictures) with at least one finite value")
    cases = np.where(np.isfinite(table), 1.0 if counts is None else counts, 0.0)
    total = cases.sum()
    mean = float(np.where(cases > 0, table, 0.0).ravel() @ cases.ravel() / total)
    rest = np.where(cases > 0, (table - mean) * cases, 0.0)
    if clusters is not None:
        member = (np.asarray(clusters)[:, None] == np.unique(clusters)).astype(float)
        rest, cases = rest @ member, cases @ member
    seen = cases > 0
    runs, columns = int(seen.any(axis=1).sum()), int(seen.any(axis=0).sum())
    if columns < 2:
        raise ValueError(f"values are of {columns} clusters of pictures, expected two at least")
    by_column = _sum_of_squares(rest.sum(axis=0), columns)
    by_cell = _sum_of_squares(rest[seen], int(seen.sum()))
    variance, freedom = by_column, columns - 1
    if runs > 1:
        by_run = _sum_of_squares(rest.sum(axis=1), runs)
        variance, freedom = max(by_run + by_column - by_cell, by_cell), min(runs, columns) - 1
    error = float(np.sqrt(variance) / total)
    half = error * float(t.ppf((1 + level) / 2, freedom))
    return Interval(mean, mean - half, mean + half, level, error, freedom)


def paired(
    first: ArrayLike,
    second: ArrayLike,
    clusters: ArrayLike | None = None,
    counts: ArrayLike | None = None,
    level: float = 0.95,
) -> Interval:
    """`two_way` of first - second, of two methods on the same runs and pictures.

    first, second: (runs, pictures), NaN where a method has no value; a pair counts where both have one.
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    if first.shape != second.shape:
        raise ValueError(f"first has shape {first.shape} and second {second.shape}, expected the same pairs")
    return two_way(first - second, clusters, counts, level)


def apart(first: Interval, second: Interval) -> Interval:
    """first - second of two means that have no case in common, with the fewer degrees of freedom of both.

    Means without a standard error, which Wilson's intervals have not, give none here: NaN.
    """
    error, freedom = math.hypot(first.error, second.error), min(first.freedom, second.freedom)
    value, half = first.value - second.value, math.nan
    if freedom > 0:
        half = error * float(t.ppf((1 + first.level) / 2, freedom))
    return Interval(value, value - half, value + half, first.level, error, freedom)


def share(hits: ArrayLike, clusters: ArrayLike | None = None, counts: ArrayLike | None = None) -> Interval:
    """`two_way` of a share in [0, 1], within its bounds.

    Wilson's instead of the single pictures of one run, which are independent; and over the clusters where no
    hit differs from another, which leaves no spread to go by.
    """
    table = np.asarray(hits, float)
    known = table[np.isfinite(table)]
    single = clusters is None and (counts is None or np.max(counts) == 1)
    if np.isfinite(table).any(axis=1).sum() == 1 and single and np.isin(known, (0, 1)).all():
        return wilson(round(known.sum()), len(known))
    if known.size and np.ptp(known) == 0:
        columns = np.isfinite(table).any(axis=0)
        size = columns.sum() if clusters is None else len(np.unique(np.asarray(clusters)[columns]))
        return wilson(round(known[0] * size), int(size))
    interval = two_way(table, clusters, counts)
    return replace(interval, low=max(interval.low, 0.0), high=min(interval.high, 1.0))


def p_text(p: float) -> str:
    """p as tables have it: "p 0.27", or "p < .01"."""
    return "p < .01" if p < 0.01 else f"p {p:.2f}"


def equivalence(interval: Interval, margin: float) -> float:
    """p of two one-sided tests that the true value lies outside (-margin, margin); small: no difference.

    interval: of a difference, by `two_way` or `paired`.
    """
    below = interval.p(-margin, "greater")
    above = interval.p(margin, "less")
    return max(below, above)


def holm(ps: ArrayLike) -> np.ndarray:
    """The p values of the parts of a claim, (n,), corrected for their number (Holm, 1979)."""
    ps = _finite("ps", ps)
    order = np.argsort(ps, kind="stable")
    steps = np.maximum.accumulate(ps[order] * np.arange(len(ps), 0, -1))
    corrected = np.empty(len(ps))
    corrected[order] = np.minimum(steps, 1.0)
    return corrected


def _sum_of_squares(sums: np.ndarray, groups: int) -> float:
    """The sum of squared sums of residuals over groups, with the correction for how many groups there are."""
    return float((sums**2).sum() * groups / (groups - 1)) if groups > 1 else 0.0


def _finite(name: str, values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, float)
    if not array.size or not np.isfinite(array).all():
        raise ValueError(f"{name} is empty or not finite, expected at least one finite number")
    return array
