"""SMPL's 24 joints: names, tree, bone lengths, limits of the joints, and forward kinematics.

World axes are SMPL's: metres, y up, a person at rest faces +z with the left side at +x.
"""

import numpy as np
from scipy.spatial.transform import Rotation

JOINTS = [
    "pelvis",
    "left_hip",
    "right_hip",
    "spine1",
    "left_knee",
    "right_knee",
    "spine2",
    "left_ankle",
    "right_ankle",
    "spine3",
    "left_foot",
    "right_foot",
    "neck",
    "left_collar",
    "right_collar",
    "head",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_hand",
    "right_hand",
]
"""Joint names in SMPL's order."""

INDEX = {name: number for number, name in enumerate(JOINTS)}
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)
"""Parent of every joint; a parent always comes before its children."""

_LEFT_OFFSETS = {
    "left_hip": (0.075, -0.09, 0.0),
    "left_knee": (0.02, -0.39, 0.005),
    "left_ankle": (-0.01, -0.41, -0.03),
    "left_foot": (0.02, -0.06, 0.125),
    "left_collar": (0.075, 0.11, -0.02),
    "left_shoulder": (0.105, 0.03, -0.01),
    "left_elbow": (0.265, -0.005, -0.015),
    "left_wrist": (0.255, 0.005, 0.0),
    "left_hand": (0.085, 0.0, 0.0),
}
_MIDDLE_OFFSETS = {
    "spine1": (0.0, 0.11, -0.02),
    "spine2": (0.0, 0.135, 0.01),
    "spine3": (0.0, 0.055, 0.005),
    "neck": (0.0, 0.21, -0.03),
    "head": (0.0, 0.09, 0.05),
}


def _rest_offsets() -> np.ndarray:
    """(24, 3) metres: each joint seen from its parent, arms out; the right side mirrors the left."""
    offsets = np.zeros((24, 3))
    for name, offset in (_LEFT_OFFSETS | _MIDDLE_OFFSETS).items():
        offsets[INDEX[name]] = offset
        if name.startswith("left_"):
            offsets[INDEX[name.replace("left_", "right_")]] = np.multiply(offset, (-1, 1, 1))
    return offsets


OFFSETS = _rest_offsets()


def _limits() -> tuple[np.ndarray, np.ndarray]:
    """Lowest and highest angle (24, 3) in degrees about x, y, z of R = Rx Ry Rz at each joint."""
    low, high = np.full((24, 3), -25.0), np.full((24, 3), 25.0)
    low[0], high[0] = -180, 180
    left = {
        "left_hip": ((-125, -30, -20), (40, 30, 45)),
        "left_knee": ((0, 0, 0), (140, 0, 0)),
        "left_ankle": ((-25, -15, -10), (40, 15, 10)),
        "left_foot": ((-20, 0, 0), (30, 0, 0)),
        "left_shoulder": ((-180, -60, -95), (60, 60, 95)),
        "left_elbow": ((0, -150, 0), (0, 0, 0)),
        "left_wrist": ((-40, -30, -40), (40, 30, 40)),
    }
    for name, (lowest, highest) in left.items():
        low[INDEX[name]], high[INDEX[name]] = lowest, highest
        # A mirror in the plane x = 0 keeps rotations about x and turns those about y and z round.
        right = INDEX[name.replace("left_", "right_")]
        low[right] = (lowest[0], -highest[1], -highest[2])
        high[right] = (highest[0], -lowest[1], -lowest[2])
    return low, high


LOWEST, HIGHEST = _limits()


def to_rotation_vectors(angles: np.ndarray) -> np.ndarray:
    """Axis-angle (24, 3) in radians of joint angles (24, 3) in degrees, cut to the joint limits."""
    within = np.clip(angles, LOWEST, HIGHEST)
    return Rotation.from_euler("XYZ", within, degrees=True).as_rotvec()


def forward_kinematics(pose: np.ndarray, translation: np.ndarray, scale: float = 1.0):
    """Joints (24, 3) in metres and the global rotation (24, 3, 3) of each.

    `pose` (24, 3) holds local rotations as axis-angle in radians; `translation` (3,) is where the pelvis
    is in the world; bones are SMPL-like lengths times `scale`.
    """
    local = Rotation.from_rotvec(np.asarray(pose).reshape(24, 3)).as_matrix()
    joints, rotations = np.empty((24, 3)), np.empty((24, 3, 3))
    joints[0], rotations[0] = translation, local[0]
    for joint in range(1, 24):
        parent = PARENTS[joint]
        rotations[joint] = rotations[parent] @ local[joint]
        joints[joint] = joints[parent] + rotations[parent] @ (OFFSETS[joint] * scale)
    return joints, rotations
