"""What a person's limbs do, in words that are true to the pose."""

import numpy as np

from kp_helpers.figures.scene import LIMBS, Person
from kp_helpers.figures.skeleton import INDEX, forward_kinematics

LIMB_WORDS = {
    "raise": ("raising", "raised"),
    "bend": ("bending", "bent"),
    "stretch": ("stretching out", "stretched out"),
    "front": ("", "in front"),
    "behind": ("", "behind"),
    "hang": ("", "hanging"),
    "straight": ("", "straight"),
}
"""Of each state the words before the limb, if there are any, and those after it."""
SIDED_MOTIONS = {"kick": "leg", "wave": "arm", "throw": "arm"}
"""Motions of one side, and the limb that makes them."""


def limb_states(person: Person) -> dict[str, str]:
    """For each of `LIMBS` a key of `LIMB_WORDS`, from the person's pose; "front" and "behind" are the
    person's own.
    """
    joints, rotations = forward_kinematics(person.pose, person.place, person.scale)
    states = {}
    for limb in LIMBS:
        side, kind = limb.split()
        names = ("shoulder", "elbow", "wrist") if kind == "arm" else ("hip", "knee", "ankle")
        first, middle, last = (joints[INDEX[f"{side}_{name}"]] for name in names)
        own = rotations[INDEX["spine3" if kind == "arm" else "pelvis"]]
        ahead = float((own.T @ (last - first))[2]) / person.scale
        bend = _angle(middle - first, last - middle)
        state = _arm if kind == "arm" else _leg
        states[limb] = state(float(last[1] - first[1]) / person.scale, ahead, bend)
    return states


def _arm(height: float, ahead: float, bend: float) -> str:
    """State of an arm whose wrist is `height` and `ahead` metres from its shoulder; `bend` in degrees."""
    if height > 0.1:
        return "raise"
    if bend > 70:
        return "bend"
    if height > -0.3:
        return "stretch"
    return "front" if ahead > 0.17 else "behind" if ahead < -0.13 else "hang"


def _leg(height: float, ahead: float, bend: float) -> str:
    """State of a leg, as `_arm`; the height of the ankle below the hip does not matter."""
    if bend > 55:
        return "bend"
    return "front" if ahead > 0.22 else "behind" if ahead < -0.18 else "straight"


def _angle(one: np.ndarray, other: np.ndarray) -> float:
    """Degrees between two vectors."""
    cosine = one @ other / (np.linalg.norm(one) * np.linalg.norm(other) + 1e-9)
    return float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
