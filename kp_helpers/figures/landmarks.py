"""The points of three published sets on a figure's body: joints, and places beside a joint."""

import numpy as np

from kp_helpers.figures.export import FACE
from kp_helpers.figures.scene import Person
from kp_helpers.figures.skeleton import INDEX, forward_kinematics

_ARM, _LEG = (
    ("collar", "shoulder", "elbow", "wrist", "hand", "hand", "hand"),
    ("hip", "knee", "ankle", "foot"),
)
_MIRRORED = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
UPRIGHT = ("head", "neck", "pelvis", *(f"{side}_{name}" for name in _MIRRORED for side in ("left", "right")))
FACIAL = (
    *(("head", FACE[name]) for name in ("right_eye", "left_eye", "nose")),
    *(("head", (x, -0.015, 0.135)) for x in (-0.034, 0.034)),
)
"""CelebA's five points: its left is the picture's, which is the right of a person who looks at us."""


def _limb(side: str, names: tuple[str, ...], offset: tuple[float, float, float]) -> list:
    """The joints of a limb, and a point beyond the last."""
    return [*(f"{side}_{name}" for name in names), (f"{side}_{names[-1]}", offset)]


WHOLE = (
    *("pelvis", *_limb("right", _LEG, (0, 0, 0.08)), *_limb("left", _LEG, (0, 0, 0.08))),
    *("spine1", "spine3", "neck", "head", ("head", (0, 0.2, 0))),
    *(*_limb("left", _ARM, (0.07, 0, 0)), *_limb("right", _ARM, (-0.07, 0, 0))),
)
"""Human3.6M's 32 points; a figure has no thumbs, so that these are its hands."""


def on_person(person: Person, places) -> np.ndarray:
    """World points (K, 3) of joints, or of (joint, offset in metres in its axes)."""
    joints, rotations = forward_kinematics(person.pose, person.place, person.scale)
    pairs = [(place, (0, 0, 0)) if isinstance(place, str) else place for place in places]
    at = [(INDEX[name], np.multiply(offset, person.scale)) for name, offset in pairs]
    return np.stack([joints[index] + rotations[index] @ offset for index, offset in at])
