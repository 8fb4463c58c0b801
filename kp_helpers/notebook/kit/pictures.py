"""`pictures`: a folder, files, or images in memory, of any sizes, with labels if there are any."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from PIL import Image

from kp_helpers import evaluate
from kp_helpers.config import Protocol
from kp_helpers.data import DataError, ImageFolder, KeypointSample
from kp_helpers.data.images import read_image
from kp_helpers.evaluate import Framed
from kp_helpers.notebook import display

LABELS = ("labels.json", "labels.csv", "labels.slp")
"""Names of a folder's own labels, in the order in which they are looked for."""
WHOLE = Protocol(framing="letterbox", jitter=0.0)


class Pictures(Sequence):
    """Pictures, each with its labels if there are any. A slice is `Pictures` again, a number one sample.

    samples: one `KeypointSample` a person, of an unlabelled picture one. root: the folder they are from, None
    for others. left_out: what of the folder is not among them, by its reason.
    """

    def __init__(
        self,
        samples: Iterable[KeypointSample],
        root: Path | None = None,
        left_out: Mapping[str, int] | None = None,
    ):
        self.samples, self.root = tuple(samples), root
        self.left_out = {reason: number for reason, number in (left_out or {}).items() if number}

    def __len__(self) -> int:
        return len(self.samples)

    def __repr__(self) -> str:
        known = sorted({name for one in self.samples for name, seen in one.visible.items() if seen})
        labels = f"labels of {', '.join(known)}" if known else "no labels"
        left = [f"{number} {reason}" for reason, number in self.left_out.items()]
        return f"<{len(self)} pictures, {labels}" + (f"; left out: {', '.join(left)}>" if left else ">")

    def __getitem__(self, index):
        own = self.samples[index]
        return Pictures(own, self.root) if isinstance(index, slice) else own

    def framed(self, size: int) -> Framed:
        """As a model of this image size sees them: whole, scaled to the square, with bars where they need."""
        return evaluate.framed(self.samples, size, WHOLE)

    def labelled(self, joint: str, points=None) -> "Pictures":
        """Those with a label of the joint; points: (n, 2) in pixels of each picture, in the place of
        theirs.
        """
        if points is None:
            own = [one for one in self.samples if one.visible.get(joint)]
        else:
            points = np.asarray(points, float)
            if points.shape != (len(self), 2):
                raise ValueError(
                    f"points have shape {points.shape}, expected ({len(self)}, 2): one a picture"
                )
            pairs = zip(self.samples, points, strict=True)
            own = [replace(one, joints={joint: tuple(p)}, visible={joint: True}) for one, p in pairs]
        if not own:
            known = sorted({name for one in self.samples for name, seen in one.visible.items() if seen})
            found = f"labels of {', '.join(known)}" if known else "no labels"
            raise ValueError(f"no picture has a label of {joint!r}, found {found}: give `points`")
        return Pictures(own, self.root)

    def show(self, count: int = 10, size: int = 256) -> Figure:
        """The first pictures, with their names."""
        few = self[:count]
        return display.pictures(few.framed(size).images, [one.name for one in few])


def pictures(where, labels: str | Path | None = None) -> Pictures:
    """Pictures to look at, to teach with and to find keypoints in.

    where: a folder, one file or several, PIL images, arrays (H, W, 3) uint8, or tensors (3, H, W) in [0,1].
    Sizes may differ; EXIF's rotation is applied. labels: of the folder's keypoints, a file of COCO, SLEAP,
    DeepLabCut, Label Studio, YOLO or CVAT, or a CSV; `labels.json`, .csv or .slp in the folder is found by
    itself.

    >>> shots = pictures("my_folder")
    >>> shots[0].frame_size, len(shots[:5])
    """
    if isinstance(where, str | Path) and Path(where).expanduser().is_dir():
        root = Path(where).expanduser()
        own = [root / name for name in LABELS if (root / name).is_file()]
        found = ImageFolder(root, labels or (own[0] if own else None))
        return Pictures(found, root, found.left_out)
    if labels is not None:
        raise DataError(
            f"labels is {labels} and where {where!r}, expected a folder of pictures beside labels"
        )
    several = where if isinstance(where, list | tuple) else [where]
    return Pictures(sample_of(one, f"picture {number}") for number, one in enumerate(several))


def sample_of(picture, name: str = "picture") -> KeypointSample:
    """One picture of any kind that `pictures` takes as a sample without labels."""
    if isinstance(picture, KeypointSample):
        return picture
    path, pixels = None, _in_memory(picture)
    if pixels is None:
        path = Path(picture).expanduser()
        pixels, name = read_image(path, rotation="apply"), path.name
    size = (pixels.shape[2], pixels.shape[1])
    box = (0.0, 0.0, float(size[0]), float(size[1]))
    about = {"name": name, "image_path": path, "frame_size": size, "box": box, "sequence": name}
    return KeypointSample(joints={}, visible={}, pixels=lambda: pixels, **about)


def _in_memory(picture) -> torch.Tensor | None:
    """An image in memory as float32 (3, H, W) in [0,1]; None for a path."""
    if isinstance(picture, str | Path):
        return None
    if isinstance(picture, Image.Image):
        picture = np.asarray(picture.convert("RGB"))
    if isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.shape[2:] == (3,):
        return torch.from_numpy(picture.copy()).permute(2, 0, 1).float() / 255
    if isinstance(picture, torch.Tensor) and picture.ndim == 3 and len(picture) == 3:
        return picture.float()
    found = f"{type(picture).__name__} {tuple(getattr(picture, 'shape', ()))}"
    raise TypeError(
        f"a picture is {found}, expected a path, a PIL image, (H, W, 3) uint8 or (3, H, W) in [0,1]"
    )
