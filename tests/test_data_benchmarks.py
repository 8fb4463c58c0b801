"""The benchmark sets: every layout read back, and what is wrong in each named."""

import json

import h5py
import numpy as np
import pandas as pd
import pytest
from helpers import benchmark_folders as folders
from scipy.io import savemat

from kp_helpers import metrics
from kp_helpers.data import DataError, ImageFolder
from kp_helpers.data.benchmarks import (
    CelebA,
    CUBAligned,
    CUBParts,
    DeepFashion,
    TaiChi,
    cub,
    taichi,
)
from kp_helpers.geometry import frame_square

NAN = pytest.approx((np.nan, np.nan), nan_ok=True)


def squashed(sample, joint: str) -> list[float]:
    """The published [0,1] as (x, y)."""
    return frame_square(sample.frame_size, "squash").to_square(sample.joints[joint]).tolist()


def test_celeba_aligned_takes_maffs_split_in_its_order(tmp_path):
    data = CelebA(folders.celeba(tmp_path), "train")
    assert [sample.image_path.name for sample in data] == ["000001.png", "000003.png", "000002.png"]
    sample = data[1]
    assert sample.joints["left_eye"] == (30, 31) and sample.joints["right_mouth"] == (38, 39)
    assert squashed(sample, "nose") == pytest.approx([34 / 89, 35 / 109])
    assert sample.box == (0, 0, 89, 109) and sample.image().shape == (3, 109, 89)
    assert data.joints[:2] == ("left_eye", "right_eye"), "the measure's eyes are points 0 and 1"
    assert len(CelebA(tmp_path, "test", ["nose"])[0].joints) == 1


def test_celeba_in_the_wild_has_boxes_and_leaves_small_faces_out(tmp_path):
    data = CelebA(folders.celeba(tmp_path), "train", aligned=False)
    assert [sample.image_path.name for sample in data] == ["000001.jpg", "000003.jpg"]
    assert data[0].box == (5, 6, 85, 96) and data.left_out["too small in the image"] == 1
    assert [s.image_path.name for s in CelebA(tmp_path, "test", aligned=False)] == ["000004.jpg"]


def test_celeba_names_what_is_wrong(tmp_path):
    root = folders.celeba(tmp_path)
    (root / "Img" / "img_celeba" / "000003.jpg").unlink()
    with pytest.raises(DataError, match="1 problems .*\n.*000003.jpg: no such image"):
        CelebA(root, "train", aligned=False)
    folders.lines(root / "MAFL" / "training.txt", "000009.jpg")
    with pytest.raises(DataError, match="celeba.txt: line 11 has no 10 numbers of image 000009"):
        CelebA(root, "train")
    folders.lines(root / "MAFL" / "training.txt", "portrait.jpg")
    with pytest.raises(DataError, match="training.txt: 'portrait.jpg', expected a name such as 000001.jpg"):
        CelebA(root, "train")
    with pytest.raises(DataError, match="split 'validation' is unknown"):
        CelebA(root, "validation")
    with pytest.raises(DataError, match="testing.txt: cannot be read"):
        CelebA(root / "none", "test")


def test_cub_aligned_reads_rows_and_columns_and_pixels(tmp_path):
    data = CUBAligned(folders.cub_aligned(tmp_path), "test")
    assert len(data) == 4 and data.joints == cub.JOINTS and data[-1].name == "test_00003"
    assert data[1].joints["back"] == pytest.approx((0.25 * 128, 0.1 * 128))
    assert squashed(data[1], "throat") == pytest.approx([0.25, 0.8])
    assert [float(sample.image()[2, 5, 5]) for sample in data] == pytest.approx(
        [0, 1 / 255, 2 / 255, 3 / 255]
    )
    assert all(data[2].visible.values()) and not any(data[3].visible.values())
    assert data.blank == 1 and data.masked == {"marked as hidden": 15}


def test_an_image_that_shows_no_point_has_no_measure(tmp_path):
    data = CUBAligned(folders.cub_aligned(tmp_path), "test")
    true = np.array([[s.joints[j] for j in data.joints] for s in data]) / 128
    seen = np.array([[s.visible[j] for j in data.joints] for s in data])
    values = metrics.stable_keypoints.visible(true + (0, 0.01), true, seen)
    score = metrics.mean(values, np.isfinite(values))
    assert (score.value, score.n) == (pytest.approx(0.01), 3)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        (
            "test_img",
            np.zeros((4, 128, 128, 3), np.uint8),
            r"\(4, 128, 128, 3\).*expected \(\(4, 3, 128, 128\)",
        ),
        ("test_img", np.zeros((4, 3, 128, 128)), "of float64, expected .* images of uint8"),
        ("test_kp", np.zeros((3, 15, 2)), r"\(3, 15, 2\).*expected"),
        ("test_vis", None, "cannot be read as HDF5 with test_img, _kp and _vis"),
    ],
)
def test_cub_aligned_names_what_is_wrong(key, value, message, tmp_path):
    with h5py.File(folders.cub_aligned(tmp_path) / "cub.h5", "a") as file:
        del file[key]
        if value is not None:
            file[key] = value
    with pytest.raises(DataError, match=f"cub.h5: .*{message}"):
        CUBAligned(tmp_path, "test")
    assert len(CUBAligned(tmp_path, "train")) == 4


def test_cub_aligned_without_a_file_or_with_a_page(tmp_path):
    with pytest.raises(DataError, match="cub.h5: cannot be read as HDF5"):
        CUBAligned(tmp_path, "test")
    (tmp_path / "cub.h5").write_text("<html>")
    with pytest.raises(DataError, match="cub.h5: cannot be read as HDF5"):
        CUBAligned(tmp_path, "test")


