"""Label Studio's export "JSON": a list of tasks, one a picture, with regions in percent of the picture.

Keypoints of a person name its rectangle as their parent; those of none are one person. Pixels are those of
the picture as browsers turn it. What a model predicted stands under `predictions`.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, TypeAdapter, ValidationError

from kp_helpers.data.errors import DataError, sentence
from kp_helpers.data.formats.files import ends_of, picture, text_of
from kp_helpers.data.labels import Box, Labels, TakenOver
from kp_helpers.store import replace_file

OTHERS, EMPTY = "further annotations of a picture", "tasks without an annotation"
_UPLOADED = re.compile(r"(?<![^/])[0-9a-f]{8}-(?=[^/]+$)")
"""What Label Studio puts before the name of a file that is uploaded to it."""


class _Value(BaseModel):
    x: float
    y: float
    width: float = 0.0
    height: float = 0.0
    keypointlabels: list[str] = []


class _Region(BaseModel):
    """A keypoint, a rectangle, or what is neither and has no value that is looked at."""

    type: str
    id: str = ""
    parentID: str | None = None
    value: _Value | dict = {}
    original_width: int = 0
    original_height: int = 0
    image_rotation: float = 0.0

    def box(self) -> Box:
        """In pixels; of a keypoint its place and its drawn size."""
        across, down = self.original_width / 100, self.original_height / 100
        x, y = self.value.x, self.value.y
        return x * across, y * down, (x + self.value.width) * across, (y + self.value.height) * down


class _Answer(BaseModel):
    result: list[_Region]
    was_cancelled: bool = False


class _Task(BaseModel):
    data: dict[str, Any]
    annotations: list[_Answer] = []
    predictions: list[_Answer] = []

    @property
    def address(self) -> str:
        """What the task calls its picture."""
        return str(self.data.get("image") or next(iter(self.data.values()), ""))


def read(path: Path, root: Path) -> tuple[tuple[str, ...], list[Labels], dict[str, int]]:
    """As `coco.read_coco`. Of several annotations of a picture the first that was not cancelled counts."""
    found, left_out, tasks = [], Counter(), _tasks(path)
    by_hand = any(task.annotations for task in tasks)
    for number, task in enumerate(tasks):
        answers = task.annotations if by_hand else task.predictions
        answers = [one for one in answers if not one.was_cancelled]
        left_out[OTHERS] += len(answers[1:])
        left_out[EMPTY] += not answers
        for answer in answers[:1]:
            found += _people(f"{path}: [{number}]", _picture(path, task, root), answer.result)
    return tuple(dict.fromkeys(name for own in found for name in own.points)), found, dict(+left_out)


def taken(path: Path, root: Path) -> TakenOver:
    """What each task calls its picture; there are no limbs."""
    return TakenOver((), {_picture(path, task, root): task.address for task in _tasks(path)})


def write(path: Path, people: Sequence[Labels], taken: TakenOver) -> Path:
    """Write tasks to be imported; points with scores are predictions, others annotations."""
    tasks: dict[str, dict] = {}
    for own in people:
        kind = "predictions" if own.scores else "annotations"
        about = {"model_version": "keypoint-kit", "score": own.score} if own.scores else {}
        start = {"data": {"image": taken.address(own.image)}, kind: [{**about, "result": []}]}
        tasks.setdefault(own.image, start)[kind][0]["result"] += _regions(own)
    return replace_file(path, lambda partial: partial.write_text(json.dumps(list(tasks.values()), indent=1)))


def _tasks(path: Path) -> list[_Task]:
    try:
        return TypeAdapter(list[_Task]).validate_python(json.loads(text_of(path)))
    except ValidationError as error:
        raise DataError(f"{sentence(str(path), error)}; expected Label Studio's export JSON") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: is no JSON ({str(error)[:120]})") from None


def _picture(path: Path, task: _Task, root: Path) -> str:
    name = task.address.split("?d=")[-1]  # of a file that Label Studio reads from a disk
    there = any((root / end).is_file() for end in ends_of(name))
    return picture(path, name if there else _UPLOADED.sub("", name), root)


def _people(where: str, image: str, regions: Sequence[_Region]) -> list[Labels]:
    """The persons of a picture: those of its rectangles, then the one that has the other keypoints."""
    boxes = {one.id: one.box() for one in regions if one.type == "rectanglelabels"}
    points: dict[str | None, dict] = {}
    size = None
    for one in regions:
        if one.type == "keypointlabels":
            if one.image_rotation or not (type(one.value) is _Value and one.value.keypointlabels):
                raise DataError(f"{where}: a keypoint of {image} has no label or is turned, expected neither")
            own = points.setdefault(one.parentID if one.parentID in boxes else None, {})
            (name,) = one.value.keypointlabels[:1]
            if name in own:
                raise DataError(f"{where}: {name!r} twice for one person of {image}, expected once")
            own[name], size = one.box()[:2], (one.original_width, one.original_height)
    return [
        Labels(image, number, own, box=boxes.get(person), size=size, upright=True)
        for number, (person, own) in enumerate(points.items())
    ]


def _regions(own: Labels) -> list[dict]:
    """The rectangle of a person, and its keypoints."""
    width, height = own.size
    shared = {"original_width": width, "original_height": height, "image_rotation": 0, "to_name": "image"}
    x0, y0, x1, y1 = (100 * float(value) / side for value, side in zip(own.box, own.size * 2, strict=True))
    box = {
        "x": x0,
        "y": y0,
        "width": x1 - x0,
        "height": y1 - y0,
        "rotation": 0,
        "rectanglelabels": ["person"],
    }
    about = {"id": f"person-{own.person}", "type": "rectanglelabels", "from_name": "person"}
    found = [{**shared, **about, "value": box}]
    for name, (x, y) in own.placed.items():
        value = {"x": 100 * float(x) / width, "y": 100 * float(y) / height, "keypointlabels": [name]}
        about = {"id": f"person-{own.person}-{name}", "parentID": f"person-{own.person}"}
        score = {"score": float(own.scores[name])} if name in own.scores else {}
        kind = {"type": "keypointlabels", "from_name": "keypoint"}
        found.append({**shared, **about, **kind, **score, "value": {**value, "width": 0.5}})
    return found
