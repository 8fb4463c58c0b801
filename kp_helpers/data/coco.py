"""Keypoints in COCO's JSON: `images`, `annotations` and `categories`, as pycocotools reads them.

Positions are taken as they stand, as continuous pixels from the image's corner. Of the third number of a
keypoint, 0 is not labelled, and 1 (hidden) and 2 (seen) count alike, as they do in COCO's own measure.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from kp_helpers.data.errors import DataError, sentence
from kp_helpers.data.labels import NOTHING, Box, Labels, TakenOver, checked_box, image_name, labels_of
from kp_helpers.data.sample import KeypointSample, Point
from kp_helpers.metrics.lengths import box_area
from kp_helpers.store import replace_file

CROWD, NO_KEYPOINTS, NO_LABEL = "of a crowd", "without keypoints", "images without a label"
NO_JOINT, NOWHERE = "people without a labelled joint", "joints said to be seen at (0, 0)"


class _Image(BaseModel, strict=True):
    id: int
    file_name: Any = None
    width: Any = None
    height: Any = None
    upright: Any = False

    @property
    def size(self) -> tuple[int, int] | None:
        """What the file says of the image's size; a placeholder of zeros says nothing."""
        return (self.width, self.height) if self.width and self.height else None


class _Category(BaseModel, strict=True):
    id: int
    keypoints: list[str] = []
    skeleton: Any = None


class _File(BaseModel, strict=True):
    images: list[_Image]
    categories: list[_Category]
    annotations: list[dict]


class _Person(BaseModel, strict=True):
    """Of an annotation what is looked at once it is known to be a person's."""

    keypoints: list[float]
    bbox: list[float] | None = None


def read_coco(path: str | Path) -> tuple[tuple[str, ...], list[Labels], dict[str, int]]:
    """Names of all keypoints, the labels in the file's order, and how many were left out, by reason.

    Crowds, annotations of other kinds, people without any labelled joint and images without any annotation
    are left out. A joint at (0, 0), where those stand that are not labelled, is not labelled, whatever its
    third number says. DataError for anything that is missing or does not fit together.
    """
    path = Path(path)
    content = _parsed(path)
    images = _by_id(f"{path}: images", content.images)
    categories = _by_id(f"{path}: categories", content.categories)
    left_out, people, labels = Counter(), Counter(), []
    for number, annotation in enumerate(content.annotations):
        where = f"{path}: annotations[{number}]"
        image = _looked_up(where, annotation, "image_id", images)
        names = _looked_up(where, annotation, "category_id", categories).keypoints
        if annotation.get("iscrowd"):
            left_out[CROWD] += 1
            continue
        if not names or "keypoints" not in annotation:
            left_out[NO_KEYPOINTS] += 1
            continue
        own = _labels(where, image, annotation, names, people)
        people[own.image] += 1
        left_out[NOWHERE] += sum(v > 0 and x == y == 0 for x, y, v in _triples(annotation["keypoints"]))
        if any(math.isfinite(x) for x, _ in own.points.values()):
            labels.append(own)
        else:
            left_out[NO_JOINT] += 1
    left_out[NO_LABEL] = len(images) - len(people)
    every = tuple(dict.fromkeys(name for one in categories.values() for name in one.keypoints))
    return every, labels, dict(+left_out)


def write_coco(
    path: str | Path,
    samples: Sequence[KeypointSample],
    points: Sequence[Mapping[str, Point]],
    root: str | Path,
    scores: Sequence[Mapping[str, float]] | None = None,
    taken: TakenOver = NOTHING,
) -> Path:
    """Write points (name -> (x, y) in pixels of the frame, one mapping a sample) as COCO's JSON.

    File names are within `root`. A name without a finite point has 0, 0, 0. scores: of each point by its
    name; a person's `score` is their mean (1 where none are given), and they stand under `keypoint_scores`, a
    key of ours. The list `annotations` is also what pycocotools takes as results. box, area: of the
    sample's box; COCO's area is a segment's, of which 0.53 of the box stands in. taken: the skeleton.
    `upright`, a key of ours: pixels are those of the image as its EXIF tag turns it, if it has one.
    """
    return write_people(path, labels_of(samples, points, root, scores), taken)


