"""The five evaluation methods of StableKeypoints (Hedlin et al. 2024), one value an image.

Points are (x, y) in [0,1] of the squashed square, (n, K, 2), in the order of their data set; the names are
the published ones. The published number is the mean over the images: `metrics.mean`.
"""

import numpy as np
from numpy.typing import ArrayLike

PAIRS = ((1, 6), (2, 7), (3, 8), (4, 9), (5, 10)) + tuple((k, k + 8) for k in range(17, 24))
"""Right and left of Human3.6M's 32 joints, counted from 0."""
LEGACY_PAIRS = tuple((21, 28) if pair == (21, 29) else pair for pair in PAIRS)
"""The published table, in which joint 28 stands twice and 29 never."""


def inter_eye_distance(predicted: ArrayLike, true: ArrayLike) -> np.ndarray:
    """CelebA: mean error over the distance of the annotated eyes, points 0 and 1, (n,)."""
    errors, true = _errors(predicted, true), np.asarray(true, float)
    eyes = np.linalg.norm(true[:, 0] - true[:, 1], axis=-1)
    if not (eyes > 0).all():
        raise ValueError(f"image {int(np.argmin(eyes > 0))} has both eyes in one place, expected a distance")
    return errors.mean(axis=-1) / eyes


def visible(predicted: ArrayLike, true: ArrayLike, seen: ArrayLike) -> np.ndarray:
    """CUB: sum(error x seen) / sum(seen), (n,); seen: (n, K) bool. NaN where an image shows no point.

    `mean(values, np.isfinite(values))` leaves such images out, and its n says how many were counted.
    """
    errors, seen = _seen_errors(predicted, true, seen)
    counts = seen.sum(axis=-1)
    return np.divide(errors.sum(axis=-1), counts, out=np.full(len(counts), np.nan), where=counts > 0)


def mean_average_error(predicted: ArrayLike, true: ArrayLike, seen: ArrayLike) -> np.ndarray:
    """Tai-Chi-HD: the **sum** of the errors of the visible points in pixels of 256, (n,)."""
    return 256 * _seen_errors(predicted, true, seen)[0].sum(axis=-1)


def pck(predicted: ArrayLike, true: ArrayLike, pixels: float = 6.0) -> np.ndarray:
    """DeepFashion: the share of points that are less than 6 pixels of 256 off, (n,)."""
    return (256 * _errors(predicted, true) < pixels).mean(axis=-1)


def orientation_invariant(predicted: ArrayLike, true: ArrayLike, *, legacy: bool = False) -> np.ndarray:
    """Human3.6M: the smaller of the mean errors with and without left and right exchanged, x 128, (n,).

    The points found are exchanged. legacy: by the published table, in which 28 takes the place of both 20 and
    21, 21 that of 28, and 29 stays.
    """
    plain = _errors(predicted, true)
    exchanged = _errors(exchange_sides(predicted, legacy=legacy), true)
    return 128 * np.minimum(plain.mean(axis=-1), exchanged.mean(axis=-1))


def exchange_sides(points: ArrayLike, *, legacy: bool = False) -> np.ndarray:
    """Human3.6M's points (..., 32, 2) with left and right exchanged; legacy as in `orientation_invariant`."""
    points = np.asarray(points, float)
    if points.shape[-2:] != (32, 2):
        raise ValueError(f"predicted has {points.shape[-2]} points, expected Human3.6M's 32")
    order = np.arange(32)
    for right, left in LEGACY_PAIRS if legacy else PAIRS:
        order[right], order[left] = left, right
    return points[..., order, :]


def _errors(predicted: ArrayLike, true: ArrayLike) -> np.ndarray:
    """Distances (n, K) of points (n, K, 2)."""
    predicted, true = np.asarray(predicted, float), np.asarray(true, float)
    if predicted.ndim != 3 or predicted.shape[-1] != 2 or predicted.shape != true.shape:
        shapes = f"{predicted.shape} and {true.shape}"
        raise ValueError(f"predicted and true have shapes {shapes}, expected both (n, K, 2) in [0,1]")
    return np.linalg.norm(predicted - true, axis=-1)


def _seen_errors(predicted: ArrayLike, true: ArrayLike, seen: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Distances (n, K), zero where a point is not seen (its place may be unknown), and seen as bool."""
    errors, seen = _errors(predicted, true), np.asarray(seen, bool)
    if seen.shape != errors.shape:
        raise ValueError(f"seen has shape {seen.shape}, expected {errors.shape} as the points have")
    return np.where(seen, errors, 0.0), seen
