"""Tai-Chi-HD: 18 points of a person, in pictures of 256 x 256.

`eval_images/taichi-256/{train,test}/<file_name>` with `landmark/taichi_{train,test}_gt.csv`, a table of
labels as `read_table` reads it, with the columns image, keypoint (0 to 17), x and y in pixels of 256, both
-1 where missing. The pictures without labels are `ImageFolder(root / "train")`.

The set comes with a pandas pickle in the place of the table. A pickle runs what it says, so the kit does not
open it; this does, in the folder `landmark`, and is to be run only on the authors' own files:

    import csv, pandas

    for split in ("train", "test"):
        frame = pandas.read_pickle(f"taichi_{split}_gt.pkl")
        with open(f"taichi_{split}_gt.csv", "w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["image", "keypoint", "x", "y"])
            for name, points in zip(frame["file_name"], frame["value"]):
                table.writerows([name, number, *point] for number, point in enumerate(points))
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kp_helpers.data.errors import DataError, known
from kp_helpers.data.labelled_images import LabelledImages
from kp_helpers.data.labels import Labels, read_table

JOINTS = tuple(map(str, range(18)))
"""The set's points have numbers and no published names."""
SPLITS = ("train", "test")
_SIZE = (256, 256)


class TaiChi(LabelledImages):
    """One sample a labelled picture; split: "train" or "test". A point counts where both numbers are > 0."""

    def __init__(
        self,
        root: str | Path,
        split: str,
        joints: Sequence[str] | None = None,
        *,
        skip_damaged: bool = False,
    ):
        root = Path(root)
        path = root / "landmark" / f"taichi_{known(split, SPLITS, 'split')}_gt.csv"
        if not path.is_file():
            converter = "the docstring of kp_helpers.data.benchmarks.taichi makes it from the pickle"
            raise DataError(f"{path}: no such file; {converter}")
        names, found, _ = read_table(path)
        if sorted(names) != sorted(JOINTS):
            raise DataError(f"{path}: has keypoints {', '.join(names)}, expected 0 to {len(JOINTS) - 1}")
        labels = [replace(own, points=_seen(own), size=_SIZE) for own in found]
        images = root / "eval_images" / "taichi-256" / split
        super().__init__(images, JOINTS, labels, joints, skip_damaged=skip_damaged)


def _seen(own: Labels) -> dict[str, tuple[float, float]]:
    missing = (math.nan, math.nan)
    return {name: point if min(point) > 0 else missing for name, point in own.points.items()}
