"""The figures' skeleton, motions and camera, against formulas worked by hand."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from kp_helpers.data.threedpw import JOINTS as SMPL_ORDER
from kp_helpers.figures.motion import MOTIONS, draw_motion
from kp_helpers.figures.shapes import look_at
from kp_helpers.figures.skeleton import (
    HIGHEST,
    INDEX,
    JOINTS,
    LOWEST,
    OFFSETS,
    PARENTS,
    forward_kinematics,
    to_rotation_vectors,
)


def test_joints_are_in_smpls_order():
    assert tuple(JOINTS) == SMPL_ORDER
    assert (INDEX["left_ankle"], INDEX["left_foot"], INDEX["head"], INDEX["left_elbow"]) == (7, 10, 15, 18)
    assert all(parent < joint for joint, parent in enumerate(PARENTS))


def test_left_and_right_bones_mirror_each_other():
    for name in JOINTS:
        if name.startswith("left_"):
            right = OFFSETS[INDEX[name.replace("left_", "right_")]]
            np.testing.assert_allclose(OFFSETS[INDEX[name]] * (-1, 1, 1), right)
            assert OFFSETS[INDEX["left_hip"]][0] > 0


def test_a_bent_elbow_by_hand():
    pose = np.zeros((24, 3))
    pose[INDEX["left_elbow"]] = (0, -np.pi / 2, 0)  # the left arm lies along +x; the forearm swings to +z
    joints, _ = forward_kinematics(pose, np.zeros(3))
    forearm = joints[INDEX["left_wrist"]] - joints[INDEX["left_elbow"]]
    x, y, z = OFFSETS[INDEX["left_wrist"]]
    np.testing.assert_allclose(forearm, (-z, y, x), atol=1e-12)


def test_bones_keep_their_length_in_every_motion():
    lengths = np.linalg.norm(OFFSETS, axis=1)
    for kind in MOTIONS:
        motion = draw_motion(np.random.default_rng(3), kind, 40.0)
        pose, place = motion.at(0.7)
        joints, _ = forward_kinematics(pose, place, motion.scale)
        found = [np.linalg.norm(joints[j] - joints[PARENTS[j]]) for j in range(1, 24)]
        np.testing.assert_allclose(found, lengths[1:] * motion.scale, atol=1e-9)


def test_poses_stay_within_the_joint_limits():
    wild = np.random.default_rng(0).uniform(-300, 300, (24, 3))
    angles = Rotation.from_rotvec(to_rotation_vectors(wild)).as_matrix()
    allowed = Rotation.from_euler("XYZ", np.clip(wild, LOWEST, HIGHEST), degrees=True).as_matrix()
    np.testing.assert_allclose(angles, allowed, atol=1e-9)
    assert HIGHEST[INDEX["left_knee"]].tolist() == [140, 0, 0]


@pytest.mark.parametrize("kind", MOTIONS)
def test_motions_are_smooth_and_stand_on_the_ground(kind):
    motion = draw_motion(np.random.default_rng(1), kind, 0.0)
    frames = [forward_kinematics(*motion.at(t / 30))[0] for t in range(30)]
    steps = np.linalg.norm(np.diff(frames, axis=0), axis=-1)
    assert steps.max() < 0.35, "no joint moves faster than about 10 m/s"
    for t in range(30):
        joints, _ = forward_kinematics(*motion.at(t / 30), motion.scale)
        assert joints[:, 1].min() == pytest.approx(0.05)


def test_camera_has_opencvs_axes():
    camera = look_at((0, 1, 5), (0, 1, 0), focal=100, size=(200, 100))
    pixels, depth = camera.project(np.array([[0, 1, 0], [1, 1, 0], [0, 2, 0]]))
    np.testing.assert_allclose(pixels, [[100, 50], [120, 50], [100, 30]], atol=1e-9)
    np.testing.assert_allclose(depth, 5)
    np.testing.assert_allclose(camera.extrinsics[:3, :3] @ camera.extrinsics[:3, :3].T, np.eye(3), atol=1e-12)
