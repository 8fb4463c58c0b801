"""Pictures with panoptic masks, and folders in COCO's panoptic format."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from kp_helpers.data.errors import DataError
from kp_helpers.data.images import read_image


@dataclass(frozen=True)
class PanopticPicture:
    """`image` (H, W, 3) uint8. `segments` (H, W) int32: 0 is void, n + 1 is row n of `labels`.

    labels: the class of each segment. phrases: noun phrases of the `caption`, where there is one.
    """

    image: np.ndarray
    segments: np.ndarray
    labels: tuple[str, ...]
    phrases: tuple[str, ...] = ()
    caption: str = ""

    @property
    def nouns(self) -> tuple[str, ...]:
        """The noun phrases; where there is no caption, the classes."""
        return self.phrases or tuple(dict.fromkeys(self.labels))

    def masks(self) -> np.ndarray:
        """(n, H, W) bool, a row a segment."""
        return self.segments[None] == np.arange(1, len(self.labels) + 1)[:, None, None]


@dataclass(frozen=True)
class PanopticPictures:
    """Pictures with the classes that they can hold; `things` are those that are counted one by one."""

    rows: Sequence[PanopticPicture]
    classes: tuple[str, ...]
    things: frozenset[str]

    def part(self, first: int, count: int) -> "PanopticPictures":
        """`count` of the pictures from number `first` on."""
        return PanopticPictures(self.rows[first : first + count], self.classes, self.things)


def read_coco_panoptic(folder: Path, size: int, count: int | None = None) -> PanopticPictures:
    """The first `count` pictures of a folder in COCO's panoptic format, squashed to `size` pixels a side.

    It holds `panoptic*.json` somewhere, beside it a folder of the same name with the masks, whose pixels are
    segment numbers as R + 256 G + 65536 B, and anywhere the pictures that the file names. Crowds are void.
    Raises DataError, which names the file.
    """
    path = next(iter(sorted(Path(folder).rglob("panoptic*.json"))), None)
    if path is None:
        raise DataError(f"{folder}: no panoptic*.json found, expected a data set in COCO's panoptic format")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        categories = {row["id"]: row for row in content["categories"]}
        names = {row["id"]: row["file_name"] for row in content["images"]}
        rows = [_read(path, names, categories, one, size) for one in content["annotations"][:count]]
        things = frozenset(row["name"] for row in categories.values() if row["isthing"])
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: {error!r}, expected COCO's images, annotations, categories") from error
    return PanopticPictures(rows, tuple(row["name"] for row in categories.values()), things)


def _read(path: Path, names: dict, categories: dict, annotation: dict, size: int) -> PanopticPicture:
    name, masks = names[annotation["image_id"]], path.with_suffix("")
    files = [file for file in path.parents[1].rglob(Path(name).name) if masks not in file.parents]
    mask_file = masks / annotation["file_name"]
    if not files or not mask_file.is_file():
        missing = mask_file if files else name
        raise DataError(f"{path}: names {missing}, which is not in {path.parents[1]}")
    image = F.interpolate(read_image(files[0])[None], (size, size), mode="bilinear", antialias=True)[0]
    coded = Image.open(mask_file).convert("RGB").resize((size, size), Image.Resampling.NEAREST)
    numbers = np.asarray(coded).astype(np.int64) @ (1, 256, 65536)
    counted = [one for one in annotation["segments_info"] if not one.get("iscrowd")]
    segments = np.zeros((size, size), np.int32)
    for place, one in enumerate(counted, start=1):
        segments[numbers == one["id"]] = place
    labels = tuple(categories[one["category_id"]]["name"] for one in counted)
    pixels = (255 * image).round().clamp(0, 255).to(torch.uint8)
    return PanopticPicture(pixels.permute(1, 2, 0).numpy(), segments, labels)
