"""What misses land on, how the person stands, and predictions as pictures."""

import json
from collections.abc import Iterable, Sequence
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from kp_helpers import metrics
from kp_helpers.data import DataError, KeypointSample
from kp_helpers.data.sample import Point
from kp_helpers.evaluate.measures import ALL, Measure, known
from kp_helpers.evaluate.protocol import Found, Framed
from kp_helpers.evaluate.scores import score

PLACES = {
    "head": "misses on the person's own head",
    "body": "misses on the rest of the person",
    "other": "misses on another person",
    "thing": "misses on a thing",
    "background": "misses on the ground or the backdrop",
    "outside": "misses outside the frame",
}
"""Where a miss can lie: short name -> the name of its share. Hair, and skin nearest to its joint, is head."""
MASKS_AT_ONCE = 32
"""Masks that memory holds: the predictions of a run come one after the other."""
_OF_MISSES = {"threshold": ALL["within"].threshold, "normaliser": ALL["within"].normaliser, "of_misses": True}
ENDS = ("head", "left_hand", "right_hand", "left_foot", "right_foot")
"""Joints that stand out. Those in between do not: an ankle lies so near to its foot that it is no miss."""
MISSES = {
    "mirror": ALL["mirror"],
    "distinct": Measure(name="misses on the head, a hand, a foot or a thing", **_OF_MISSES),
    **{place: Measure(name=name, **_OF_MISSES) for place, name in PLACES.items()},
}
"""Column of `surroundings` -> the share of misses that it gives."""


def surroundings(found: Iterable[Found]) -> pd.DataFrame:
    """`score`'s rows with a column for each of `MISSES`, 0 or 1 for a miss, NaN for a hit; and `place`.

    distinct: on a head or a thing by the masks, or within 1/48 of the frame of one of `ENDS`, that is
    neither the joint itself nor the other side's, which `mirror` tells. Where the image has no masks a
    column of `PLACES` is NaN, and place empty. DataError where a mask or its table is damaged.
    """
    found = [one for one in found if one.sample.visible[one.joint]]
    scores, (mask_of, segments_of) = score(found), (lru_cache(MASKS_AT_ONCE)(_mask), cache(_segments))
    rows = []
    for one, hit in zip(found, scores["within"], strict=True):
        sample, here = one.sample, ""
        if not hit and sample.masks is not None:
            mask = mask_of(sample.masks, sample.frame_size)
            here = _place(sample, one.point, mask, segments_of(sample.masks, sample.frame))
        rows.append({"place": here, **({} if hit else _shares(one, here))})
    columns = [column for column in MISSES if column not in scores]
    around = pd.DataFrame(rows, columns=["place", *columns], index=scores.index)
    return pd.concat([scores, around.astype(dict.fromkeys(columns, float))], axis=1)


ON_PERSON, POINTS_ON_PERSON = "random point on the person", 25
"""What misses are held against: points anywhere on the person, so many a picture."""


def points_on_person(test: Framed, joint: str, run: int, seed: int) -> list[Found]:
    """`POINTS_ON_PERSON` points of every test image, uniform over the person's pixels that the model sees;
    where the image has no mask, or the person no pixel in the square, uniform in the square.
    """
    rng, found = np.random.default_rng((seed, run, 4)), []
    for sample, square in zip(test.samples, test.squares, strict=True):
        inside = square.to_square(_pixels_of_person(sample)).numpy()
        inside = inside[((inside >= 0) & (inside < 1)).all(axis=1)]
        drawn = rng.integers(len(inside), size=POINTS_ON_PERSON) if len(inside) else None
        places = rng.random((POINTS_ON_PERSON, 2)) if drawn is None else inside[drawn]
        points = [tuple(square.to_frame(torch.from_numpy(one)).tolist()) for one in places]
        found += [Found(sample, joint, point, ON_PERSON, run, square) for point in points]
    return found


def _pixels_of_person(sample: KeypointSample) -> np.ndarray:
    """Centres (n, 2) as (x, y) in pixels of the frame, none where there is no mask."""
    if sample.masks is None:
        return np.empty((0, 2))
    segments = _segments(sample.masks, sample.frame)
    own = [number for number, (_, entity) in segments.items() if entity == f"person {sample.person}"]
    rows, columns = np.nonzero(np.isin(_mask(sample.masks, sample.frame_size), own))
    return np.stack([columns, rows], axis=1) + 0.5


