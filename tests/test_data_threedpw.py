"""3DPW's layout: what is read, what is left out, and the sentence for each thing that is wrong."""

import shutil

import numpy as np
import pytest
from helpers.threedpw_folder import (
    INTRINSICS,
    python2_bytes,
    sequence_content,
    write_sequence,
    write_threedpw,
)
from PIL import Image

from kp_helpers.data import DataError, ThreeDPW
from kp_helpers.data.threedpw import JOINTS


def by_hand(content: dict, person: int, frame: int, joint: str) -> tuple[float, float]:
    """u = fx x / z + cx with the fixture's camera, which only moves sideways."""
    x, y, z = content["jointPositions"][person][frame].reshape(24, 3)[JOINTS.index(joint)]
    x += content["cam_poses"][frame][0, 3]
    return INTRINSICS[0, 0] * x / z + INTRINSICS[0, 2], INTRINSICS[1, 1] * y / z + INTRINSICS[1, 2]


def test_samples_come_one_a_person_and_frame(tmp_path):
    data = ThreeDPW(write_threedpw(tmp_path, people=2), "test", joints=("left_foot", "head"))
    assert len(data) == 2 * 3 * 2 and len(data[2:5]) == 3 and data[-1].name == "walk_01/00002/1"
    assert [sample.name for sample in data][:4] == [
        "walk_00/00000/0",
        "walk_00/00001/0",
        "walk_00/00002/0",
        "walk_00/00000/1",
    ]
    sample = data[4]
    assert (sample.sequence, sample.frame, sample.person, sample.frame_size) == ("walk_00", 1, 1, (64, 48))
    assert sample.image_path.name == "image_00001.jpg" and sample.image().shape == (3, 48, 64)
    assert list(sample.joints) == list(sample.visible) == ["left_foot", "head"] and len(sample.skeleton) == 24
    with pytest.raises(IndexError):
        data[12]


def test_projection_is_that_of_the_formula(tmp_path):
    content = sequence_content("walk_00", people=2)
    write_sequence(tmp_path, "test", content)
    for sample in ThreeDPW(tmp_path, "test", joints=JOINTS):
        for joint, point in sample.joints.items():
            assert point == pytest.approx(by_hand(content, sample.person, sample.frame, joint), abs=1e-9)
        x, y = np.transpose(list(sample.skeleton.values()))
        assert sample.box == pytest.approx((x.min(), y.min(), x.max(), y.max()))


def test_a_turned_camera_maps_world_to_camera(tmp_path):
    content = sequence_content("walk_00", frames=1)
    turn = np.array([[0.0, 0, -1], [0, 1, 0], [1, 0, 0]])  # the world's x is the camera's depth
    content["cam_poses"][0, :3, :3], content["cam_poses"][0, :3, 3] = turn, (0.1, 0.2, 4)
    content["jointPositions"][0][:] = np.tile([1.0, 0.5, 2.0], 24)
    write_sequence(tmp_path, "test", content)
    depth = 1.0 + 4
    expected = 60 * (-2.0 + 0.1) / depth + 32, 50 * (0.5 + 0.2) / depth + 24
    assert ThreeDPW(tmp_path, "test")[0].joints["head"] == pytest.approx(expected)


def test_joints_outside_behind_or_unknown_are_masked_and_never_clamped(tmp_path):
    content = sequence_content("walk_00", frames=1)
    joints = content["jointPositions"][0].reshape(24, 3)
    joints[:] = (0, 0, 3)
    joints[JOINTS.index("left_foot")] = (9, 0, 3)
    joints[JOINTS.index("head")] = (0, 0, -1)
    joints[JOINTS.index("left_elbow")] = (np.nan, 0, 3)
    joints[JOINTS.index("left_knee")] = (0, np.inf, 3)
    write_sequence(tmp_path, "test", content)
    sample = ThreeDPW(tmp_path, "test", joints=("left_foot", "head", "left_elbow", "left_knee", "pelvis"))[0]
    assert sample.visible == dict.fromkeys(sample.joints, False) | {"pelvis": True}
    assert sample.joints["left_foot"] == (212.0, 24.0) and sample.box == (32.0, 24.0, 212.0, 24.0)
    assert np.isnan([sample.joints[name] for name in ("head", "left_elbow", "left_knee")]).all()


def test_the_filter_of_the_data_set_counts_what_it_leaves_out(tmp_path):
    content = sequence_content("walk_00", frames=5)
    content["campose_valid"][0][0] = 0
    content["poses2d"][0][1] = 0
    content["jointPositions"][0][2].reshape(24, 3)[:, 2] = -3
    write_sequence(tmp_path, "test", content)
    data = ThreeDPW(tmp_path, "test")
    assert [sample.frame for sample in data] == [3, 4]
    assert data.left_out == {"camera unknown": 1, "no detection": 1, "behind the camera": 1}


