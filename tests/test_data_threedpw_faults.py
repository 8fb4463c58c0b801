"""3DPW's faults, by their rows: what is refused with which sentence, masked, skipped or counted."""

import shutil

import numpy as np
import pytest
from helpers.threedpw_folder import (
    by_hand,
    python2_bytes,
    sequence_content,
    write_sequence,
    write_threedpw,
)

from kp_helpers.data import DataError, ThreeDPW, draw
from kp_helpers.data.__main__ import main
from kp_helpers.data.threedpw import JOINTS


def test_row_22_joints_outside_behind_or_unknown_are_masked_and_never_clamped(tmp_path):
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


def spoilt(key, value):
    """Sets a key to a value, or to what a function makes of its value; None removes it."""

    def spoil(content):
        content[key] = value(content[key]) if callable(value) else value
        if value is None:
            del content[key]

    return spoil


TEXT = np.array([["a"] * 3] * 3)
WRONG = {
    "no cameras": (spoilt("cam_poses", None), "cam_poses is a NoneType, expected an array of numbers"),
    "camera rows": (spoilt("cam_poses", lambda old: old[:, :3]), "shape .3, 3, 4., expected .N, 4, 4."),
    "focal lengths": (spoilt("cam_intrinsics", lambda old: old * 0), "no positive focal lengths"),
    "intrinsics": (spoilt("cam_intrinsics", TEXT), "cam_intrinsics is a ndarray, expected an array of numb"),
    "name": (spoilt("sequence", "../../x"), "its sequence is '../../x', expected 'walk_00'"),
    "row_19 none": (spoilt("poses2d", None), "poses2d is a NoneType, expected a list"),
    "row_19 rows": (spoilt("poses2d", lambda old: [old[0][:, :2]]), "shape .3, 2, 18., expected .3, 3, 18."),
    "row_19 text": (spoilt("poses2d", [TEXT]), "poses2d.0. is a ndarray, expected an array of numbers"),
    "row_23 betas": (spoilt("betas", []), "lists of unequal length, .*'betas': 0"),
    "row_23 cameras": (spoilt("campose_valid", lambda old: old * 2), "unequal length, .*'campose_valid': 2"),
    "row_24": (spoilt("campose_valid", [np.zeros(3)]), "campose_valid is false in every frame"),
    "row_25": (spoilt("jointPositions", lambda old: [old[0][:2]]), "shape .2, 72., expected .3, 72."),
}


@pytest.mark.parametrize(("spoil", "message"), WRONG.values(), ids=WRONG)
def test_a_wrong_file_is_named_with_what_is_wrong(spoil, message, tmp_path):
    content = sequence_content("walk_00")
    path = write_sequence(tmp_path, "test", content)
    spoil(content)
    path.write_bytes(python2_bytes(content))
    with pytest.raises(DataError, match=f"walk_00.pkl: .*{message}"):
        ThreeDPW(tmp_path, "test")


def test_row_23_no_person_is_an_error(tmp_path):
    write_threedpw(tmp_path, sequences=1, people=0)
    with pytest.raises(DataError, match="walk_00.pkl: holds no person"):
        ThreeDPW(tmp_path, "test")


def test_row_13_every_missing_image_is_listed_before_anything_is_read(tmp_path):
    images = write_threedpw(tmp_path) / "imageFiles"
    (images / "walk_00" / "image_00001.jpg").unlink()
    shutil.rmtree(images / "walk_01")
    with pytest.raises(DataError, match="2 problems with the images") as caught:
        ThreeDPW(tmp_path, "test")
    assert "walk_00: 1 of 3 images are missing, the first image_00001.jpg" in str(caught.value)
    assert "walk_01: 3 of 3 images are missing, the first image_00000.jpg" in str(caught.value)
    data = ThreeDPW(tmp_path, "test", skip_missing=True)
    assert [sample.name for sample in data] == ["walk_00/00000/0", "walk_00/00002/0"]
    assert data.left_out["missing image"] == 4 and not data.left_out["damaged image"]


def test_row_13_of_many_sequences_ten_are_named_and_the_rest_counted(tmp_path):
    shutil.rmtree(write_threedpw(tmp_path, sequences=13) / "imageFiles")
    (tmp_path / "imageFiles").mkdir()
    with pytest.raises(DataError, match="13 problems with the images") as caught:
        ThreeDPW(tmp_path, "test")
    assert len(str(caught.value).splitlines()) == 12 and str(caught.value).endswith("and 3 more")


