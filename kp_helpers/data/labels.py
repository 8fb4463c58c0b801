"""Labels of one person in one image as a file of labels holds them, whatever the file's format."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from kp_helpers.data.errors import DataError
from kp_helpers.data.sample import KeypointSample, Point

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Labels:
    """One person in one image.

    image: path within the folder of images, with forward slashes. points: name -> (x, y) in pixels, NaN where
    not labelled. hidden: names whose point does not count though it is given. box: (x0, y0, x1, y1) of the
    person where the file has one. size: (width, height) of the image where the file says it. upright: whether
    the file says that its pixels are those of the image as its EXIF tag turns it.
    """

    image: str
    person: int
    points: Mapping[str, Point]
    hidden: frozenset[str] = frozenset()
    box: Box | None = None
    size: tuple[int, int] | None = None
    upright: bool = False


def image_name(where: str, name) -> str:
    """A file name from labels, checked to lead nowhere but into the folder of images."""
    path = PurePosixPath(name.replace("\\", "/")) if type(name) is str else PurePosixPath("/")
    if path.is_absolute() or ".." in path.parts or ":" in name or not path.name:
        raise DataError(f"{where} is {str(name)[:120]!r}, expected the path of an image within the folder")
    return path.as_posix()


def extent(points: Sequence[Point]) -> Box | None:
    """The box of the points that are known, None where they span none."""
    known = np.array([point for point in points if np.isfinite(point).all()]).reshape(-1, 2)
    if len(known) < 2 or (np.ptp(known, axis=0) == 0).any():
        return None
    return (*known.min(axis=0).tolist(), *known.max(axis=0).tolist())


def checked_box(where: str, corners: Sequence[float]) -> Box | None:
    """Four numbers as a box; None for one without width or height, refused if turned round or not finite."""
    x0, y0, x1, y1 = corners
    if not all(map(math.isfinite, corners)) or x1 < x0 or y1 < y0:
        raise DataError(f"{where} is {tuple(corners)}, expected a box with a width and a height")
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def rows(
    samples: Sequence[KeypointSample], points: Sequence[Mapping[str, Point]], root: str | Path
) -> list[Labels]:
    """Points by name, in pixels of each sample's frame, as labels to be written; root: of the images."""
    root = Path(root).resolve()
    found = []
    for sample, own in zip(samples, points, strict=True):
        path = Path(sample.image_path).resolve()
        if not path.is_relative_to(root):
            raise DataError(f"{path}: is not within {root}, expected the folder that all images share")
        name = path.relative_to(root).as_posix()
        found.append(Labels(name, sample.person, own, box=sample.box, size=sample.frame_size))
    return found
