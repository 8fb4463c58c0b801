"""CUB-200-2011, birds with 15 points: aligned as one HDF5 file, or the pictures with boxes and parts.

Aligned: `cub.h5` with `{train,test}_img` uint8 (N, 3, 128, 128), `_kp` (N, 15, 2) in [0,1] as (row, column),
`_vis` (N, 15). Parts: `CUB_200_2011/images/<rel_path>` and `CUB_200_2011/cachedir/cub/data/
{train,test}_cub_cleaned.mat`, a struct array `images` with rel_path, bbox (x1, y1, x2, y2 counted from 1) and
parts (3, 15) as x, y, visible, counted from 1 too.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import torch

from kp_helpers.data.benchmarks.matlab import read_mat
from kp_helpers.data.errors import DataError, known
from kp_helpers.data.labelled_images import HIDDEN, LabelledImages
from kp_helpers.data.labels import Labels, checked_box, image_name
from kp_helpers.data.sample import KeypointSample, Samples, why_hidden

JOINTS = (
    *("back", "beak", "belly", "breast", "crown", "forehead", "left_eye", "left_leg", "left_wing", "nape"),
    *("right_eye", "right_leg", "right_wing", "tail", "throat"),
)
SPLITS = ("train", "test")
_SIDE = 128


class CUBAligned(Samples):
    """One sample a bird of `cub.h5`; frames of 128 x 128 are read from the file when they are asked for.

    A point is visible where the file says so and it lies in the frame; an image without any stays, and the
    measure leaves it out.
    """

    def __init__(self, root: str | Path, split: str, joints: Sequence[str] | None = None):
        super().__init__()
        self.path, self.split = Path(root) / "cub.h5", known(split, SPLITS, "split")
        self.joints = tuple(known(joint, JOINTS, "joint") for joint in (JOINTS if joints is None else joints))
        self._points, visible = _aligned(self.path, split)
        why = why_hidden(self._points, (_SIDE, _SIDE))
        self._why = np.where((why == "") & ~visible, HIDDEN, why)
        self._count(self._why[:, [JOINTS.index(joint) for joint in self.joints]])

    def __len__(self) -> int:
        return len(self._points)

    def _sample(self, index: int) -> KeypointSample:
        name = f"{self.split}_{index:05d}"
        points = dict(zip(JOINTS, map(tuple, self._points[index].tolist()), strict=True))
        why = dict(zip(JOINTS, self._why[index], strict=True))
        return KeypointSample(
            name=name,
            image_path=self.path,
            frame_size=(_SIDE, _SIDE),
            joints={joint: points[joint] for joint in self.joints},
            visible={joint: not why[joint] for joint in self.joints},
            box=(0.0, 0.0, float(_SIDE), float(_SIDE)),
            skeleton=points,
            sequence=name,
            frame=index,
            pixels=partial(_image, self.path, f"{self.split}_img", index),
        )


class CUBParts(LabelledImages):
    """The pictures with the bird's box; species: 1 to 200 for one of them (001, 002, 003), None for all.

    The published square is the framing "person" with a margin of 0.05. Points and boxes are counted from 0,
    as published; a part that is not visible is not known.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        joints: Sequence[str] | None = None,
        *,
        species: int | None = None,
        skip_damaged: bool = False,
    ):
        folder = Path(root) / "CUB_200_2011"
        path = folder / "cachedir" / "cub" / "data" / f"{known(split, SPLITS, 'split')}_cub_cleaned.mat"
        birds = np.atleast_1d(read_mat(path, "images"))
        labels = [_bird(f"{path}: images[{number}]", bird) for number, bird in enumerate(birds)]
        if species is not None:
            labels = [own for own in labels if own.image.startswith(f"{species:03d}.")]
        if not labels:
            raise DataError(f"{path}: holds no bird of species {species}, expected a number from 1 to 200")
        super().__init__(folder / "images", JOINTS, labels, joints, skip_damaged=skip_damaged)


def _aligned(path: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Points (N, 15, 2) as (x, y) in pixels, and whether each is visible, (N, 15)."""
    try:
        with h5py.File(path) as file:
            images, points, visible = (file[f"{split}_{key}"] for key in ("img", "kp", "vis"))
            count = len(images)
            wanted = ((count, 3, _SIDE, _SIDE), (count, len(JOINTS), 2), (count, len(JOINTS)))
            found = (images.shape, points.shape, visible.shape)
            if found != wanted or images.dtype != np.uint8:
                raise DataError(
                    f"{path}: {split} has {found} of {images.dtype}, expected {wanted}, images of uint8"
                )
            return points[...].astype(float)[..., ::-1] * _SIDE, visible[...] != 0
    except (OSError, KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{path}: cannot be read as HDF5 with {split}_img, _kp and _vis ({error})") from None


def _image(path: Path, key: str, index: int) -> torch.Tensor:
    try:
        with h5py.File(path) as file:
            return torch.from_numpy(file[key][index]).float() / 255
    except OSError as error:
        raise DataError(f"{path}: {key}[{index}] cannot be read ({error})") from None


def _bird(where: str, bird) -> Labels:
    try:
        name, box = image_name(f"{where}.rel_path", str(bird.rel_path)), bird.bbox
        corners = (float(box.x1) - 1, float(box.y1) - 1, float(box.x2), float(box.y2))
        parts = np.asarray(bird.parts, float)
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(f"{where}: has no rel_path, bbox and parts ({error})") from None
    if parts.shape != (3, len(JOINTS)):
        raise DataError(f"{where}.parts has shape {parts.shape}, expected (3, {len(JOINTS)})")
    points = np.where(parts[2] > 0, parts[:2] - 1, np.nan).T.tolist()
    return Labels(
        name, 0, dict(zip(JOINTS, map(tuple, points), strict=True)), box=checked_box(f"{where}.bbox", corners)
    )
