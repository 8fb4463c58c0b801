"""Hits by a tolerance in pixels or of the frame and in a meaningful direction, and the other side's joint."""

import re

import numpy as np
from numpy.typing import ArrayLike

from kp_helpers.metrics.lengths import as_points, distance, long_side

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


_SIDES = (
    r"(?<![A-Za-z])([Ll]eft|[Rr]ight|LEFT|RIGHT)(?![a-z])",
    r"(?<=[a-z])(Left|Right)(?![a-z])",
    r"(?<![A-Za-z])[LRlr](?![A-Za-z])",
    r"^[LRlr](?=[A-Z][a-z])",
)
"""How names of joints say a side, whole words before letters."""
_OTHER_SIDE = {"left": "right", "Left": "Right", "LEFT": "RIGHT", "l": "r", "L": "R"}
_OTHER_SIDE |= {right: left for left, right in _OTHER_SIDE.items()}


def mirrored(joint: str) -> str | None:
    """The same joint of the other side, None for a name that says no side, as one in the middle does.

    A side is said as left and right, or l and r, before or after the rest, set off by a space, "_", "-", "."
    or a capital letter: left_ankle, "Left Ankle", ankle-l, LShoulder, leftKnee.
    """
    for pattern in _SIDES:
        found = re.search(pattern, joint)
        if found and found[0] != joint:
            return joint[: found.start()] + _OTHER_SIDE[found[0]] + joint[found.end() :]
    return None


def within_pixels(predicted: ArrayLike, true: ArrayLike, pixels: ArrayLike = 40.0) -> np.ndarray:
    """Whether d <= pixels of the frame, whatever its size, (...) bool. The paper's 40 are of 1920 x 1080."""
    return distance(predicted, true) <= np.asarray(pixels, float)


def within(
    predicted: ArrayLike, true: ArrayLike, frame_size: ArrayLike, fraction: float = DISC
) -> np.ndarray:
    """Whether d <= fraction x the frame's long side, (...) bool.

    frame_size: (width, height), or (..., 2) where frames differ. fraction: 1/48 is 40 pixels of 1920.
    """
    return within_pixels(predicted, true, fraction * long_side(frame_size))


def off_axis(predicted: ArrayLike, true: ArrayLike, limb_ends: ArrayLike) -> np.ndarray:
    """Degrees in [0, 180] between prediction - true and the nearest of limb ends - true, (...).

    limb_ends: (..., A, 2); one that is NaN or lies on the joint has no direction. NaN where no limb has one,
    or where the prediction lies on the joint.
    """
    miss = (as_points("predicted", predicted) - as_points("true", true))[..., None, :]
    limbs = as_points("limb_ends", limb_ends) - as_points("true", true)[..., None, :]
    cross = miss[..., 0] * limbs[..., 1] - miss[..., 1] * limbs[..., 0]
    angles = np.degrees(np.arctan2(np.abs(cross), (miss * limbs).sum(-1)))
    directed = (miss != 0).any(-1) & (limbs != 0).any(-1)
    return np.fmin.reduce(np.where(directed, angles, np.nan), axis=-1)


def in_direction(
    predicted: ArrayLike,
    true: ArrayLike,
    limb_ends: ArrayLike,
    frame_size: ArrayLike,
    *,
    reach: float,
    half_angle: ArrayLike = 45.0,
    disc: float = DISC,
) -> np.ndarray:
    """Whether a prediction is off in a meaningful direction at most, (...) bool: in the disc or in a sector.

    A sector opens at the joint towards one of its limb_ends (..., A, 2): d <= reach x long side, and at most
    half_angle degrees between prediction - true and limb end - true. A limb of length zero has no sector.
    reach and disc: fractions of the frame's long side. half_angle: one, or (A,) for one prediction's curve.
    """
    along = off_axis(predicted, true, limb_ends) <= np.asarray(half_angle) + 1e-9
    return within(predicted, true, frame_size, disc) | (along & within(predicted, true, frame_size, reach))
