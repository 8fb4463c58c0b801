"""From the keypoints that were found to the landmarks that were annotated: a linear map without bias.

Both are centred on the image, (point - 0.5), as StableKeypoints does: W = pinv(X^T X) X^T Y.
"""

import numpy as np


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


def _centred(name: str, points) -> np.ndarray:
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 3 or points.shape[-1] != 2:
        raise ValueError(f"regress: {name} has shape {points.shape}, expected (images, keypoints, 2)")
    if not np.isfinite(points).all():
        raise ValueError(
            f"regress: {name} holds a NaN or infinite coordinate, expected finite points in [0,1]"
        )
    return points.reshape(len(points), -1) - 0.5
