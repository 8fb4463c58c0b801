"""The self-check of 3DPW's projection: what it lets pass, and what it refuses by which name."""

import numpy as np
import pytest
from helpers.threedpw_folder import COCO, SMPL, sequence_content, write_sequence, write_threedpw

from kp_helpers.data import DataError, ThreeDPW
from kp_helpers.data.threedpw import DETECTED, JOINTS, SPLITS
from kp_helpers.figures.export import export

MIRROR = [JOINTS.index(n.replace("left", "RIGHT").replace("right", "left").lower()) for n in JOINTS]
OTHER = [DETECTED.index(n.replace("left", "RIGHT").replace("right", "left").lower()) for n in DETECTED]


def read(tmp_path, content, **options) -> ThreeDPW:
    write_sequence(tmp_path, "test", content)
    return ThreeDPW(tmp_path, "test", **options)


def joints(content) -> np.ndarray:
    return content["jointPositions"][0].reshape(-1, 24, 3)


def test_the_shared_joints_are_the_same_by_name():
    assert [JOINTS[smpl] for smpl in SMPL] == [DETECTED[coco] for coco in COCO]


def test_a_right_file_fits_within_a_few_percent(tmp_path):
    data = ThreeDPW(write_threedpw(tmp_path, people=2), "test")
    assert set(data.fit) == {(f"walk_0{n}", person) for n in (0, 1) for person in (0, 1)}
    assert 0 < min(data.fit.values()) <= max(data.fit.values()) < 0.06


def left_right(content):
    joints(content)[:] = joints(content)[:, MIRROR]


def detections_left_right(content):
    content["poses2d"][0][:] = content["poses2d"][0][:, :, OTHER]


def axes(*signs):
    """The camera's axes turned round."""

    def spoil(content):
        content["cam_poses"][:] = np.diag([*signs, 1]) @ content["cam_poses"]

    return spoil


def camera_to_world(content):
    turn = np.array([[0.6, 0, -0.8], [0, 1, 0], [0.8, 0, 0.6]])
    joints(content)[:] = (joints(content) - (0.4, 0.3, 0.5)) @ turn
    content["cam_poses"][:, :3, :3], content["cam_poses"][:, :3, 3] = turn, (0.4, 0.3, 0.5)
    content["cam_poses"][:] = np.linalg.inv(content["cam_poses"])


def exchanged(content):
    joints(content)[:] = joints(content)[..., [1, 0, 2]]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (left_right, "left and right are swapped: its joints lie 0.[0-9]+ of a person's size off poses2d"),
        (detections_left_right, "left and right are swapped"),
        (axes(-1, 1, 1), "person 0: x points the wrong way"),
        (axes(1, -1, 1), "person 0: y points the wrong way"),
        (axes(-1, -1, 1), "x and y point the wrong way"),
        (axes(1, 1, -1), "person 0: z points the wrong way: its joints lie behind the camera"),
        (axes(1, -1, -1), "y and z point the wrong way"),
        (axes(-1, -1, -1), "x and y and z point the wrong way"),
        (camera_to_world, "cam_poses lead from camera to world"),
        (exchanged, "x and y are exchanged"),
    ],
)
def test_wrong_axes_and_sides_are_refused_by_name(spoil, message, tmp_path):
    content = sequence_content("walk_00", frames=5)
    content["cam_poses"][:, :3, 3] = (0.0, 0, 0)  # the fixture's own shift is turned by `axes` too
    content["poses2d"][0][:, :2, COCO] = (joints(content)[:, SMPL, :2] / joints(content)[:, SMPL, 2:]
        * (60, 50) + (32, 24)).transpose(0, 2, 1)  # fmt: skip
    spoil(content)
    with pytest.raises(DataError, match=f"walk_00.pkl: .*{message}"):
        read(tmp_path, content)
    assert ThreeDPW(tmp_path, "test", check=False).fit == {}


def test_joints_of_somebody_else_are_refused(tmp_path):
    content = sequence_content("walk_00", frames=5)
    content["poses2d"][0][:, 0] += 500
    with pytest.raises(DataError, match="times a person's size off poses2d, expected them on it"):
        read(tmp_path, content)


def test_far_out_detections_and_drift_are_no_reason(tmp_path):
    """A third of the detections anywhere, a fifth with sides confused, all of it drifted by a third of a
    person.
    """
    rng = np.random.default_rng(0)
    for number in range(5):
        content = sequence_content(f"walk_{number:02d}", frames=40, seed=number)
        detected = content["poses2d"][0]
        far = rng.random((40, 18)) < 0.3
        detected[:, :2][np.repeat(far[:, None], 2, axis=1)] = rng.uniform(-900, 900, 2 * far.sum())
        detected[::5] = detected[::5][:, :, OTHER]
        detected[:, 0] += 8
        write_sequence(tmp_path, "test", content)
    data = ThreeDPW(tmp_path, "test")
    assert len(data) == 5 * 40 and max(data.fit.values()) < 0.6


def test_too_few_detections_say_nothing(tmp_path):
    content = sequence_content("walk_00")
    left_right(content)
    content["poses2d"][0][:, 2, COCO[:7]] = 0
    assert read(tmp_path, content).fit == {("walk_00", 0): None}


def test_the_figures_world_fits_exactly(tmp_path):
    export(tmp_path / "world", sequences=3, frames=2, seed=4)
    fits = {k: v for split in SPLITS for k, v in ThreeDPW(tmp_path / "world", split).fit.items()}
    assert fits and all(fit is None or fit < 1e-6 for fit in fits.values())


def test_sides_are_told_apart_in_spite_of_noise_and_drift(tmp_path):
    rng = np.random.default_rng(0)
    content = sequence_content("walk_00", frames=40)
    content["poses2d"][0][:, :2] += rng.normal(0, 1.5, (40, 2, 18)) + [[[9.0], [4.0]]]
    assert read(tmp_path, content).fit["walk_00", 0] > 0.3
    left_right(content)
    content["sequence"] = "walk_01"
    with pytest.raises(DataError, match="walk_01.pkl: person 0: left and right are swapped"):
        read(tmp_path, content)