def write_people(path: str | Path, labels: Sequence[Labels], taken: TakenOver) -> Path:
    """`write_coco` of labels."""
    names = list(dict.fromkeys(name for own in labels for name in own.points))
    sizes = {own.image: own.size for own in labels}
    images = {name: number for number, name in enumerate(sizes, 1)}
    skeleton = [[1 + names.index(name) for name in limb] for limb in taken.limbs_of(names)]
    content = {
        "images": [
            {"id": images[name], "file_name": name, "width": width, "height": height, "upright": True}
            for name, (width, height) in sizes.items()
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": names, "skeleton": skeleton}],
        "annotations": [
            {"id": number, "image_id": images[own.image], **_scored(own, names), **_annotation(own, names)}
            for number, own in enumerate(labels, 1)
        ],
    }
    return replace_file(path, lambda partial: partial.write_text(json.dumps(content, allow_nan=False)))


def taken_from_coco(path: Path, root: Path) -> TakenOver:
    """The limbs of a file's skeletons, which COCO counts from 1; images stand in it by their paths."""
    limbs = []
    for category in _parsed(path).categories:
        names = {str(number): name for number, name in enumerate(category.keypoints, 1)}
        for pair in category.skeleton if type(category.skeleton) is list else []:
            ends = [names.get(str(end)) for end in pair] if type(pair) is list else []
            limbs += [tuple(ends)] if len(ends) == 2 and None not in ends else []
    return TakenOver(limbs)


def _scored(own: Labels, names: list[str]) -> dict:
    if not own.scores:
        return {"score": own.score}
    each = [float(own.scores.get(name, 0.0)) for name in names]
    return {"score": own.score, "keypoint_scores": each}


def _annotation(own: Labels, names: list[str]) -> dict:
    keypoints: list[float] = []
    for name in names:
        x, y = own.points.get(name, (math.nan, math.nan))
        keypoints += [float(x), float(y), 2] if math.isfinite(x) and math.isfinite(y) else [0, 0, 0]
    x0, y0, x1, y1 = map(float, own.box)
    return {
        "category_id": 1,
        "keypoints": keypoints,
        "num_keypoints": keypoints[2::3].count(2),
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": float(box_area(own.box)),
        "iscrowd": 0,
    }


def _parsed(path: Path) -> _File:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is no JSON ({str(error)[:120]})") from None
    return _validated(_File, str(path), content)


def _validated(kind: type[BaseModel], where: str, content):
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise DataError(sentence(where, error)) from None


def _by_id(where: str, entries: Sequence[_Image | _Category]) -> dict:
    table = {entry.id: entry for entry in entries}
    if len(table) < len(entries):
        raise DataError(f"{where} have {len(table)} different ids, expected {len(entries)}")
    return table


def _looked_up(where: str, annotation: dict, key: str, table: dict):
    number = annotation.get(key)
    if type(number) is not int or number not in table:
        raise DataError(f"{where}: {key} is {str(number)[:40]!r}, expected the id of an entry of the file")
    return table[number]


def _labels(where: str, image: _Image, annotation: dict, names: list[str], people: Counter) -> Labels:
    """A person's labels; people: how many of each image are known already."""
    file = image_name(f"{where}: file_name", image.file_name)
    person = _validated(_Person, where, annotation)
    return Labels(
        file,
        people[file],
        points=_points(where, person.keypoints, names),
        box=_box(f"{where}: bbox", person.bbox),
        size=image.size,
        upright=image.upright is True,
    )


def _points(where: str, values: list[float], names: list[str]) -> dict[str, Point]:
    """Name -> (x, y), NaN where it is not labelled."""
    if len(values) != 3 * len(names) or len(set(names)) < len(names):
        count = 3 * len(names)
        raise DataError(f"{where}: {len(values)} keypoints, expected {count}: x, y and v of different names")
    points = {}
    for name, (x, y, v) in zip(names, _triples(values), strict=True):
        if v not in (0, 1, 2):
            looks = ", which looks like a score of a prediction" if 0 < v < 1 else ""
            raise DataError(f"{where}: the third number of {name!r} is {v:g}{looks}; expected 0, 1 or 2")
        points[name] = (x, y) if v and (x or y) else (math.nan, math.nan)
    return points


def _triples(values: list[float]) -> Iterator[tuple[float, float, float]]:
    return zip(values[::3], values[1::3], values[2::3], strict=True)


def _box(where: str, box: list[float] | None) -> Box | None:
    if not box:
        return None
    if len(box) != 4:
        raise DataError(f"{where} is {str(box)[:80]}, expected x, y, width, height")
    x, y, width, height = box
    return checked_box(where, (x, y, x + width, y + height))
