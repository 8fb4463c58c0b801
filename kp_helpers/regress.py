"""From the keypoints that were found to the landmarks that were annotated: a linear map without bias.

Both are centred on the image, (point - 0.5), as StableKeypoints does: W = pinv(X^T X) X^T Y.
"""

import numpy as np

from kp_helpers.metrics.stable_keypoints import exchange_sides

ENOUGH, ROUNDS = 10, 1000
"""`fit_human36m` ends once so few pictures change sides in a round; more rounds mean that it never will."""


def fit(found, annotated, visible=None) -> np.ndarray:
    """The matrix W (2K, 2J) that leads from K found keypoints to J annotated ones, least squares.

    found: (n, K, 2), annotated: (n, J, 2), both (x, y) in [0,1]. visible: (n, J) bool or None; a landmark's
    columns are fitted on the images that show it (all zero where none does).
    """
    x, y = _centred("found", found), _centred("annotated", annotated)
    if len(x) != len(y):
        raise ValueError(f"regress.fit: found has {len(x)} images and annotated {len(y)}, expected as many")
    if visible is None:
        return _least_squares(x, y)
    visible = np.asarray(visible, dtype=bool)
    expected = (len(y), y.shape[1] // 2)
    if visible.shape != expected:
        raise ValueError(
            f"regress.fit: visible has shape {visible.shape}, expected {expected} as annotated has"
        )
    columns = [_least_squares(x[seen], y[seen, 2 * j : 2 * j + 2]) for j, seen in enumerate(visible.T)]
    return np.concatenate(columns, axis=1)


def fit_human36m(found, annotated, legacy: bool = False) -> np.ndarray:
    """The matrix W (2K, 64) of Human3.6M, whose pictures may be annotated with left and right exchanged.

    Fits, exchanges the sides of every picture whose prediction is nearer to the exchanged annotation (by the
    mean distance), and fits again until at most `ENOUGH` pictures are exchanged in a round (StableKeypoints).

    found: (n, 2K), annotated: (n, 64), both x and y in turn, in [0,1]. legacy: by the published table of
    sides, see `metrics.stable_keypoints`. RuntimeError where the rounds do not end.
    """
    x = _centred("found", _pairs("found", found))
    points = _pairs("annotated", annotated)
    if points.shape[1] != 32 or len(points) != len(x):
        shapes = f"{np.shape(found)} and {np.shape(annotated)}"
        raise ValueError(
            f"regress.fit_human36m: found and annotated have shapes {shapes}, expected (n, 2K), (n, 64)"
        )
    for _ in range(ROUNDS):
        weights = _least_squares(x, _centred("annotated", points))
        predicted = (x @ weights + 0.5).reshape(points.shape)
        exchanged = exchange_sides(points, legacy=legacy)
        plain, other = (np.linalg.norm(predicted - one, axis=-1).mean(axis=-1) for one in (points, exchanged))
        nearer = other < plain
        points = np.where(nearer[:, None, None], exchanged, points)
        if nearer.sum() <= ENOUGH:
            return _least_squares(x, _centred("annotated", points))
    raise RuntimeError(
        f"regress.fit_human36m: {nearer.sum()} pictures still change sides after {ROUNDS} rounds"
    )


def predict(weights: np.ndarray, found) -> np.ndarray:
    """Landmarks (n, J, 2) in [0,1] from found keypoints (n, K, 2): (found - 0.5) W + 0.5."""
    x = _centred("found", found)
    if x.shape[1] != len(weights):
        raise ValueError(
            f"regress.predict: found has {x.shape[1] // 2} keypoints, expected {len(weights) // 2}"
        )
    return (x @ weights + 0.5).reshape(len(x), -1, 2)


def _least_squares(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.linalg.pinv(x.T @ x) @ x.T @ y


def _pairs(name: str, flat) -> np.ndarray:
    flat = np.asarray(flat, dtype=np.float64)
    if flat.ndim != 2 or flat.shape[1] % 2:
        raise ValueError(f"regress: {name} has shape {flat.shape}, expected (images, 2 x keypoints)")
    return flat.reshape(len(flat), -1, 2)


def _centred(name: str, points) -> np.ndarray:
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 3 or points.shape[-1] != 2:
        raise ValueError(f"regress: {name} has shape {points.shape}, expected (images, keypoints, 2)")
    if not np.isfinite(points).all():
        raise ValueError(
            f"regress: {name} holds a NaN or infinite coordinate, expected finite points in [0,1]"
        )
    return points.reshape(len(points), -1) - 0.5
