"""Labels in files of COCO, SLEAP, DeepLabCut, Label Studio, YOLO and CVAT, and in the kit's table: one shape.

A format reads a file, says what a file that is written takes over from it, and writes people. Which one a
file is in is told by its ending and its first bytes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile, ZipFile

from kp_helpers.data import coco, labels
from kp_helpers.data.errors import DataError, known
from kp_helpers.data.formats import cvat, label_studio, sleap, yolo
from kp_helpers.data.images import check_images, refuse_all
from kp_helpers.data.labels import NOTHING, Labels, TakenOver, labels_of
from kp_helpers.data.sample import KeypointSample, Point

Content = tuple[tuple[str, ...], list[Labels], dict[str, int]]


@dataclass(frozen=True)
class Format:
    """suffix: of what is written. read(path, root): names of all keypoints, labels, what was left out.
    taken(path, root): for a file to be written. write(path, people, taken). turned: whether pixels may be
    those of a picture that an EXIF tag turns; else such pictures are refused.
    """

    name: str
    suffix: str
    read: Callable[[Path, Path], Content]
    taken: Callable[[Path, Path], TakenOver]
    write: Callable[[Path, Sequence[Labels], TakenOver], Path]
    turned: bool = False


COCO = Format(
    "COCO",
    ".json",
    lambda path, _: coco.read_coco(path),
    coco.taken_from_coco,
    coco.write_people,
    turned=True,
)
TABLE = Format(
    "table",
    ".csv",
    lambda path, _: labels.read_table(path),
    lambda path, _: NOTHING,
    labels.write_people,
    turned=True,
)
SLEAP = Format("SLEAP", ".slp", sleap.read, sleap.taken, sleap.write)
DEEPLABCUT = Format("DeepLabCut", ".csv", sleap.read, sleap.taken, sleap.write_deeplabcut)
LABEL_STUDIO = Format(
    "Label Studio", ".json", label_studio.read, label_studio.taken, label_studio.write, turned=True
)
YOLO = Format("YOLO", ".zip", yolo.read, yolo.taken, yolo.write)
CVAT = Format("CVAT", ".zip", cvat.read, cvat.taken, cvat.write, turned=True)
FORMATS = {one.name: one for one in (COCO, TABLE, SLEAP, DEEPLABCUT, LABEL_STUDIO, YOLO, CVAT)}


def format_of(path: Path) -> Format:
    """The format of a file of labels; DataError if it is of none."""
    suffix = path.suffix.lower()
    alone = {".slp": SLEAP, ".yaml": YOLO, ".yml": YOLO, ".xml": CVAT}
    if suffix in alone:
        return alone[suffix]
    if suffix == ".json":
        return LABEL_STUDIO if _begins(path).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[") else COCO
    if suffix == ".csv":
        return DEEPLABCUT if _begins(path).startswith(b"scorer,") else TABLE
    if suffix == ".zip":
        return _archived(path)
    expected = (
        "expected .json (COCO, Label Studio), .csv, .slp (SLEAP), .yaml (YOLO), .xml or .zip (CVAT, YOLO)"
    )
    raise DataError(f"{path}: labels of this kind are unknown, {expected}")


def format_for(path: Path, like: str | Path | None = None) -> Format:
    """The format to write a file in: that of `like`, a file of labels or a format's name; else COCO's for
    .json, the table for .csv and SLEAP's for .slp.
    """
    if like is None:
        chosen = {one.suffix: one for one in (COCO, TABLE, SLEAP)}.get(path.suffix.lower())
        if chosen is None:
            told = "expected .csv, .json (COCO) or .slp (SLEAP), or labels whose format is to be written"
            raise DataError(f"{path}: ends in {path.suffix!r}, {told}")
        return chosen
    if Path(like).is_file():
        chosen = format_of(Path(like))
    else:
        chosen = FORMATS[known(str(like), tuple(FORMATS), "no such file, and format")]
    if path.suffix.lower() != chosen.suffix:
        expected = f"expected {chosen.suffix} for {chosen.name}, the format of {like}"
        raise DataError(f"{path}: ends in {path.suffix!r}, {expected}")
    return chosen


def write_labels(
    path: str | Path,
    samples: Sequence[KeypointSample],
    points: Sequence[Mapping[str, Point]],
    root: str | Path,
    scores: Sequence[Mapping[str, float]] | None = None,
    like: str | Path | None = None,
) -> Path:
    """Write points (name -> (x, y) in pixels of the frame, one mapping a sample) in `format_for`'s format.

    scores: of each point by its name. like: where it is a file of labels, its skeleton and its names of
    pictures are taken over. root: the folder of the pictures.
    """
    path = Path(path)
    chosen = format_for(path, like)
    if not chosen.turned:
        refuse_all(check_images(dict.fromkeys(Path(one.image_path) for one in samples))[1])
    taken = chosen.taken(Path(like), Path(root)) if like and Path(like).is_file() else NOTHING
    return chosen.write(path, labels_of(samples, points, root, scores), taken)


def _begins(path: Path) -> bytes:
    if not path.is_file():
        return b""
    with path.open("rb") as file:
        return file.read(64)


def _archived(path: Path) -> Format:
    try:
        with ZipFile(path) as archive:
            names = {name.rpartition("/")[2] for name in archive.namelist()}
    except (OSError, BadZipFile) as error:
        raise DataError(f"{path}: is no zip archive ({error})") from None
    for name, kind in ((cvat.ANNOTATIONS, CVAT), (yolo.SETTINGS, YOLO)):
        if name in names:
            return kind
    raise DataError(f"{path}: holds neither {cvat.ANNOTATIONS} (CVAT) nor {yolo.SETTINGS} (YOLO)")