def _shares(found: Found, place: str) -> dict[str, float]:
    """The columns of `surroundings` for a miss that lies on one of `PLACES`, or nobody knows on which."""
    own = (found.joint, metrics.mirrored(found.joint))
    ends = [end for name in ENDS if name not in own for end in known(found.sample, name)]
    near = any(metrics.within(found.point, end, found.sample.frame_size) for end in ends)
    shares = {name: float(name == place) for name in PLACES} if place else {}
    return {"distinct": float(near or place in ("head", "thing")), **shares}


def _place(
    sample: KeypointSample, point: Point, mask: np.ndarray, segments: dict[int, tuple[str, str]]
) -> str:
    """Which of `PLACES` a point in pixels of the frame lies on."""
    column, row = (int(np.floor(value)) for value in point)
    width, height = sample.frame_size
    if not (0 <= column < width and 0 <= row < height):
        return "outside"
    number = int(mask[row, column])
    if number not in segments:
        raise DataError(f"{sample.masks}: holds segment {number}, expected one of {sorted(segments)}")
    label, entity = segments[number]
    if entity == f"person {sample.person}":
        return "head" if label == "hair" or (label == "skin" and _on_head(sample, point)) else "body"
    kind = entity.partition(" ")[0]
    return {"person": "other", "thing": "thing"}.get(kind, "background")


def _on_head(sample: KeypointSample, point: Point) -> bool:
    """Whether of all joints the head is the nearest, since masks have one label for all skin."""
    joints = [joint for joint in sample.skeleton if known(sample, joint)]
    distances = [np.hypot(*np.subtract(sample.skeleton[joint], point)) for joint in joints]
    return bool(joints) and joints[int(np.argmin(distances))] == "head"


def _mask(path: Path, frame_size: tuple[int, int]) -> np.ndarray:
    """Segment numbers (H, W)."""
    try:
        with Image.open(path) as image:
            numbers = np.asarray(image)
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}), expected a mask as PNG") from None
    if numbers.shape != frame_size[::-1]:
        raise DataError(f"{path}: has shape {numbers.shape}, expected {frame_size[::-1]} as the frame has")
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


FRONT, BACK, CROSSED = "front view", "back view", "crossed legs"
BODY_VIEWS = (FRONT, BACK, CROSSED)


def body_view(sample: KeypointSample) -> str:
    """One of `BODY_VIEWS`, empty where the hips are not known.

    A front view has the left hip right of the right one in the picture, a back view left of it. The legs are
    crossed where the ankles stand in the other order than the hips, whatever the view.
    """
    hips, ankles = (known(sample, f"left_{name}", f"right_{name}") for name in ("hip", "ankle"))
    if not hips:
        return ""
    facing = hips[0][0] > hips[1][0]
    if ankles and (ankles[0][0] > ankles[1][0]) != facing:
        return CROSSED
    return FRONT if facing else BACK


def by_body_view(found: Iterable[Found]) -> pd.DataFrame:
    """`score`'s rows with a column `body_view`."""
    found = [one for one in found if one.sample.visible[one.joint]]
    return score(found).assign(body_view=[body_view(one.sample) for one in found])


def pictured(found: Sequence[Found], size: int) -> tuple[list[torch.Tensor], torch.Tensor, torch.Tensor]:
    """The images (3, size, size) in [0,1] of some predictions, of any joints and runs, and their points.

    Returns them with the predicted and the labelled points, (n, 2) each in [0,1] of the square that the model
    was shown. ValueError for a prediction that does not know its square.
    """
    for one in found:
        if one.square is None:
            raise ValueError(f"{one.sample.name}: its square is not known, expected predictions of `located`")
    images = [one.square.crop(one.sample.image(), size).clamp(0, 1) for one in found]
    predicted = [one.square.to_square(one.point) for one in found]
    true = [one.square.to_square(one.sample.joints[one.joint]) for one in found]
    return images, torch.stack(predicted), torch.stack(true)
