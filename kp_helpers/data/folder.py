"""A folder of one's own pictures, with labels in a file, or without labels."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kp_helpers.data.errors import DataError
from kp_helpers.data.formats import format_of
from kp_helpers.data.images import SUFFIXES
from kp_helpers.data.labelled_images import LabelledImages
from kp_helpers.data.labels import Labels, extent

UNREAD = (".heic", ".heif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".orf", ".rw2", ".svg")
"""Pictures too, which Pillow does not read by itself."""


class ImageFolder(LabelledImages):
    """The people of a folder of images, one `KeypointSample` a person; without labels one an image.

    labels: a file of COCO, of another tool, or a table (see `formats`); joints: names to be read, all that
    the file has where left out. The box is the file's, else the extent of the person's labelled points, else
    the whole image. Without labels a rotation in the EXIF data is applied, as nothing then refers to raw
    pixels; with labels it is refused, unless these say or it is given here that they are `upright`: in pixels
    of the pictures as viewers, and `widgets.KeypointLabeler`, turn them. For the rest see `LabelledImages`.
    """

    def __init__(
        self,
        root: str | Path,
        labels: str | Path | None = None,
        joints: Sequence[str] | None = None,
        *,
        skip_damaged: bool = False,
        upright: bool = False,
    ):
        if not Path(root).is_dir():
            raise DataError(f"{root}: no such folder of images")
        names, found, left_out = (
            _read(Path(labels), Path(root)) if labels else ((), _unlabelled(Path(root)), {})
        )
        rotation = "refuse" if labels and not upright else "apply"
        super().__init__(root, names, found, joints, skip_damaged=skip_damaged, rotation=rotation)
        self.left_out = left_out | self.left_out | ({} if labels else unread(root))


def _read(path: Path, root: Path) -> tuple[tuple[str, ...], list[Labels], dict[str, int]]:
    names, found, left_out = format_of(path).read(path, root)
    if not found:
        raise DataError(f"{path}: holds no labelled keypoints")
    boxed = [replace(own, box=own.box or extent(list(own.points.values()))) for own in found]
    return names, boxed, left_out


def image_names(root: Path) -> list[str]:
    """Every image below the folder in the order of its name; hidden files and macOS's own are no images."""
    paths = (path.relative_to(root) for path in root.rglob("*") if path.is_file())
    images = sorted(
        path.as_posix()
        for path in paths
        if path.suffix.lower() in SUFFIXES and not any(p.startswith((".", "__MACOSX")) for p in path.parts)
    )
    if not images:
        raise DataError(f"{root}: holds no images ({', '.join(SUFFIXES)})")
    return images


def unread(root: Path) -> dict[str, int]:
    """How many pictures of each kind that is not read are below the folder, by a reason that names it."""
    kinds = Counter(path.suffix.lower() for path in root.rglob("*") if not path.name.startswith("."))
    return {f"pictures as {kind}, which is not read": kinds[kind] for kind in UNREAD if kinds[kind]}


def _unlabelled(root: Path) -> list[Labels]:
    return [Labels(image, 0, {}) for image in image_names(root)]
