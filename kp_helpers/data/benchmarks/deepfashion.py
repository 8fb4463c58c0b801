"""DeepFashion, the in-shop part: points of a dressed person in pictures of 256 x 256.

`img/<file>`; `data_{train,test}.csv` with a header and the file's name in the second column; and
`data_{train,test}.json`, a list of `{"keypoints": [[x, y], ...]}` in pixels of 256, row by row the same.
"""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kp_helpers.data.errors import DataError, known
from kp_helpers.data.labelled_images import LabelledImages
from kp_helpers.data.labels import Labels, image_name

SPLITS = ("train", "test")
_SIZE = (256, 256)


class DeepFashion(LabelledImages):
    """One sample a picture; split: "train" or "test". Points have the names "0", "1", ... in their order."""

    def __init__(
        self,
        root: str | Path,
        split: str,
        joints: Sequence[str] | None = None,
        *,
        skip_damaged: bool = False,
    ):
        root = Path(root)
        path = root / f"data_{known(split, SPLITS, 'split')}.json"
        files, points = _files(path.with_suffix(".csv")), _points(path)
        if len(files) != len(points):
            raise DataError(f"{path}: has {len(points)} entries, expected {len(files)} as its .csv has rows")
        names = tuple(map(str, range(points.shape[1])))
        labels = [
            Labels(file, 0, dict(zip(names, map(tuple, own), strict=True)), size=_SIZE)
            for file, own in zip(files, points.tolist(), strict=True)
        ]
        super().__init__(root / "img", names, labels, joints, skip_damaged=skip_damaged)


def _files(path: Path) -> list[str]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.reader(file))[1:]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    if any(len(row) < 2 for row in rows):
        raise DataError(f"{path}: has rows of one column, expected the file's name in the second")
    return [image_name(f"{path}: row {number}", row[1].strip()) for number, row in enumerate(rows, 2)]


def _points(path: Path) -> np.ndarray:
    """(n, K, 2) as (x, y) in pixels."""
    try:
        points = np.array(
            [entry["keypoints"] for entry in json.loads(path.read_text(encoding="utf-8"))], float
        )
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise DataError(f"{path}: is no list of equally many keypoints ({str(error)[:120]})") from None
    if points.ndim != 3 or points.shape[-1] != 2:
        raise DataError(f"{path}: keypoints have shape {points.shape[1:]}, expected (K, 2)")
    return points