def test_cub_parts_are_counted_from_0_and_cropped_with_5_percent(tmp_path):
    data = CUBParts(folders.cub_parts(tmp_path), "train")
    assert [s.image_path.name for s in data] == ["a.jpg", "b.jpg", "c.jpg"]
    sample = data[0]
    assert sample.joints["back"] == (20, 30) and sample.joints["throat"] == (34, 44)
    assert sample.joints["beak"] == NAN and not sample.visible["beak"] and sample.visible["belly"]
    assert sample.box == (10, 20, 40, 60)
    square = frame_square(sample.frame_size, "person", sample.box, margin=0.05)
    assert square.width == pytest.approx(40 * 1.1), "5 % at either side of the longer one"
    first = CUBParts(tmp_path, "test", species=1)
    assert [s.image_path.name for s in first] == ["a.jpg", "c.jpg"]
    with pytest.raises(DataError, match="holds no bird of species 3, expected a number"):
        CUBParts(tmp_path, "test", species=3)


def test_cub_parts_names_what_is_wrong(tmp_path):
    folder = folders.cub_parts(tmp_path) / "CUB_200_2011" / "cachedir" / "cub" / "data"
    savemat(folder / "test_cub_cleaned.mat", {"images": {"rel_path": "a.jpg"}})
    with pytest.raises(
        DataError, match=r"test_cub_cleaned.mat: images\[0\]: has no rel_path, bbox and parts"
    ):
        CUBParts(tmp_path, "test")
    savemat(folder / "test_cub_cleaned.mat", {"other": 1})
    with pytest.raises(DataError, match="test_cub_cleaned.mat: has no variable images"):
        CUBParts(tmp_path, "test")
    (folder / "test_cub_cleaned.mat").write_text("<html>" * 100)
    with pytest.raises(DataError, match="test_cub_cleaned.mat: is no MATLAB file"):
        CUBParts(tmp_path, "test")


@pytest.fixture
def taichi_root(tmp_path, monkeypatch):
    """Labels made by the converter of the module's docstring from a pandas pickle, as a user would."""
    root = folders.taichi(tmp_path / "taichi")
    for split in ("train", "test"):
        pd.DataFrame(folders.taichi_frame()).to_pickle(root / "landmark" / f"taichi_{split}_gt.pkl")
    snippet = "\n".join(line[4:] for line in taichi.__doc__.splitlines() if line.startswith("    "))
    monkeypatch.chdir(root / "landmark")
    exec(compile(snippet, "converter", "exec"), {})
    return root


def test_taichi_reads_what_its_converter_writes(taichi_root):
    data = TaiChi(taichi_root, "test")
    assert len(data) == 2 and data.joints == tuple(map(str, range(18)))
    points = folders.taichi_frame()["value"]
    assert data[1].joints["7"] == tuple(points[1][7]) and data[0].joints["3"] == NAN
    assert data.masked == {"not known": 1} and not data[0].visible["3"]
    assert squashed(data[1], "0") == pytest.approx([7 / 256, 6 / 256])
    assert len(ImageFolder(taichi_root / "train")) == 1


def test_taichi_names_what_is_wrong(taichi_root):
    picture = taichi_root / "eval_images" / "taichi-256" / "test" / "one.png"
    folders.picture(picture, (128, 128))
    with pytest.raises(DataError, match=r"one.png: is \(128, 128\), expected \(256, 256\) as its labels say"):
        TaiChi(taichi_root, "test")
    (taichi_root / "landmark" / "taichi_test_gt.csv").unlink()
    with pytest.raises(DataError, match="taichi_test_gt.csv: no such file; the docstring of .* makes it"):
        TaiChi(taichi_root, "test")
    table = taichi_root / "landmark" / "taichi_train_gt.csv"
    table.write_text("image,keypoint,x,y\none.png,18,1,2\n")
    with pytest.raises(DataError, match="taichi_train_gt.csv: has keypoints 18, expected 0 to 17"):
        TaiChi(taichi_root, "train")


def test_deepfashion_pairs_the_table_with_the_points(tmp_path):
    data = DeepFashion(folders.deepfashion(tmp_path), "train")
    assert [sample.name for sample in data] == ["train/0.jpg/0", "train/1.jpg/0", "train/2.jpg/0"]
    assert data.joints == ("0", "1", "2", "3") and data[2].joints["3"] == (32, 197)
    assert squashed(data[2], "3") == pytest.approx([32 / 256, 197 / 256])
    assert data[0].image().max() == pytest.approx(100 / 255, abs=0.02), "scaled to [0,1] once"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"keypoints": [[1, 2]]}], "has 1 entries, expected 3 as its .csv has rows"),
        ([{"keypoints": [[1, 2]]}, {"keypoints": [[1, 2], [3, 4]]}], "is no list of equally many keypoints"),
        ([{"points": [[1, 2]]}], "is no list of equally many keypoints"),
        ([{"keypoints": [[1, 2, 3]]}] * 3, r"keypoints have shape \(1, 3\), expected \(K, 2\)"),
    ],
)
def test_deepfashion_names_what_is_wrong(content, message, tmp_path):
    (folders.deepfashion(tmp_path) / "data_test.json").write_text(json.dumps(content))
    with pytest.raises(DataError, match=f"data_test.json: {message}"):
        DeepFashion(tmp_path, "test")
