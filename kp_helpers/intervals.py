"""How sure a measured share or mean is, over runs (draws of training images) and over test images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import norm, t


@dataclass(frozen=True)
class Interval:
    """An estimate with its bounds at `level`; all in the unit of the values."""

    value: float
    low: float
    high: float
    level: float = 0.95


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


def two_way_bootstrap(
    values: ArrayLike,
    counts: ArrayLike | None = None,
    *,
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """The headline interval: runs and test images are drawn anew, both with replacement and independently.

    values: (runs, images), NaN where a run has no value for an image. counts: of how many cases each value is
    the mean, one unless given; then the mean is that of the cases. The interval is the mean +- the standard
    error of the resampled means x Student's t with images - 1 degrees of freedom; one image has none and is
    refused.
    """
    table = np.asarray(values, float)
    if table.ndim != 2 or table.shape[1] < 2 or table.shape[0] < 1:
        raise ValueError(f"values has shape {table.shape}, expected (runs, images) with at least 2 images")
    cases = np.where(np.isfinite(table), 1.0 if counts is None else counts, 0.0)
    if not cases.any():
        raise ValueError("values holds no finite value, expected at least one")
    sums = np.where(cases > 0, table, 0.0) * cases
    means = _resampled_means(sums, cases, resamples, seed)
    mean = float(sums.sum() / cases.sum())
    half = float(means.std(ddof=1) * t.ppf((1 + level) / 2, table.shape[1] - 1))
    return Interval(mean, mean - half, mean + half, level)


def paired_bootstrap(
    first: ArrayLike,
    second: ArrayLike,
    counts: ArrayLike | None = None,
    *,
    seed: int = 0,
    resamples: int = 2000,
    level: float = 0.95,
) -> Interval:
    """`two_way_bootstrap` of first - second, of two methods on the same runs and test images.

    first, second: (runs, images), NaN where a method has no value; a pair counts where both have one. counts:
    of how many pairs each difference is the mean, one unless given.
    """
    first, second = np.asarray(first, float), np.asarray(second, float)
    if first.shape != second.shape:
        raise ValueError(f"first has shape {first.shape} and second {second.shape}, expected the same pairs")
    return two_way_bootstrap(first - second, counts, seed=seed, resamples=resamples, level=level)


def sign_flip(
    differences: ArrayLike, *, seed: int = 0, resamples: int = 20_000, exact_up_to: int = 16
) -> float:
    """Two-sided p of paired differences, one a run: how often random signs give a sum as far from zero.

    All 2^n choices of signs up to `exact_up_to` runs; above, `resamples` random ones, and the one that was
    seen counts among them: (1 + as far) / (1 + resamples). With n runs no exact p is below 2 / 2^n. It speaks
    of other runs on the same test images; `paired_bootstrap` also of other images.
    """
    values = _finite("differences", differences).ravel()
    n = len(values)
    if n <= exact_up_to:
        flips = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
    else:
        flips = np.random.default_rng(seed).integers(0, 2, (resamples, n))
    sums = np.abs((1 - 2 * flips) @ values)
    far = sums >= np.abs(values.sum()) - 1e-9 * np.abs(values).sum()  # equal sums, added in another order
    return float(far.mean()) if n <= exact_up_to else float((1 + far.sum()) / (1 + resamples))


def _resampled_means(table: np.ndarray, cases: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Means (resamples,) of tables whose rows and columns were drawn with replacement.

    table: the sum of the cases in each place, and `cases` their number. How often a row and a column were
    drawn are weights, so a resample is two products. A resample that hits no case says nothing and is left
    out.
    """
    rng = np.random.default_rng(seed)
    rows, columns = (rng.multinomial(n, np.full(n, 1 / n), resamples) for n in table.shape)
    sums = np.einsum("br,ri,bi->b", rows, table, columns, optimize=True)
    counts = np.einsum("br,ri,bi->b", rows, cases, columns, optimize=True)
    return sums[counts > 0] / counts[counts > 0]


def _finite(name: str, values: ArrayLike) -> np.ndarray:
    array = np.asarray(values, float)
    if not array.size or not np.isfinite(array).all():
        raise ValueError(f"{name} is empty or not finite, expected at least one finite number")
    return array
