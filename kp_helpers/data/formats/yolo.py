"""YOLO's poses, as Ultralytics reads them: data.yaml, and for each picture a text with a line a person.

A line is class, x, y, width and height of the box, then x, y (and 0, 1 or 2) of each keypoint, in shares of
the picture. Read are data.yaml in the folder of the texts, or an archive of both; written is an archive. A
picture is found by its text's name. There is no place for scores.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import yaml
from pydantic import BaseModel, ValidationError

from kp_helpers.data.errors import DataError, sentence
from kp_helpers.data.formats.files import ends_of, text_of, texts_of, write_zip
from kp_helpers.data.images import SUFFIXES, image_size
from kp_helpers.data.labels import Box, Labels, TakenOver
from kp_helpers.data.sample import Point

SETTINGS = "data.yaml"
Size = tuple[int, int]


class _Settings(BaseModel):
    """kpt_names: of each class; node_names, skeleton (from 0): as sleap-io writes them."""

    kpt_shape: tuple[int, int]
    kpt_names: dict[int, list[str]] = {}
    node_names: list[str] = []
    skeleton: list[tuple[int, int]] = []

    def keypoints(self, number: int) -> list[str]:
        """The keypoints' names of a class."""
        unnamed = [f"keypoint_{number}" for number in range(self.kpt_shape[0])]
        return self.kpt_names.get(number) or self.node_names or unnamed


def read(path: Path, root: Path) -> tuple[tuple[str, ...], list[Labels], dict[str, int]]:
    """As `coco.read_coco`."""
    settings, texts = _content(path)
    pictures, found = _pictures(root), []
    for name, text in texts.items():
        file = _picture(f"{path}: {name}", name, pictures, root)
        image, size = file.relative_to(root).as_posix(), image_size(file)
        for number, line in enumerate(filter(str.strip, text.splitlines())):
            where = f"{path}: {name}: line {number + 1}"
            points, box = _person(where, line, settings, size)
            found.append(Labels(image, number, points, box=box, size=size))
    return tuple(dict.fromkeys(name for own in found for name in own.points)), found, {}


def taken(path: Path, root: Path) -> TakenOver:
    """The limbs, and where the text of each picture stands."""
    settings, texts = _content(path)
    names = dict(enumerate(settings.keypoints(0)))
    limbs = [(names[a], names[b]) for a, b in settings.skeleton if a in names and b in names]
    pictures = _pictures(root)
    files = {name: _picture(f"{path}: {name}", name, pictures, root) for name in texts}
    return TakenOver(limbs, {file.relative_to(root).as_posix(): name for name, file in files.items()})


def write(path: Path, people: Sequence[Labels], taken: TakenOver) -> Path:
    """Write an archive of data.yaml and the texts."""
    names = list(dict.fromkeys(name for own in people for name in own.points))
    limbs = [[names.index(end) for end in limb] for limb in taken.limbs_of(names)]
    texts: dict[str, str] = {}
    for own in people:
        text = taken.addresses.get(own.image) or f"labels/{PurePosixPath(own.image).with_suffix('.txt')}"
        texts[text] = texts.get(text, "") + _line(own, names) + "\n"
    folders = sorted({re.sub(r"(^|/)labels(?=/|$)", r"\1images", text.rpartition("/")[0]) for text in texts})
    pictures = folders if len(folders) > 1 else folders[0]
    settings = {"train": pictures, "val": pictures, "names": {0: "person"}, "kpt_shape": [len(names), 3]}
    settings |= {"kpt_names": {0: names}, "skeleton": limbs}
    return write_zip(path, {SETTINGS: yaml.safe_dump(settings, sort_keys=False), **texts})


def _content(path: Path) -> tuple[_Settings, dict[str, str]]:
    """The settings, and each picture's text by its name from the settings' folder."""
    if path.suffix.lower() == ".zip":
        texts = texts_of(path, (SETTINGS, ".txt"))
        top = next(name for name in texts if name.endswith(SETTINGS)).removesuffix(SETTINGS)
        texts = {name.removeprefix(top): text for name, text in texts.items()}
    else:
        files = [path, *sorted(path.parent.rglob("*.txt"))]
        texts = {file.relative_to(path.parent).as_posix(): text_of(file) for file in files}
        texts[SETTINGS] = texts.pop(path.name)
    try:
        settings = _Settings.model_validate(yaml.safe_load(texts.pop(SETTINGS)))
    except ValidationError as error:
        raise DataError(f"{sentence(str(path), error)}; expected {SETTINGS} of YOLO's poses") from None
    except yaml.YAMLError as error:
        raise DataError(f"{path}: {SETTINGS} is no YAML ({' '.join(str(error).split())[:120]})") from None
    return settings, {name: text for name, text in texts.items() if "labels" in PurePosixPath(name).parts}


def _pictures(root: Path) -> dict[str, Path]:
    """The pictures of the folder, by their paths without "images" and the ending."""
    files = (file for file in root.rglob("*") if file.suffix.lower() in SUFFIXES)
    return {_bare(file.relative_to(root).as_posix()): file for file in files}


def _bare(name: str) -> str:
    parts = PurePosixPath(name).with_suffix("").parts
    return "/".join(part for part in parts if part not in ("images", "labels"))


def _picture(where: str, name: str, pictures: dict[str, Path], root: Path) -> Path:
    """The picture of a text."""
    for end in ends_of(_bare(name)):
        if end in pictures:
            return pictures[end]
    raise DataError(f"{where}: no picture of this name within {root}")


def _person(where: str, line: str, settings: _Settings, size: Size) -> tuple[dict[str, Point], Box]:
    """Points and box in pixels."""
    count, each = settings.kpt_shape
    try:
        number, *values = map(float, line.split())
        names = settings.keypoints(int(number))
    except (ValueError, OverflowError) as error:
        raise DataError(f"{where}: {error}, expected numbers") from None
    if each not in (2, 3) or len(values) != 4 + count * each or len(names) != count:
        shape = f"class, box and {each} for each of {count} named keypoints"
        raise DataError(f"{where}: has {1 + len(values)} numbers, expected {5 + count * each}: {shape}")
    x, y, w, h = (value * side for value, side in zip(values[:4], size * 2, strict=True))
    points = {}
    for name, at in zip(names, range(4, len(values), each), strict=True):
        across, down, *seen = values[at : at + each]
        visibility = seen[0] if seen else float(bool(across or down))
        if visibility not in (0, 1, 2):
            looks = "which looks like a score of a prediction; expected 0, 1 or 2"
            raise DataError(f"{where}: the third number of {name!r} is {visibility:g}, {looks}")
        points[name] = (across * size[0], down * size[1]) if visibility else (math.nan, math.nan)
    return points, (x - w / 2, y - h / 2, x + w / 2, y + h / 2)


def _line(own: Labels, names: Sequence[str]) -> str:
    (x0, y0, x1, y1), (width, height) = own.box, own.size
    values = [(x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height]
    for name in names:
        x, y = own.placed.get(name, (0.0, 0.0))
        values += [x / width, y / height, 2 if name in own.placed else 0]
    return " ".join(["0", *(f"{value:.8g}" for value in values)])
