"""CelebA with the split of MAFL: five points of a face.

`Anno/list_landmarks_align_celeba.txt` (or without `align_`): two lines of header, then `name x1 y1 ... x5
y5`, line number = file number. `MAFL/{training,testing}.txt`: one name a line. Aligned images are
`Img/img_align_celeba_png/000001.png`, those in the wild `Img/img_celeba/000001.jpg`, the latter with
`Anno/list_bbox_celeba.txt` (two lines of header, `name x y w h`).
"""

from collections.abc import Sequence
from pathlib import Path

from kp_helpers.data.errors import DataError, known
from kp_helpers.data.labelled_images import LabelledImages
from kp_helpers.data.labels import Box, Labels, checked_box

JOINTS = ("left_eye", "right_eye", "nose", "left_mouth", "right_mouth")
"""In the order of the file; left is the left of the picture."""
SPLITS = {"train": "training", "test": "testing"}
SMALLEST_FACE = 0.3
"""In the wild, the share of the image's area that a face's box must have."""


class CelebA(LabelledImages):
    """The MAFL part of CelebA; split: "train" or "test"; aligned: cropped faces, else pictures in the wild.

    In the wild the box is the face's, and images whose face takes less than `SMALLEST_FACE` are left out.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        joints: Sequence[str] | None = None,
        *,
        aligned: bool = True,
        skip_damaged: bool = False,
    ):
        root = Path(root)
        listed = root / "MAFL" / f"{SPLITS[known(split, tuple(SPLITS), 'split')]}.txt"
        wanted = [_number(listed, line) for line in _lines(listed)]
        kind = "align_" if aligned else ""
        points = _table(root / "Anno" / f"list_landmarks_{kind}celeba.txt", wanted, 2 * len(JOINTS))
        boxes = {} if aligned else _table(root / "Anno" / "list_bbox_celeba.txt", wanted, 4)
        folder, suffix = ("img_align_celeba_png", "png") if aligned else ("img_celeba", "jpg")
        labels = [
            Labels(f"{n:06d}.{suffix}", 0, _points(points[n]), box=_box(n, boxes.get(n))) for n in wanted
        ]
        smallest = 0.0 if aligned else SMALLEST_FACE
        images = root / "Img" / folder
        super().__init__(images, JOINTS, labels, joints, skip_damaged=skip_damaged, smallest=smallest)


def _points(row: Sequence[float]) -> dict[str, tuple[float, float]]:
    return dict(zip(JOINTS, zip(row[::2], row[1::2], strict=True), strict=True))


def _box(number: int, row: Sequence[float] | None) -> Box | None:
    if row is None:
        return None
    x, y, width, height = row
    return checked_box(f"list_bbox_celeba.txt: {number:06d}", (x, y, x + width, y + height))


def _table(path: Path, wanted: Sequence[int], width: int) -> dict[int, list[float]]:
    """File number -> its row of `width` numbers, for the wanted; each stands in the line of its number."""
    lines = _lines(path)[2:]
    rows = {}
    for number in wanted:
        values = lines[number - 1].split() if number <= len(lines) else []
        try:
            rows[number] = [float(value) for value in values[1:]]
        except ValueError:
            rows[number] = []
        if len(rows[number]) != width or _number(path, values[0]) != number:
            raise DataError(f"{path}: line {number + 2} has no {width} numbers of image {number:06d}")
    return rows


def _number(path: Path, line: str) -> int:
    """000001.jpg -> 1."""
    stem = line.strip().partition(".")[0]
    if not stem.isdecimal() or int(stem) < 1:
        raise DataError(f"{path}: {line.strip()[:80]!r}, expected a name such as 000001.jpg")
    return int(stem)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error}), expected CelebA's layout") from None
