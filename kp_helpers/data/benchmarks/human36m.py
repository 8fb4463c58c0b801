"""Human3.6M, aligned: cropped people with masks and 32 points.

`S{n}/WithBackground/<folder>/<i>.jpg`, `S{n}/BackgroudMask/<folder>/<i>.png` (spelt so; values 0 or 1), and
`S{n}/Landmarks/<folder>/<i>.mat` with `keypoints_2d` (32, 2) in [0,1].
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from kp_helpers.data.benchmarks.matlab import points_of
from kp_helpers.data.errors import DamagedImage, DataError, known
from kp_helpers.data.images import image_size, read_image, refuse_all
from kp_helpers.data.sample import KeypointSample, Samples, why_hidden

JOINTS = (
    "hips",
    *("right_hip", "right_knee", "right_foot", "right_toe", "right_toe_end"),
    *("left_hip", "left_knee", "left_foot", "left_toe", "left_toe_end"),
    *("spine", "spine1", "neck", "head", "head_end"),
    *("left_collar", "left_shoulder", "left_elbow", "left_wrist", "left_thumb", "left_thumb_end"),
    *("left_hand", "left_hand_end"),
    *("right_collar", "right_shoulder", "right_elbow", "right_wrist", "right_thumb", "right_thumb_end"),
    *("right_hand", "right_hand_end"),
)
SPLITS = {"train": (1, 5, 6, 7, 8, 9), "validation": (9,), "test": (11,)}
"""Subjects, as published: the validation's subject is one of the training's."""
ACTIONS = ("Directions", "Discussion", "Posing", "Waiting", "Greeting", "Walking")
_COLUMNS = {"row, column": (1, 0), "x, y": (0, 1)}
_LOOKED_AT = 50


@dataclass(frozen=True)
class _Frame:
    subject: str
    folder: str
    number: str


class Human36M(Samples):
    """One sample a picture of the six actions; a sample's sequence is the folder of its take.

    masked: whether the background is made black by the mask, as published. order: what the two columns of
    `keypoints_2d` are; the published code takes them for (row, column), which no file was at hand to confirm,
    so heads that lie beside the hips instead of above or below are refused. All 32 points count, as
    published, where they lie in the frame; labels are read with their sample, so `masked` stays empty.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        joints: Sequence[str] | None = None,
        *,
        masked: bool = True,
        order: str = "row, column",
    ):
        super().__init__()
        self.root, self.split = Path(root), known(split, tuple(SPLITS), "split")
        self.joints = tuple(known(joint, JOINTS, "joint") for joint in (JOINTS if joints is None else joints))
        self._masked, self._columns = masked, _COLUMNS[known(order, tuple(_COLUMNS), "order")]
        self._frames = [frame for subject in SPLITS[split] for frame in _frames(self.root / f"S{subject}")]
        if not self._frames:
            raise DataError(f"{self.root}: holds no picture of {', '.join(ACTIONS)}")
        self._check_upright(order)

    def __len__(self) -> int:
        return len(self._frames)

    def _sample(self, index: int) -> KeypointSample:
        frame = self._frames[index]
        path, sequence = self._path(frame, "WithBackground", "jpg"), f"{frame.subject}/{frame.folder}"
        mask = self._path(frame, "BackgroudMask", "png")
        return labelled(
            path,
            self._points(frame),
            self.joints,
            name=f"{sequence}/{frame.number}",
            sequence=sequence,
            pixels=partial(_masked, path, mask) if self._masked else None,
        )

    def _path(self, frame: _Frame, kind: str, suffix: str) -> Path:
        return self.root / frame.subject / kind / frame.folder / f"{frame.number}.{suffix}"

    def _points(self, frame: _Frame) -> np.ndarray:
        """(32, 2) as (x, y) in [0,1]."""
        path = self._path(frame, "Landmarks", "mat")
        return points_of(path, "keypoints_2d", len(JOINTS))[:, self._columns]

    def _check_upright(self, order: str) -> None:
        picked = self._frames[:: max(1, len(self._frames) // _LOOKED_AT)]
        points = np.stack([self._points(frame) for frame in picked])
        across, down = np.median(np.abs(points[:, JOINTS.index("head")] - points[:, 0]), axis=0)
        if across > down:
            other = next(name for name in _COLUMNS if name != order)
            found = "heads lie beside the hips in most pictures"
            raise DataError(f"{self.root}: {found}, expected them above: pass order={other!r}")


def labelled(path: Path, points: np.ndarray, joints: Sequence[str], **about) -> KeypointSample:
    """The sample of an image with its points (32, 2) in [0,1]; about: its name, sequence and the like."""
    size = image_size(path)
    points = points * size
    why = dict(zip(JOINTS, why_hidden(points, size), strict=True))
    skeleton = dict(zip(JOINTS, map(tuple, points.tolist()), strict=True))
    return KeypointSample(
        image_path=path,
        frame_size=size,
        joints={joint: skeleton[joint] for joint in joints},
        visible={joint: not why[joint] for joint in joints},
        box=(*points.min(axis=0).tolist(), *points.max(axis=0).tolist()),
        skeleton=skeleton,
        **about,
    )


def _frames(subject: Path) -> list[_Frame]:
    """Every picture of the six actions, each with its mask and points; all that are missing are named."""
    folders = sorted(
        path.name for path in (subject / "WithBackground").glob("*/") if path.name.startswith(ACTIONS)
    )
    frames, problems = [], []
    for folder in folders:
        numbers = {path.stem for path in (subject / "WithBackground" / folder).glob("[!.]*.jpg")}
        for kind, suffix in (("BackgroudMask", "png"), ("Landmarks", "mat")):
            there = {path.stem for path in (subject / kind / folder).glob(f"*.{suffix}")}
            problems += [
                f"{subject / kind / folder / n}.{suffix} is missing" for n in sorted(numbers - there)
            ]
        frames += [_Frame(subject.name, folder, number) for number in sorted(numbers, key=_in_order)]
    refuse_all(problems)
    return frames


def _in_order(number: str) -> tuple[int, str]:
    return (int(number), number) if number.isdecimal() else (0, number)


def _masked(path: Path, mask: Path) -> torch.Tensor:
    """The image with its background black; the mask is 0 or 1, and resized to the image where it differs."""
    image = read_image(path)
    try:
        with Image.open(mask) as opened:
            keep = torch.from_numpy(np.array(opened, np.float32))
    except (OSError, SyntaxError, ValueError) as error:
        raise DamagedImage(f"{mask}: damaged ({error}), expected a mask") from None
    if keep.ndim != 2 or keep.max() > 1:
        raise DataError(f"{mask}: has values up to {keep.max():.0f}, expected one channel of 0 and 1")
    keep = F.interpolate(keep[None, None], image.shape[1:], mode="bilinear", align_corners=False)[0]
    return image * keep
