"""Labels of people in images, whatever the file's format, and the format that is a CSV table.

The table has a header and one keypoint a row:

| column | content |
| --- | --- |
| image | path of the image within its folder |
| keypoint | its name |
| x, y | pixels from the image's corner, a pixel's centre at +0.5; both empty where it is not known |
| person | optional: number of the person in the image, 0 where it is left out |
| visible | optional: 1, or 0 for a point that is to count for nothing |
| x0, y0, x1, y1 | optional: the person's box in pixels, the same in all rows of the person |
| upright | optional: 1 if pixels are those of the image as its EXIF tag turns it, the same in all rows |
| score | optional: of a prediction, in [0,1]; it is not read |

Rows of a person need not stand together. Other columns are refused, so that a misspelt one is noticed.
"""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Annotated

import numpy as np
import pandas as pd
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from kp_helpers.data.errors import DataError, known, sentence
from kp_helpers.data.sample import KeypointSample, Point
from kp_helpers.store import replace_file

Box = tuple[float, float, float, float]
BOX = ("x0", "y0", "x1", "y1")
COLUMNS = ("image", "person", "keypoint", "x", "y", "visible", *BOX, "upright")
SCORE = "score"
Limb = tuple[str, str]


@dataclass(frozen=True)
class Labels:
    """One person in one image.

    image: path within the folder of images, with forward slashes. points: name -> (x, y) in pixels, NaN where
    not labelled. hidden: names whose point does not count though it is given. box: (x0, y0, x1, y1) of the
    person where the file has one. size: (width, height) of the image where the file says it. upright: whether
    the file says that its pixels are those of the image as its EXIF tag turns it. scores: of points that
    were predicted, by their names.
    """

    image: str
    person: int
    points: Mapping[str, Point]
    hidden: frozenset[str] = frozenset()
    box: Box | None = None
    size: tuple[int, int] | None = None
    upright: bool = False
    scores: Mapping[str, float] = field(default_factory=dict)

    @property
    def placed(self) -> dict[str, Point]:
        """The points that have a place."""
        return {name: point for name, point in self.points.items() if np.isfinite(point).all()}

    @property
    def score(self) -> float:
        """The mean of the scores, 1 where there are none."""
        return float(np.mean(list(self.scores.values()))) if self.scores else 1.0


@dataclass(frozen=True)
class TakenOver:
    """What a file that is written has from another file of labels.

    limbs: its skeleton, as pairs of keypoints' names. addresses: what it calls each image, by the path within
    the folder of images: the tool that made it knows the image by that name alone.
    """

    limbs: Sequence[Limb] = ()
    addresses: Mapping[str, str] = field(default_factory=dict)

    def limbs_of(self, names: Sequence[str]) -> list[Limb]:
        """The limbs between these keypoints."""
        return [limb for limb in self.limbs if set(limb) <= set(names)]

    def address(self, image: str) -> str:
        """What the other file calls the image, else its path."""
        return self.addresses.get(image, image)


NOTHING = TakenOver()


def image_name(where: str, name) -> str:
    """A file name from labels, checked to lead nowhere but into the folder of images."""
    path = PurePosixPath(name.replace("\\", "/")) if type(name) is str else PurePosixPath("/")
    if path.is_absolute() or ".." in path.parts or ":" in name or not path.name:
        raise DataError(f"{where} is {str(name)[:120]!r}, expected the path of an image within the folder")
    return path.as_posix()


def extent(points: Sequence[Point]) -> Box | None:
    """The box of the points that are known, None where they span none."""
    finite = np.array([point for point in points if np.isfinite(point).all()]).reshape(-1, 2)
    if len(finite) < 2 or (np.ptp(finite, axis=0) == 0).any():
        return None
    return (*finite.min(axis=0).tolist(), *finite.max(axis=0).tolist())


def checked_box(where: str, corners: Sequence[float]) -> Box | None:
    """Four numbers as a box; None for one without width or height, refused if turned round or not finite."""
    x0, y0, x1, y1 = corners
    if not all(map(math.isfinite, corners)) or x1 < x0 or y1 < y0:
        raise DataError(f"{where} is {tuple(corners)}, expected a box with a width and a height")
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def labels_of(
    samples: Sequence[KeypointSample],
    points: Sequence[Mapping[str, Point]],
    root: str | Path,
    scores: Sequence[Mapping[str, float]] | None = None,
) -> list[Labels]:
    """Points by name, in pixels of each sample's frame, as labels to be written; root: of the images."""
    root = Path(root).resolve()
    found = []
    each = scores or [{}] * len(samples)
    for sample, own, sure in zip(samples, points, each, strict=True):
        path = Path(sample.image_path).resolve()
        if not path.is_relative_to(root):
            raise DataError(f"{path}: is not within {root}, expected the folder that all images share")
        name = path.relative_to(root).as_posix()
        about = {"box": sample.box, "size": sample.frame_size, "upright": True, "scores": sure}
        found.append(Labels(name, sample.person, own, **about))
    return found


