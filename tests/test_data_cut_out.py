"""Pictures cut out of a data set's frames: their pixels, and labels that move with them."""

import json

import numpy as np
import pytest
import torch
from helpers.threedpw_folder import write_threedpw
from PIL import Image

from kp_helpers.data import DataError, ImageFolder, ThreeDPW, cut_out
from kp_helpers.geometry import Square

JOINTS = ["head", "left_foot"]


@pytest.fixture
def samples(tmp_path):
    return ThreeDPW(write_threedpw(tmp_path / "3dpw"), "test", JOINTS)[:2]


def test_the_labels_are_where_the_frames_pixels_went(samples, tmp_path):
    """A square of 2 x 2 frame pixels a picture pixel, cut out at (10, 4)."""
    square = Square(10.0, 4.0, 32.0, 32.0)
    folder = cut_out(samples, [square] * 2, tmp_path / "own", 16, 1)
    found = ImageFolder(folder, folder / "truth.json")
    for before, after in zip(samples, found, strict=True):
        for joint in JOINTS:
            x, y = before.joints[joint]
            inside = before.visible[joint] and 0 <= (x - 10) / 2 < 16 and 0 <= (y - 4) / 2 < 16
            assert after.visible[joint] == inside
            if inside:
                assert after.joints[joint] == pytest.approx(((x - 10) / 2, (y - 4) / 2))
        assert after.image().shape == (3, 16, 16)
    assert len(json.loads((folder / "labels.json").read_text())["images"]) == 1


def test_a_picture_at_its_own_size_is_the_frame(samples, tmp_path):
    height, width = samples[0].image().shape[1:]
    side = min(height, width)
    folder = cut_out(samples[:1], [Square(0.0, 0.0, side, side)], tmp_path / "own", side, 1)
    (path,) = folder.glob("*.png")
    pixels = torch.from_numpy(np.asarray(Image.open(path)).copy()).permute(2, 0, 1).float() / 255
    assert torch.allclose(pixels, samples[0].image()[:, :side, :side], atol=1 / 255)


def test_labels_that_somebody_worked_on_are_kept(samples, tmp_path):
    folder = cut_out(samples, [Square(0.0, 0.0, 30.0, 30.0)] * 2, tmp_path / "own", 16, 2)
    (folder / "labels.json").write_text("mine")
    cut_out(samples, [Square(0.0, 0.0, 30.0, 30.0)] * 2, folder, 16, 2)
    assert (folder / "labels.json").read_text() == "mine"


@pytest.mark.parametrize("labelled", [0, 3])
def test_as_many_are_labelled_as_there_are(samples, tmp_path, labelled):
    with pytest.raises(DataError, match=f"labelled is {labelled}, expected 1 to 2"):
        cut_out(samples, [Square(0.0, 0.0, 30.0, 30.0)] * 2, tmp_path / "own", 16, labelled)
