"""What misses sit on, by the masks that the figures world exports beside its images.

`masks/<sequence>/image_00000.png` holds in each pixel the number of a segment, and `truth/<sequence>.json` a
list with one entry a frame, whose `segments` say for each number the label and the entity that it belongs to.
"""

import json
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from kp_helpers.data import DataError, KeypointSample
from kp_helpers.evaluate.measures import ALL, Measure, known
from kp_helpers.evaluate.protocol import Found
from kp_helpers.evaluate.scores import Measured, report, score

PLACES = {
    "head": "misses on the person's own head",
    "body": "misses on the rest of the person",
    "other": "misses on another person",
    "thing": "misses on a thing",
    "background": "misses on the ground or the backdrop",
    "outside": "misses outside the frame",
}
"""Where a miss can lie: short name -> the name of its share. Hair, and skin nearest to its joint, is head."""
_OF_MISSES = {"threshold": ALL["within"].threshold, "normaliser": ALL["within"].normaliser, "of_misses": True}
_SHARES = {place: Measure(name=name, **_OF_MISSES) for place, name in PLACES.items()}


def misses(found: Iterable[Found]) -> list[Measured]:
    """Where the predictions outside the disc of 1/48 lie: shares of them with n and interval, as in `report`.

    The share that hits the other side's joint, and, over the images that have masks, the shares of `PLACES`.
    DataError where a mask or its table is damaged.
    """
    found = [one for one in found if one.sample.visible[one.joint]]
    scores, segments_of = score(found), cache(_segments)
    for place in PLACES:
        scores[place] = np.nan
    for row, one in enumerate(found):
        if one.sample.masks is not None and not scores.at[row, "within"]:
            here = _place(one.sample, one.point, segments_of(one.sample.masks, one.sample.frame))
            for place in PLACES:
                scores.at[row, place] = float(place == here)
    return report(scores, {"mirror": ALL["mirror"], **_SHARES})


def _place(sample: KeypointSample, point: tuple[float, float], segments: dict[int, tuple[str, str]]) -> str:
    """Which of `PLACES` a point in pixels of the frame lies on."""
    column, row = (int(np.floor(value)) for value in point)
    width, height = sample.frame_size
    if not (0 <= column < width and 0 <= row < height):
        return "outside"
    number = int(_mask(sample)[row, column])
    if number not in segments:
        raise DataError(f"{sample.masks}: holds segment {number}, expected one of {sorted(segments)}")
    label, entity = segments[number]
    if entity == f"person {sample.person}":
        return "head" if label == "hair" or (label == "skin" and _on_head(sample, point)) else "body"
    kind = entity.partition(" ")[0]
    return {"person": "other", "thing": "thing"}.get(kind, "background")


def _on_head(sample: KeypointSample, point: tuple[float, float]) -> bool:
    """Whether of all joints the head is the nearest, since masks have one label for all skin."""
    joints = [joint for joint in sample.skeleton if known(sample, joint)]
    distances = [np.hypot(*np.subtract(sample.skeleton[joint], point)) for joint in joints]
    return bool(joints) and joints[int(np.argmin(distances))] == "head"


def _mask(sample: KeypointSample) -> np.ndarray:
    """Segment numbers (H, W)."""
    try:
        with Image.open(sample.masks) as image:
            numbers = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{sample.masks}: cannot be read ({error}), expected a mask as PNG") from None
    if numbers.shape != sample.frame_size[::-1]:
        expected = f"expected {sample.frame_size[::-1]} as the frame has"
        raise DataError(f"{sample.masks}: has shape {numbers.shape}, {expected}")
    return numbers


def _segments(mask: Path, frame: int) -> dict[int, tuple[str, str]]:
    """Segment number -> (label, entity) of the frame that a mask belongs to."""
    path = mask.parents[2] / "truth" / f"{mask.parent.name}.json"
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))[frame]["segments"]
        return {int(row["number"]): (str(row["label"]), str(row["entity"])) for row in rows}
    except FileNotFoundError:
        raise DataError(
            f"{path}: no such file, expected the table of the segments in {mask.parent}"
        ) from None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(f"{path}: frame {frame} has no table of segments ({error!r})") from None
