"""Human3.6M in its two layouts: each read back, and what is wrong in each named."""

import re
import shutil

import h5py
import numpy as np
import pytest
from helpers import benchmark_folders as folders
from PIL import Image
from scipy.io import savemat

from kp_helpers import metrics
from kp_helpers.data import DataError, draw
from kp_helpers.data.benchmarks import (
    Human36M,
    Human36MUnaligned,
    human36m,
)


def test_human36m_by_subject_action_and_number(tmp_path):
    data = Human36M(folders.human36m(tmp_path), "train")
    assert len(data) == 6 * 3 and data[2].name == "S1/Walking_1/10"
    assert {s.sequence for s in data} == {f"S{n}/Walking_1" for n in (1, 5, 6, 7, 8, 9)}
    assert data[0].joints["head"] == pytest.approx((52, 10))
    assert data[0].joints["left_foot"] == pytest.approx((55, 90))
    image = data[0].image()
    assert image[0, 50, 25] > 0.98 and image[0, 50, 75] == 0
    assert Human36M(tmp_path, "test", masked=False)[0].image()[0, 50, 75] > 0.98
    assert len(Human36M(tmp_path, "validation")) == 3
    assert len(draw(data, 6, 0)) == 6


def test_human36ms_sides_are_those_of_the_measure():
    for right, left in metrics.stable_keypoints.PAIRS:
        assert metrics.mirrored(human36m.JOINTS[right]) == human36m.JOINTS[left]


def test_human36m_refuses_points_whose_columns_are_exchanged(tmp_path):
    folders.human36m(tmp_path)
    with pytest.raises(DataError, match="heads lie beside the hips .* pass order='row, column'"):
        Human36M(tmp_path, "test", order="x, y")
    for path in tmp_path.rglob("*.mat"):
        savemat(path, {"keypoints_2d": folders.standing()})
    with pytest.raises(DataError, match="pass order='x, y'"):
        Human36M(tmp_path, "test")
    assert Human36M(tmp_path, "test", order="x, y")[0].joints["head"] == pytest.approx((52, 10))


def test_human36m_names_what_is_missing_or_wrong(tmp_path):
    subject = folders.human36m(tmp_path) / "S11"
    marks, mask = (
        subject / kind / "Walking_1" / f"1.{s}"
        for kind, s in (("Landmarks", "mat"), ("BackgroudMask", "png"))
    )
    Image.new("L", (100, 100), 255).save(mask)
    with pytest.raises(DataError, match="1.png: has values up to 255, expected one channel of 0 and 1"):
        Human36M(tmp_path, "test")[0].image()
    savemat(marks, {"keypoints_2d": np.zeros((17, 2))})
    with pytest.raises(DataError, match=r"1.mat: keypoints_2d has shape \(17, 2\), expected \(32, 2\)"):
        Human36M(tmp_path, "test")
    marks.unlink()
    mask.unlink()
    with pytest.raises(DataError, match="2 problems with the images"):
        Human36M(tmp_path, "test")
    shutil.rmtree(subject)
    with pytest.raises(DataError, match="holds no picture of Directions, Discussion"):
        Human36M(tmp_path, "test")


def test_unaligned_human36m_by_camera_and_frame(tmp_path):
    data = Human36MUnaligned(folders.human36m_unaligned(tmp_path), "test")
    assert [(s.sequence, s.frame) for s in data] == [
        (f"S11/Walking-2/imageSequence/{camera}", frame)
        for camera in (54138969, 60457274)
        for frame in (1, 6)
    ]
    assert data[3].joints["head"] == pytest.approx((52 + 4, 9 + 4))
    assert data.left_out == {"annotated without a picture": 2}
    assert len(Human36MUnaligned(tmp_path, "train", ["head"])) == 6 * 4


def test_unaligned_human36m_names_what_is_wrong(tmp_path):
    take = folders.human36m_unaligned(tmp_path) / "S11" / "Walking-2"
    folders.picture(take / "imageSequence" / "54138969" / "img_000099.jpg", (100, 90))
    with pytest.raises(DataError, match="img_000099.jpg has 0 annotations, expected 1"):
        Human36MUnaligned(tmp_path, "test")
    with h5py.File(take / "annot.h5", "a") as file:
        del file["pose/2d"]
        file["pose/2d"] = np.zeros((6, 17, 2))
    with pytest.raises(DataError, match=re.escape("annot.h5: camera, frame and pose/2d have shapes")):
        Human36MUnaligned(tmp_path, "test")
    (take / "annot.h5").unlink()
    with pytest.raises(DataError, match="annot.h5: cannot be read as HDF5"):
        Human36MUnaligned(tmp_path, "test")
