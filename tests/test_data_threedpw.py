"""3DPW's layout: what is read, what is left out, and the names that are refused."""

import numpy as np
import pytest
from helpers.threedpw_folder import (
    by_hand,
    sequence_content,
    write_sequence,
    write_threedpw,
)
from PIL import Image

from kp_helpers.data import DataError, ThreeDPW
from kp_helpers.data.__main__ import main
from kp_helpers.data.threedpw import DETECTED, JOINTS, SPLITS


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
            assert point == pytest.approx(
                by_hand(content, sample.person, sample.frame, JOINTS.index(joint)), abs=1e-9
            )
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


def test_the_filter_of_the_data_set_counts_what_it_leaves_out(tmp_path):
    content = sequence_content("walk_00", frames=5)
    content["campose_valid"][0][0] = 0
    content["poses2d"][0][1] = 0
    content["jointPositions"][0][2].reshape(24, 3)[:, 2] = -3
    write_sequence(tmp_path, "test", content)
    data = ThreeDPW(tmp_path, "test")
    assert [sample.frame for sample in data] == [3, 4]
    assert data.left_out == {
        "camera unknown": 1,
        "no detection": 1,
        "behind the camera": 1,
        "damaged image": 0,
        "missing image": 0,
    }


def test_an_image_of_another_size_is_an_error(tmp_path):
    path = write_threedpw(tmp_path) / "imageFiles" / "walk_00" / "image_00001.jpg"
    Image.new("RGB", (20, 10)).save(path)
    with pytest.raises(DataError, match=r"image_00001.jpg: is \(20, 10\), expected \(64, 48\)"):
        ThreeDPW(tmp_path, "test")


def test_unknown_names_get_the_nearest_one(tmp_path):
    write_threedpw(tmp_path)
    for arguments, message in (
        (("test", ["leftfoot"]), "joint 'leftfoot' is unknown, did you mean 'left_foot'?"),
        (("test", ["left_foot"], "detections"), "joint 'left_foot' is unknown, did you mean"),
        (("test", ["nose"], "detection"), "source 'detection' is unknown, did you mean 'detections'?"),
        (("testing",), "split 'testing' is unknown, did you mean 'test'?"),
        (("train",), "no .pkl in sequenceFiles/train"),
    ):
        with pytest.raises(DataError, match=message):
            ThreeDPW(tmp_path, *arguments)
    with pytest.raises(DataError, match="no folder imageFiles, expected 3DPW's layout"):
        ThreeDPW(tmp_path / "none", "test")
    with pytest.raises(DataError, match="confidence is nan, expected 0 to 1"):
        ThreeDPW(tmp_path, "test", ("nose",), source="detections", confidence=float("nan"))


def test_detections_are_a_second_source(tmp_path):
    content = sequence_content("walk_00", frames=3, people=2)
    nose, ankle = DETECTED.index("nose"), DETECTED.index("left_ankle")
    detected = content["poses2d"][1]
    detected[:, :, nose] = (10, 12.5, 0.9)
    detected[0, 2, nose] = 0.2
    detected[1, :, nose] = 0
    detected[2, :, ankle] = (70, 12, 0.8)
    write_sequence(tmp_path, "test", content)
    data = ThreeDPW(tmp_path, "test", ("nose", "left_ankle"), source="detections")
    low, none, seen = data[3:]
    assert [s.visible["nose"] for s in (low, none, seen)] == [False, False, True]
    assert seen.joints["nose"] == (10, 12.5) and np.isnan(low.joints["nose"]).all()
    assert seen.joints["left_ankle"] == (70, 12) and not seen.visible["left_ankle"]
    assert tuple(seen.skeleton) == DETECTED
    assert data.masked["not detected"] == 2 and data.masked["outside the frame"] >= 1
    assert seen.box == ThreeDPW(tmp_path, "test")[5].box, "the box is the whole person's"
    lower = ThreeDPW(tmp_path, "test", ("nose",), source="detections", confidence=0.1)
    assert lower[3].joints["nose"] == (10, 12.5) and lower.masked == {"not detected": 1}


def test_the_command_tells_what_is_read_and_what_is_left_out(tmp_path, capsys):
    for split in SPLITS:
        content = sequence_content(f"{split}_00", frames=4)
        content["campose_valid"][0][0] = 0
        write_sequence(tmp_path, split, content)
    image = tmp_path / "imageFiles" / "train_00" / "image_00001.jpg"
    image.write_bytes(image.read_bytes()[:-20])
    assert main(["index", str(tmp_path)]) == 1
    assert "image_00001.jpg: damaged or cut off" in capsys.readouterr().err
    assert main(["index", str(tmp_path), "--skip-damaged"]) == 0
    assert "left out: 1 camera unknown, 1 damaged image" in capsys.readouterr().out