def test_row_86_a_data_set_of_24_sequences_is_read_and_told_in_ten_lines_at_most(tmp_path, capsys):
    """As many sequences as 3DPW's test split has, each with a picture too many, then with too few."""
    for number in range(24):
        write_sequence(tmp_path, "test", sequence_content(f"walk_{number:02d}"))
    pictures = sorted((tmp_path / "imageFiles").iterdir())
    for folder in pictures:
        shutil.copy(folder / "image_00002.jpg", folder / "image_00003.jpg")
    with pytest.warns(UserWarning, match="walk_00: 4 images, 3 frames") as caught:
        samples = ThreeDPW(tmp_path, "test")
    (told,) = caught
    assert len(samples) == 72 and len(str(told.message).splitlines()) == 11
    for folder in pictures:
        (folder / "image_00001.jpg").unlink()
    assert main(["index", str(tmp_path)]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 2 + 12, "two splits; a heading, ten and a count"
    left = ThreeDPW(tmp_path, "test", skip_missing=True)
    assert len(left) == 48 and left.left_out["missing image"] == 24


def test_a_split_that_is_not_there_does_not_keep_from_the_others(tmp_path, capsys):
    write_threedpw(tmp_path)
    assert main(["index", str(tmp_path)]) == 1
    shown = capsys.readouterr()
    assert "train: " in shown.err and "no .pkl in sequenceFiles/train" in shown.err
    assert shown.out.startswith("test, ") and "6 samples" in shown.out


def test_pictures_of_another_size_than_the_cameras_are_refused_or_scaled_to(tmp_path):
    """The camera's middle is that of 64 x 48; the pictures were made half as large."""
    whole, half = tmp_path / "whole", tmp_path / "half"
    for root, size in ((whole, (64, 48)), (half, (32, 24))):
        write_sequence(root, "test", sequence_content("walk_00"), size)
    with pytest.raises(DataError, match="walk_00: its pictures are 32 x 24 .* numbers are for about 64 x 48"):
        ThreeDPW(half, "test")
    for source in ("smpl", "detections"):
        joints = ("left_elbow", "left_wrist")
        large = ThreeDPW(whole, "test", joints, source)
        small = ThreeDPW(half, "test", joints, source, scaled=True)
        for one, other in zip(large, small, strict=True):
            assert np.allclose(np.array(list(one.joints.values())) / 2, list(other.joints.values()))
            assert np.allclose(np.array(one.box) / 2, other.box)


def test_row_25_more_images_than_poses_are_told_and_not_read(tmp_path):
    images = write_threedpw(tmp_path) / "imageFiles" / "walk_01"
    shutil.copy(images / "image_00000.jpg", images / "image_00003.jpg")
    with pytest.warns(UserWarning, match="walk_01: 4 images, 3 frames in its .pkl; the rest is not read"):
        assert len(ThreeDPW(tmp_path, "test")) == 6


def test_row_27_what_unpackers_leave_behind_is_no_obstacle(tmp_path):
    write_threedpw(tmp_path / "flat")
    nested = tmp_path / "nested"
    for name in ("imageFiles", "sequenceFiles"):
        (nested / name).mkdir(parents=True)
        shutil.copytree(tmp_path / "flat" / name, nested / name / name)
        (nested / "__MACOSX" / name).mkdir(parents=True)
    (nested / "sequenceFiles" / "sequenceFiles" / "test" / "._walk_00.pkl").write_bytes(b"\0")
    assert [s.name for s in ThreeDPW(nested, "test")] == [s.name for s in ThreeDPW(tmp_path / "flat", "test")]


def test_row_15_damaged_images_are_skipped_with_a_flag_only_and_counted(tmp_path):
    images = write_threedpw(tmp_path, people=2) / "imageFiles" / "walk_00"
    first = images / "image_00000.jpg"
    first.write_bytes(first.read_bytes()[:-20])
    (images / "image_00002.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="2 problems with the images"):
        ThreeDPW(tmp_path, "test")
    data = ThreeDPW(tmp_path, "test", skip_damaged=True)
    assert [s.frame for s in data if s.sequence == "walk_00"] == [1, 1] and len(data) == 2 + 6
    assert data.left_out["damaged image"] == 4 and "4 damaged image" in data.summary()
    (images / "image_00001.jpg").unlink()
    with pytest.raises(DataError, match="1 of 3 images are missing, the first image_00001.jpg"):
        ThreeDPW(tmp_path, "test", skip_damaged=True)


def test_row_20_joints_that_are_not_finite_are_counted(tmp_path):
    content = sequence_content("walk_00", frames=4)
    joints = content["jointPositions"][0].reshape(4, 24, 3)
    joints[..., 2] = 3
    joints[:, JOINTS.index("head")] = (0, 0, 3)
    joints[:2, JOINTS.index("head"), 0] = np.nan
    joints[2, JOINTS.index("head"), 1] = np.inf
    joints[3, JOINTS.index("head")] = (9, 0, 3)
    joints[3, JOINTS.index("left_foot"), 2] = -3
    joints[:3, JOINTS.index("left_foot")] = (0, 0, 3)
    write_sequence(tmp_path, "test", content)
    data = ThreeDPW(tmp_path, "test", joints=("head", "left_foot"))
    assert data.masked == {"not known": 3, "outside the frame": 1, "behind the camera": 1}
    assert [sample.visible["head"] for sample in data] == [False] * 4


def test_row_21_samples_without_a_visible_joint_are_reported(tmp_path):
    content = sequence_content("walk_00", frames=3)
    content["jointPositions"][0].reshape(3, 24, 3)[:2, JOINTS.index("head")] = np.nan
    write_sequence(tmp_path, "test", content)
    data = ThreeDPW(tmp_path, "test", joints=("head",))
    assert len(data) == 3 and data.blank == 2
    assert "samples without any joint that counts: 2" in data.summary()
    with pytest.raises(DataError, match="0 sequences that show head, expected at least 1"):
        draw(data[:2], 1, 0, visible=["head"])


def test_row_26_the_frames_number_is_the_images_and_not_img_frame_ids(tmp_path):
    content = sequence_content("walk_00", frames=4)
    content["img_frame_ids"] = np.array([7, 1, 0, 5])
    write_sequence(tmp_path, "test", content)
    for frame, sample in enumerate(ThreeDPW(tmp_path, "test")):
        assert sample.image_path.name == f"image_{frame:05d}.jpg"
        assert sample.joints["head"] == pytest.approx(by_hand(content, 0, frame, JOINTS.index("head")))
        assert sample.image()[0].mean() == pytest.approx((90 + frame) / 255, abs=0.004)


def test_row_20_detections_that_are_not_finite_are_unknown(tmp_path):
    content = sequence_content("walk_00", frames=2)
    content["poses2d"][0][0, 0, 0] = np.nan
    content["poses2d"][0][1, 2, 0] = np.nan
    write_sequence(tmp_path, "test", content)
    assert ThreeDPW(tmp_path, "test", ("nose",), source="detections").masked == {"not known": 2}
