"""The five benchmark sets in their published layouts, with a few pictures each."""

import csv
import json
from pathlib import Path

import h5py
import numpy as np
from PIL import Image
from scipy.io import savemat


def picture(path: Path, size: tuple[int, int], shade: int = 100) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (shade, 0, 0)).save(path)


def lines(path: Path, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(rows) + "\n")


def celeba(root: Path) -> Path:
    """Six faces; 1 to 3 train, 4 and 5 test; 2 and 5 are too small in the wild, 5 without a box."""
    points = [" ".join(str(10 * n + k) for k in range(10)) for n in range(1, 7)]
    header = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y"
    for kind in ("align_", ""):
        rows = (f"{n:06d}.jpg  {own}" for n, own in enumerate(points, 1))
        lines(root / "Anno" / f"list_landmarks_{kind}celeba.txt", "6", header, *rows)
    boxes = ["5 6 80 90", "5 6 8 9", "0 0 50 60", "1 2 90 70", "0 0 0 0", "1 1 90 90"]
    rows = (f"{n:06d}.jpg {box}" for n, box in enumerate(boxes, 1))
    lines(root / "Anno" / "list_bbox_celeba.txt", "6", "image_id x_1 y_1 width height", *rows)
    lines(root / "MAFL" / "training.txt", "000001.jpg", "000003.jpg", "000002.jpg")
    lines(root / "MAFL" / "testing.txt", "000004.jpg", "000005.jpg")
    for number in range(1, 6):
        picture(root / "Img" / "img_align_celeba_png" / f"{number:06d}.png", (89, 109))
        picture(root / "Img" / "img_celeba" / f"{number:06d}.jpg", (100, 100))
    return root


def cub_aligned(root: Path) -> Path:
    """Four birds a split; bird n has the shade n / 255, the last one shows nothing."""
    root.mkdir(parents=True, exist_ok=True)
    with h5py.File(root / "cub.h5", "w") as file:
        for split in ("train", "test"):
            rows = np.linspace(0.1, 0.8, 15)
            points = np.stack([rows, np.full(15, 0.25)], axis=-1)  # (row, column)
            file[f"{split}_img"] = np.arange(4, dtype=np.uint8)[:, None, None, None] + np.zeros(
                (1, 3, 128, 128), np.uint8
            )
            file[f"{split}_kp"] = np.tile(points, (4, 1, 1)).astype(np.float32)
            file[f"{split}_vis"] = np.repeat([[1], [1], [1], [0]], 15, axis=1).astype(np.uint8)
    return root


def cub_parts(root: Path) -> Path:
    """Three birds of two species in each split; the second part of each is not visible."""
    folder = root / "CUB_200_2011"
    names = ("001.Albatross/a.jpg", "002.Other/b.jpg", "001.Albatross/c.jpg")
    birds = np.zeros(3, [(key, object) for key in ("rel_path", "bbox", "parts", "mask")])
    parts = np.stack([np.arange(15) + 21.0, np.arange(15) + 31.0, np.ones(15)])
    parts[:, 1] = 0
    for bird, name in zip(birds, names, strict=True):
        box = {"x1": 11.0, "y1": 21.0, "x2": 40.0, "y2": 60.0}
        bird["rel_path"], bird["bbox"], bird["parts"], bird["mask"] = name, box, parts, np.ones((5, 5))
        picture(folder / "images" / name, (80, 70))
    for split in ("train", "test"):
        path = folder / "cachedir" / "cub" / "data" / f"{split}_cub_cleaned.mat"
        path.parent.mkdir(parents=True, exist_ok=True)
        savemat(path, {"images": birds})
    return root


def taichi_frame() -> dict[str, list]:
    """What the pandas frame holds: two pictures, a point of the first missing."""
    points = np.stack([np.arange(18) * 10.0 + 5, np.arange(18) * 11.0 + 4], axis=-1)
    other = points + 2
    points[3] = -1
    return {"file_name": ["one.png", "two.png"], "value": [points, other]}


def taichi(root: Path) -> Path:
    """The pictures; the labels are made by the converter."""
    for split in ("train", "test"):
        for name in taichi_frame()["file_name"]:
            picture(root / "eval_images" / "taichi-256" / split / name, (256, 256))
    picture(root / "train" / "class" / "free.png", (256, 256))
    (root / "landmark").mkdir()
    return root


def deepfashion(root: Path) -> Path:
    """Three pictures a split with four points each."""
    for split in ("train", "test"):
        names = [f"{split}/{n}.jpg" for n in range(3)]
        for name in names:
            picture(root / "img" / name, (256, 256))
        with (root / f"data_{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([["", "image"], *([n, name] for n, name in enumerate(names))])
        points = [[[10 * k + n, 200 - k] for k in range(4)] for n in range(3)]
        (root / f"data_{split}.json").write_text(json.dumps([{"keypoints": own} for own in points]))
    return root


def standing() -> np.ndarray:
    """(32, 2) in [0,1] as (x, y): hips in the middle, the head above, feet below."""
    points = np.stack([np.linspace(0.4, 0.6, 32), np.linspace(0.4, 0.6, 32)], axis=-1)
    points[0], points[14], points[3], points[8] = (0.5, 0.5), (0.52, 0.1), (0.45, 0.9), (0.55, 0.9)
    return points


def human36m(root: Path) -> Path:
    """Two takes a subject, one of them of another action; masks keep the left half."""
    mask = np.zeros((100, 100), np.uint8)
    mask[:, :50] = 1
    for subject in (1, 5, 6, 7, 8, 9, 11):
        for folder in ("Walking_1", "Eating"):
            for number in (1, 2, 10):
                take = [root / f"S{subject}" / kind / folder for kind in ("WithBackground", "BackgroudMask")]
                picture(take[0] / f"{number}.jpg", (100, 100), 255)
                take[1].mkdir(parents=True, exist_ok=True)
                Image.fromarray(mask).save(take[1] / f"{number}.png")
                marks = root / f"S{subject}" / "Landmarks" / folder / f"{number}.mat"
                marks.parent.mkdir(parents=True, exist_ok=True)
                savemat(marks, {"keypoints_2d": standing()[:, ::-1]})  # (row, column)
    return root


def human36m_unaligned(root: Path) -> Path:
    """One take a subject with two cameras of two frames; a third frame has no picture."""
    for subject in (1, 5, 6, 7, 8, 9, 11):
        take = root / f"S{subject}" / "Walking-2"
        for camera in (54138969, 60457274):
            for frame in (1, 6):
                picture(take / "imageSequence" / str(camera) / f"img_{frame:06d}.jpg", (100, 90))
        with h5py.File(take / "annot.h5", "w") as file:
            file["camera"] = np.repeat([54138969, 60457274], 3)
            file["frame"] = np.tile([1, 6, 11], 2)
            file["pose/2d"] = standing() * (100, 90) + np.arange(6)[:, None, None]
    return root
