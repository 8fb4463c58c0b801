"""Keypoints in COCO's JSON: `images`, `annotations` and `categories`, as pycocotools reads them.

Positions are taken as they stand, as continuous pixels from the image's corner. Of the third number of a
keypoint, 0 is not labelled, and 1 (hidden) and 2 (seen) count alike, as they do in COCO's own measure.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kp_helpers.data.errors import DataError
from kp_helpers.data.labels import Labels, checked_box, image_name, rows
from kp_helpers.data.sample import KeypointSample, Point
from kp_helpers.metrics.lengths import box_area
from kp_helpers.store import replace_file

CROWD, NO_KEYPOINTS, NO_LABEL = "of a crowd", "without keypoints", "images without a label"
NO_JOINT, NOWHERE = "people without a labelled joint", "joints said to be seen at (0, 0)"


def read_coco(path: str | Path) -> tuple[tuple[str, ...], list[Labels], dict[str, int]]:
    """Names of all keypoints, the labels in the file's order, and how many were left out, by reason.

    Crowds, annotations of other kinds, people without any labelled joint and images without any annotation
    are left out. A joint at (0, 0), where those stand that are not labelled, is not labelled, whatever its
    third number says. DataError for anything that is missing or does not fit together.
    """
    path = Path(path)
    content = _parsed(path)
    images, categories = (_by_id(path, key, content[key]) for key in ("images", "categories"))
    names = {number: _names(path, category) for number, category in categories.items()}
    left_out, people, labels = Counter(), Counter(), []
    for number, annotation in enumerate(content["annotations"]):
        where = f"{path}: annotations[{number}]"
        image = _looked_up(where, annotation, "image_id", images)
        keypoints = _looked_up(where, annotation, "category_id", names)
        if annotation.get("iscrowd"):
            left_out[CROWD] += 1
        elif not keypoints or "keypoints" not in annotation:
            left_out[NO_KEYPOINTS] += 1
        else:
            file = image_name(f"{path}: file_name", image.get("file_name"))
            own = _labels(where, annotation, image, Labels(file, people[file], {}), keypoints)
            people[file] += 1
            if at_origin := sum(v > 0 and x == y == 0 for x, y, v in _triples(annotation)):
                left_out[NOWHERE] += at_origin
            if any(math.isfinite(x) for x, _ in own.points.values()):
                labels.append(own)
            else:
                left_out[NO_JOINT] += 1
    left_out[NO_LABEL] = len(images) - len(people)
    return tuple(dict.fromkeys(name for own in names.values() for name in own)), labels, dict(left_out)


def write_coco(
    path: str | Path,
    samples: Sequence[KeypointSample],
    points: Sequence[Mapping[str, Point]],
    root: str | Path,
    scores: Sequence[float] | None = None,
) -> Path:
    """Write points (name -> (x, y) in pixels of the frame, one mapping a sample) as COCO's JSON.

    File names are within `root`. A name without a finite point has 0, 0, 0. The list `annotations`, which
    has scores (1 where none are given), is also what pycocotools takes as results. box, area: of the
    sample's box; COCO's area is a segment's, of which 0.53 of the box stands in.
    `upright`, a key of ours: pixels are those of the image as its EXIF tag turns it, if it has one.
    """
    labels = rows(samples, points, root)
    names = list(dict.fromkeys(name for own in labels for name in own.points))
    sizes = {own.image: own.size for own in labels}
    images = {name: number for number, name in enumerate(sizes, 1)}
    content = {
        "images": [
            {"id": images[name], "file_name": name, "width": width, "height": height, "upright": True}
            for name, (width, height) in sizes.items()
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": names, "skeleton": []}],
        "annotations": [
            {"id": number, "image_id": images[own.image], "score": float(score), **_annotation(own, names)}
            for number, (own, score) in enumerate(zip(labels, scores or [1.0] * len(labels), strict=True), 1)
        ],
    }
    return replace_file(path, lambda partial: partial.write_text(json.dumps(content, allow_nan=False)))


def _parsed(path: Path) -> dict:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is no JSON ({str(error)[:120]})") from None
    for key in ("images", "annotations", "categories"):
        rows_of = content.get(key) if type(content) is dict else None
        if type(rows_of) is not list or any(type(row) is not dict for row in rows_of):
            raise DataError(f"{path}: {key} is no list of objects, expected COCO's layout")
    return content


def _by_id(path: Path, key: str, entries: list[dict]) -> dict[int, dict]:
    table = {entry.get("id"): entry for entry in entries if type(entry.get("id")) is int}
    if len(table) < len(entries):
        raise DataError(
            f"{path}: {key} have {len(table)} different ids, expected {len(entries)} whole numbers"
        )
    return table


def _names(path: Path, category: dict) -> list[str]:
    names = category.get("keypoints", [])
    if (
        type(names) is not list
        or any(type(name) is not str for name in names)
        or len(set(names)) < len(names)
    ):
        raise DataError(f"{path}: category {category['id']}: keypoints are no list of different names")
    return names


def _looked_up(where: str, annotation: dict, key: str, table: dict):
    number = annotation.get(key)
    if type(number) is not int or number not in table:
        raise DataError(f"{where}: {key} is {str(number)[:40]!r}, expected the id of an entry of the file")
    return table[number]


def _labels(where: str, annotation: dict, image: dict, person: Labels, names: list[str]) -> Labels:
    values = annotation["keypoints"]
    if type(values) is not list or len(values) != 3 * len(names) or not all(map(_is_number, values)):
        raise DataError(f"{where}: keypoints are not {3 * len(names)} numbers, x, y and v of each name")
    for name, v in zip(names, values[2::3], strict=True):
        if v not in (0, 1, 2):
            looks = ", which looks like a score of a prediction" if 0 < v < 1 else ""
            raise DataError(f"{where}: the third number of {name!r} is {v}{looks}; expected 0, 1 or 2")
    points = [
        (float(x), float(y)) if v and (x or y) else (math.nan, math.nan) for x, y, v in _triples(annotation)
    ]
    return replace(
        person,
        points=dict(zip(names, points, strict=True)),
        box=_box(where, annotation.get("bbox")),
        size=_size(image),
        upright=image.get("upright") is True,
    )


def _triples(annotation: dict) -> list[tuple[float, float, float]]:
    values = annotation["keypoints"]
    return list(zip(values[::3], values[1::3], values[2::3], strict=True))


def _size(image: dict) -> tuple[int, int] | None:
    """What the file says of the image's size; a placeholder of zeros says nothing."""
    size = (image.get("width"), image.get("height"))
    return size if all(size) else None


def _box(where: str, box) -> tuple[float, float, float, float] | None:
    if box is None or box == []:
        return None
    if type(box) is not list or len(box) != 4 or not all(map(_is_number, box)):
        raise DataError(f"{where}: bbox is {str(box)[:80]}, expected x, y, width, height")
    x, y, width, height = map(float, box)
    return checked_box(f"{where}: bbox", (x, y, x + width, y + height))


def _is_number(value) -> bool:
    return type(value) is float or (type(value) is int and abs(value) < 2**53)


def _annotation(own: Labels, names: list[str]) -> dict:
    points = [own.points.get(name, (math.nan, math.nan)) for name in names]
    known = [all(map(math.isfinite, point)) for point in points]
    triples = [(float(x), float(y), 2) if k else (0, 0, 0) for (x, y), k in zip(points, known, strict=True)]
    x0, y0, x1, y1 = map(float, own.box)
    return {
        "category_id": 1,
        "keypoints": [value for triple in triples for value in triple],
        "num_keypoints": sum(known),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": float(box_area(own.box)),
        "iscrowd": 0,
    }
