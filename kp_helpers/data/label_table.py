"""Keypoints as a CSV table with a header and one keypoint a row.

| column | content |
| --- | --- |
| image | path of the image within its folder |
| keypoint | its name |
| x, y | pixels from the image's corner, a pixel's centre at +0.5; both empty where it is not known |
| person | optional: number of the person in the image, 0 where it is left out |
| visible | optional: 1, or 0 for a point that is to count for nothing |
| x0, y0, x1, y1 | optional: the person's box in pixels, the same in all rows of the person |
| upright | optional: 1 if pixels are those of the image as its EXIF tag turns it, the same in all rows |

Rows of a person need not stand together. Other columns are refused, so that a misspelt one is noticed.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from kp_helpers.data.errors import DataError, known
from kp_helpers.data.labels import Box, Labels, checked_box, image_name, rows
from kp_helpers.data.sample import KeypointSample, Point
from kp_helpers.store import replace_file

NEEDED, BOX = ("image", "keypoint", "x", "y"), ("x0", "y0", "x1", "y1")
COLUMNS = ("image", "person", "keypoint", "x", "y", "visible", *BOX, "upright")


def read_table(path: str | Path) -> tuple[tuple[str, ...], list[Labels], dict[str, int]]:
    """Names of all keypoints, the labels in the file's order, and nothing left out, as `coco.read_coco`."""
    path = Path(path)
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            people = _people(path, csv.DictReader(file, strict=True))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is no CSV in UTF-8 ({str(error)[:120]})") from None
    names = tuple(dict.fromkeys(name for points in people.values() for name in points))
    return names, [_labels(path, *who, points) for who, points in people.items()], {}


def write_table(
    path: str | Path,
    samples: Sequence[KeypointSample],
    points: Sequence[Mapping[str, Point]],
    root: str | Path,
) -> Path:
    """Write points (name -> (x, y) in pixels of the frame, one mapping a sample); image names within `root`.

    A point that is not finite has empty x and y; visible and upright are 1 throughout.
    """
    labels = rows(samples, points, root)

    def write(partial: Path) -> None:
        with partial.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(COLUMNS)
            for own in labels:
                for name, point in own.points.items():
                    place = [float(v) for v in point] if all(map(math.isfinite, point)) else ["", ""]
                    table.writerow([own.image, own.person, name, *place, 1, *map(float, own.box), 1])

    return replace_file(path, write)


_Row = tuple[Point, bool, tuple[Box | None, bool]]
_People = dict[tuple[str, int], dict[str, _Row]]


def _people(path: Path, reader: csv.DictReader) -> _People:
    """(image, person) -> name -> point, whether it counts, and what its row says of the person."""
    header = reader.fieldnames or ()
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and mark in header[0]:
            raise DataError(f"{path}: its columns are separated by {name}, expected commas")
    for column in header:
        known(column, COLUMNS, f"{path}: column")
    missing = [column for column in NEEDED if column not in header]
    if missing or (set(BOX) & set(header) and not set(BOX) <= set(header)):
        raise DataError(
            f"{path}: columns {', '.join(header)}, expected {', '.join(NEEDED)} and any of the rest"
        )
    people: _People = {}
    for number, row in enumerate(reader, 2):
        where = f"{path}: row {number}"
        if None in row or None in row.values():
            raise DataError(f"{where}: not as many values as the header has columns")
        who = image_name(f"{where}: image", row["image"]), _whole(where, "person", row.get("person", "0"))
        if people.setdefault(who, {}).setdefault(row["keypoint"], read := _row(where, row)) is not read:
            raise DataError(f"{where}: {row['keypoint']!r} of person {who[1]} in {who[0]} a second time")
    return people


def _row(where: str, row: dict[str, str]) -> _Row:
    point = tuple(_number(where, key, row[key]) if row[key] else math.nan for key in ("x", "y"))
    visible, upright = _flag(where, row, "visible", "1"), _flag(where, row, "upright", "0")
    corners = [_number(where, key, row[key]) for key in BOX if row.get(key)]
    if len(corners) not in (0, 4):
        raise DataError(f"{where}: has a part of a box, expected all of {', '.join(BOX)} or none")
    return point, visible, (checked_box(f"{where}: box", corners) if corners else None, upright)


def _labels(path: Path, image: str, person: int, own: dict[str, _Row]) -> Labels:
    said = {about for *_, about in own.values()}
    for what, found in zip(("boxes", "values of upright"), map(set, zip(*said, strict=True)), strict=True):
        if len(found) > 1:
            where = f"{path}: person {person} in {image}"
            raise DataError(f"{where} has {len(found)} {what}, expected the same in all rows")
    ((box, upright),) = said
    hidden = frozenset(name for name, (_, visible, _) in own.items() if not visible)
    return Labels(
        image, person, {name: point for name, (point, *_) in own.items()}, hidden, box, upright=upright
    )


def _flag(where: str, row: dict[str, str], column: str, otherwise: str) -> bool:
    value = row.get(column, otherwise)
    if value not in ("0", "1"):
        raise DataError(f"{where}: {column} is {value[:40]!r}, expected 0 or 1")
    return value == "1"


def _number(where: str, column: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{where}: {column} is {text[:40]!r}, expected a number") from None


def _whole(where: str, column: str, text: str) -> int:
    if not text.isdecimal():
        raise DataError(f"{where}: {column} is {text[:40]!r}, expected a whole number from 0")
    return int(text)