def spoilt(key, value):
    """Sets a key to a value, or to what a function makes of its value; None removes it."""

    def spoil(content):
        content[key] = value(content[key]) if callable(value) else value
        if value is None:
            del content[key]

    return spoil


TEXT = np.array([["a"] * 3] * 3)
WRONG = [
    (spoilt("cam_poses", None), "cam_poses is a NoneType, expected an array of numbers"),
    (spoilt("poses2d", None), "poses2d is a NoneType, expected a list"),
    (spoilt("betas", []), "lists of unequal length, .*'betas': 0"),
    (spoilt("campose_valid", lambda old: old * 2), "lists of unequal length, .*'campose_valid': 2"),
    (spoilt("poses2d", lambda old: [old[0][:, :2]]), "poses2d.0. has shape .3, 2, 18., expected .3, 3, 18."),
    (
        spoilt("jointPositions", lambda old: [old[0][:2]]),
        "jointPositions.0. has shape .2, 72., expected .3, 72.",
    ),
    (spoilt("cam_poses", lambda old: old[:, :3]), "cam_poses has shape .3, 3, 4., expected .N, 4, 4."),
    (spoilt("cam_intrinsics", lambda old: old * 0), "no positive focal lengths"),
    (spoilt("cam_intrinsics", TEXT), "cam_intrinsics is a ndarray, expected an array of numbers"),
    (spoilt("campose_valid", [np.zeros(3)]), "campose_valid is false in every frame"),
    (spoilt("sequence", "../../elsewhere"), "its sequence is '../../elsewhere', expected 'walk_00'"),
]


@pytest.mark.parametrize(("spoil", "message"), WRONG)
def test_a_wrong_file_is_named_with_what_is_wrong(spoil, message, tmp_path):
    content = sequence_content("walk_00")
    path = write_sequence(tmp_path, "test", content)
    spoil(content)
    path.write_bytes(python2_bytes(content))
    with pytest.raises(DataError, match=f"walk_00.pkl: .*{message}"):
        ThreeDPW(tmp_path, "test")


def test_no_person_is_an_error(tmp_path):
    write_threedpw(tmp_path, sequences=1, people=0)
    with pytest.raises(DataError, match="walk_00.pkl: holds no person"):
        ThreeDPW(tmp_path, "test")


def test_every_missing_image_is_listed_before_anything_is_read(tmp_path):
    images = write_threedpw(tmp_path) / "imageFiles"
    (images / "walk_00" / "image_00001.jpg").unlink()
    shutil.rmtree(images / "walk_01")
    with pytest.raises(DataError, match="4 problems with the images") as caught:
        ThreeDPW(tmp_path, "test")
    assert str(caught.value).count("is missing") == 4


def test_more_images_than_poses_is_an_error(tmp_path):
    images = write_threedpw(tmp_path) / "imageFiles" / "walk_01"
    shutil.copy(images / "image_00000.jpg", images / "image_00003.jpg")
    with pytest.raises(DataError, match="walk_01: 4 images, expected 3"):
        ThreeDPW(tmp_path, "test")


def test_an_image_of_another_size_is_an_error(tmp_path):
    write_threedpw(tmp_path)
    Image.new("RGB", (20, 10)).save(tmp_path / "imageFiles" / "walk_00" / "image_00001.jpg")
    with pytest.raises(DataError, match=r"image_00001.jpg: is \(20, 10\), expected \(64, 48\)"):
        ThreeDPW(tmp_path, "test")[1].image()


def test_what_unpackers_leave_behind_is_no_obstacle(tmp_path):
    write_threedpw(tmp_path / "flat")
    nested = tmp_path / "nested"
    for name in ("imageFiles", "sequenceFiles"):
        (nested / name).mkdir(parents=True)
        shutil.copytree(tmp_path / "flat" / name, nested / name / name)
        (nested / "__MACOSX" / name).mkdir(parents=True)
    (nested / "sequenceFiles" / "sequenceFiles" / "test" / "._walk_00.pkl").write_bytes(b"\0")
    assert [s.name for s in ThreeDPW(nested, "test")] == [s.name for s in ThreeDPW(tmp_path / "flat", "test")]


def test_unknown_names_get_the_nearest_one(tmp_path):
    write_threedpw(tmp_path)
    with pytest.raises(DataError, match="joint 'leftfoot' is unknown, did you mean 'left_foot'?"):
        ThreeDPW(tmp_path, "test", joints=("leftfoot",))
    with pytest.raises(DataError, match="split 'testing' is unknown, did you mean 'test'?"):
        ThreeDPW(tmp_path, "testing")
    with pytest.raises(DataError, match="no .pkl in sequenceFiles/train"):
        ThreeDPW(tmp_path, "train")
    with pytest.raises(DataError, match="no folder imageFiles, expected 3DPW's layout"):
        ThreeDPW(tmp_path / "none", "test")
