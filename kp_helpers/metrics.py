"""How near a prediction is to its joint: tolerance, meaningful direction, PCK, mean error, mirror misses.

Positions are (x, y) in pixels of the frame, (..., 2). A measure gives one value a prediction; `mean` then
leaves out what is not visible and says how many were counted.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

DISC = 1 / 48
"""40 pixels of a 1920 x 1080 frame, as a fraction of its long side."""
SECTOR = {
    "left_foot": 5 / 32,
    "right_foot": 5 / 32,
    "head": 5 / 48,
    "left_elbow": 5 / 48,
    "right_elbow": 5 / 48,
}
"""Reach of the meaningful direction: 300 pixels of 1920 for feet, 200 for the head and (ours) elbows."""
LIMB_ENDS = {
    "left_foot": ("left_knee",),
    "right_foot": ("right_knee",),
    "head": ("neck",),
    "left_elbow": ("left_shoulder", "left_wrist"),
    "right_elbow": ("right_shoulder", "right_wrist"),
}
"""Joint -> where the limbs lead that give it its meaningful directions."""


@dataclass(frozen=True)
class Score:
    """A mean over the n cases that counted; value is None where there was none."""

    value: float | None
    n: int


def mirrored(joint: str) -> str | None:
    """The same joint of the other side, None for one in the middle."""
    side, _, name = joint.partition("_")
    other = {"left": "right", "right": "left"}.get(side)
    return f"{other}_{name}" if other and name else None


def distance(predicted: ArrayLike, true: ArrayLike) -> np.ndarray:
    """Euclidean distance in pixels, (...)."""
    return np.linalg.norm(_points("predicted", predicted) - _points("true", true), axis=-1)


def within(
    predicted: ArrayLike, true: ArrayLike, frame_size: ArrayLike, fraction: float = DISC
) -> np.ndarray:
    """Whether d <= fraction x the frame's long side, (...) bool.

    frame_size: (width, height), or (..., 2) where frames differ. fraction: 1/48 is 40 pixels of 1920.
    """
    return distance(predicted, true) <= fraction * long_side(frame_size)


def in_direction(
    predicted: ArrayLike,
    true: ArrayLike,
    limb_ends: ArrayLike,
    frame_size: ArrayLike,
    *,
    reach: float,
    half_angle: float = 45.0,
    disc: float = DISC,
) -> np.ndarray:
    """Whether a prediction is off in a meaningful direction at most, (...) bool: in the disc or in a sector.

    A sector opens at the joint towards one of its limb_ends (..., A, 2): d <= reach x long side, and at most
    half_angle degrees between prediction - true and limb end - true. A limb of length zero has no sector.
    reach and disc: fractions of the frame's long side.
    """
    miss = (_points("predicted", predicted) - _points("true", true))[..., None, :]
    limbs = _points("limb_ends", limb_ends) - _points("true", true)[..., None, :]
    lengths = np.linalg.norm(miss, axis=-1) * np.linalg.norm(limbs, axis=-1)
    cosine = np.divide((miss * limbs).sum(-1), lengths, out=np.full(lengths.shape, -2.0), where=lengths > 0)
    along = (cosine >= np.cos(np.radians(half_angle)) - 1e-12).any(-1)
    return within(predicted, true, frame_size, disc) | (along & within(predicted, true, frame_size, reach))


def normalised_error(predicted: ArrayLike, true: ArrayLike, norm: ArrayLike) -> np.ndarray:
    """Distance over a length in pixels, such as the frame's long side, (...)."""
    return distance(predicted, true) / _lengths(norm)


def pck(predicted: ArrayLike, true: ArrayLike, norm: ArrayLike, alpha: float) -> np.ndarray:
    """Percentage of correct keypoints, one by one: whether d / norm < alpha, strictly, (...) bool.

    norm: pixels; the person's box gives max(width, height), see `box_side`.
    """
    return normalised_error(predicted, true, norm) < alpha


def mirror_confusion(
    predicted: ArrayLike,
    true: ArrayLike,
    other_side: ArrayLike,
    frame_size: ArrayLike,
    visible: ArrayLike | None = None,
    fraction: float = DISC,
) -> Score:
    """The share of misses that fall on the other side's joint, both by the tolerance of `within`."""
    missed = ~within(predicted, true, frame_size, fraction)
    mirror = within(predicted, other_side, frame_size, fraction)
    return mean(mirror, missed if visible is None else missed & np.asarray(visible, bool))


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


def long_side(frame_size: ArrayLike) -> np.ndarray:
    """max(width, height) in pixels, (...) of (..., 2)."""
    return _lengths(_points("frame_size", frame_size).max(axis=-1))


def box_side(box: ArrayLike) -> np.ndarray:
    """max(width, height) in pixels of boxes (x0, y0, x1, y1), (...) of (..., 4)."""
    box = np.asarray(box, float)
    return _lengths((box[..., 2:] - box[..., :2]).max(axis=-1))


def _points(name: str, values: ArrayLike) -> np.ndarray:
    points = np.asarray(values, float)
    if points.shape[-1:] != (2,):
        raise ValueError(f"{name} has shape {points.shape}, expected (..., 2) as (x, y) in pixels")
    return points


def _lengths(values: ArrayLike) -> np.ndarray:
    lengths = np.asarray(values, float)
    if not (lengths > 0).all():
        raise ValueError(f"a normalising length is {np.min(lengths)}, expected all to be above 0 pixels")
    return lengths