class _Row(BaseModel):
    """A row of the table, made from its texts."""

    model_config = ConfigDict(extra="forbid")

    image: str
    keypoint: str
    x: Annotated[float, BeforeValidator(lambda text: "nan" if text == "" else text)]
    y: Annotated[float, BeforeValidator(lambda text: "nan" if text == "" else text)]
    person: Annotated[int, Field(ge=0)] = 0
    visible: bool = True
    box: Box | None = None
    upright: bool = False
    score: str = ""


def read_table(path: str | Path) -> tuple[tuple[str, ...], list[Labels], dict[str, int]]:
    """Names of all keypoints, the labels in the file's order, and nothing left out, as `coco.read_coco`."""
    path = Path(path)
    people: dict[tuple[str, int], dict[str, _Row]] = {}
    for number, row in enumerate(_rows(path), 2):
        image = image_name(f"{path}: row {number}: image", row.image)
        rows = people.setdefault((image, row.person), {})
        if row.keypoint in rows:
            again = f"{row.keypoint!r} of person {row.person} in {image} a second time"
            raise DataError(f"{path}: row {number}: {again}")
        rows[row.keypoint] = row
    names = tuple(dict.fromkeys(name for rows in people.values() for name in rows))
    return names, [_labels(path, *who, rows) for who, rows in people.items()], {}


def _rows(path: Path) -> list[_Row]:
    rows = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restkey="a value beyond the columns", strict=True)
            for column in reader.fieldnames or ():
                for mark, name in ((";", "semicolons"), ("\t", "tabs")):
                    if mark in column:
                        raise DataError(f"{path}: its columns are separated by {name}, expected commas")
                known(column, (*COLUMNS, SCORE), f"{path}: column")
            for row in reader:
                corners = [row.pop(name, "") for name in BOX]
                rows.append(_Row(**row, box=corners if any(corners) else None))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path}: is no CSV in UTF-8 ({str(error)[:120]})") from None
    except ValidationError as error:
        raise DataError(sentence(f"{path}: row {len(rows) + 2}", error)) from None
    return rows


def _labels(path: Path, image: str, person: int, rows: Mapping[str, _Row]) -> Labels:
    """One person's rows as labels; what is said of the person must be the same in all of them."""
    where = f"{path}: person {person} in {image}"
    boxes = {checked_box(f"{where}: box", row.box) if row.box else None for row in rows.values()}
    upright = {row.upright for row in rows.values()}
    for what, values in (("boxes", boxes), ("values of upright", upright)):
        if len(values) > 1:
            raise DataError(f"{where} has {len(values)} {what}, expected the same in all rows")
    return Labels(
        image,
        person,
        points={name: (row.x, row.y) for name, row in rows.items()},
        hidden=frozenset(name for name, row in rows.items() if not row.visible),
        box=boxes.pop(),
        upright=upright.pop(),
    )


def write_table(
    path: str | Path,
    samples: Sequence[KeypointSample],
    points: Sequence[Mapping[str, Point]],
    root: str | Path,
    scores: Sequence[Mapping[str, float]] | None = None,
) -> Path:
    """Write points (name -> (x, y) in pixels of the frame, one mapping a sample); image names within `root`.

    A point that is not finite has empty x and y; visible and upright are 1 throughout. scores: of each point
    by its name, a column where they are given.
    """
    return write_people(path, labels_of(samples, points, root, scores), NOTHING)


def write_people(path: str | Path, people: Sequence[Labels], taken: TakenOver) -> Path:
    """`write_table` of labels; nothing that is taken over has a place in the table."""
    rows = [
        (own.image, own.person, name, *map(float, point), 1, *map(float, own.box), 1, own.scores.get(name))
        for own in people
        for name, point in own.points.items()
    ]
    table = pd.DataFrame(rows, columns=[*COLUMNS, SCORE])
    if not any(own.scores for own in people):
        table = table.drop(columns=SCORE)
    table.loc[~np.isfinite(table[["x", "y"]]).all(axis=1), ["x", "y"]] = np.nan
    return replace_file(path, lambda partial: table.to_csv(partial, index=False))
