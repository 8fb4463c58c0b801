"""A folder in COCO's panoptic format, written by hand and read back."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny_panoptic import write_panoptic
from PIL import Image

from kp_helpers.data import DataError
from kp_helpers.data.panoptic import read_coco_panoptic


def test_pictures_segments_and_classes_are_read(tmp_path):
    segments = [np.repeat(np.array([[7, 300], [7, 70_000]]), 8, 0).repeat(8, 1)]
    write_panoptic(tmp_path, segments, [{7: "cat", 300: "sky", 70_000: "cat"}], things=("cat",))
    pictures = read_coco_panoptic(tmp_path, 16)
    row = pictures.rows[0]
    assert pictures.classes == ("cat", "sky")
    assert pictures.things == {"cat"}
    assert row.labels == ("cat", "sky", "cat")
    assert row.image.shape == (16, 16, 3)
    assert row.segments[::8, ::8].tolist() == [[1, 2], [1, 3]]
    assert row.masks().sum(axis=(1, 2)).tolist() == [128, 64, 64]


def test_a_crowd_is_void(tmp_path):
    segments = [np.repeat(np.array([[7, 8]]), 8, 0).repeat(4, 1)]
    write_panoptic(tmp_path, segments, [{7: "cat", 8: "sky"}])
    path = next(tmp_path.rglob("panoptic*.json"))
    content = json.loads(path.read_text())
    content["annotations"][0]["segments_info"][0]["iscrowd"] = 1
    path.write_text(json.dumps(content))
    row = read_coco_panoptic(tmp_path, 8).rows[0]
    assert row.labels == ("sky",)
    assert (row.segments[:, :4] == 0).all()


def broken(folder: Path, kind: str) -> None:
    path = next(folder.rglob("panoptic*.json"))
    if kind == "mask":
        next(path.with_suffix("").glob("*.png")).unlink()
    if kind == "picture":
        next(file for file in folder.rglob("*.png") if file.parent != path.with_suffix("")).unlink()
    if kind == "json":
        path.write_text("{")
    if kind == "absent":
        path.unlink()


@pytest.mark.parametrize("kind", ["mask", "picture", "json", "absent"])
def test_what_is_missing_is_named(tmp_path, kind):
    write_panoptic(tmp_path, [np.full((8, 8), 7)], [{7: "cat"}])
    broken(tmp_path, kind)
    with pytest.raises(DataError, match=r"panoptic"):
        read_coco_panoptic(tmp_path, 8)


def test_the_mask_is_not_smoothed(tmp_path):
    write_panoptic(
        tmp_path, [np.where(np.arange(256).reshape(16, 16) % 16 < 5, 7, 9)], [{7: "cat", 9: "sky"}]
    )
    mask = next(file for file in tmp_path.rglob("*.png") if "panoptic" in file.parent.name)
    assert Image.open(mask).mode == "RGB"
    row = read_coco_panoptic(tmp_path, 7).rows[0]
    assert set(np.unique(row.segments)) == {1, 2}
