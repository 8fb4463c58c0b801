"""3DPW, or anything exported in its layout: people in videos, with joints from SMPL bodies.

`imageFiles/<sequence>/image_00000.jpg` and `sequenceFiles/{train,validation,test}/<sequence>.pkl`. Frame f of
a sequence is `image_{f:05d}.jpg`; `img_frame_ids` is something else (it counts the 60 Hz frames).
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kp_helpers.data.errors import DataError
from kp_helpers.data.images import image_size
from kp_helpers.data.sample import KeypointSample
from kp_helpers.data.sequence_file import Track, read_sequence

JOINTS = (
    *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle"),
    *("right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hand", "right_hand"),
)
"""SMPL's 24 joints in order: the feet are the base of the toes, the head lies inside the skull."""
SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class _Place:
    """Where a sample is found: a person's track and a frame of it."""

    sequence: str
    person: int
    frame: int
    track: Track
    frame_size: tuple[int, int]


class ThreeDPW(Sequence):
    """The people of one split, one `KeypointSample` a person and frame, in a fixed order.

    A frame is left out where the data set's own filter says so (camera unknown, or no 2D detection) and where
    the whole person is behind the camera; `left_out` counts them by reason. A joint is visible if it is in
    front of the camera and inside the frame; 3DPW does not know occlusion. Raises DataError before anything
    is measured, and lists every missing image at once.
    """

    def __init__(
        self, root: str | Path, split: str, joints: Sequence[str] = ("left_foot", "head", "left_elbow")
    ):
        self.root, self.split, self.joints = Path(root), _known(split, SPLITS, "split"), tuple(joints)
        for joint in self.joints:
            _known(joint, JOINTS, "joint")
        self.left_out = {"camera unknown": 0, "no detection": 0, "behind the camera": 0}
        self._images = _unpacked(self.root, "imageFiles")
        files = sorted((_unpacked(self.root, "sequenceFiles") / split).glob("[!.]*.pkl"))
        if not files:
            raise DataError(f"{self.root}: no .pkl in sequenceFiles/{split}")
        tracks = {path.stem: read_sequence(path) for path in files}
        _check_images(self._images, {name: len(found[0].pixels) for name, found in tracks.items()})
        self._places = [place for name, found in tracks.items() for place in self._kept(name, found)]

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        return self._sample(self._places[index])

    def _kept(self, name: str, tracks: list[Track]) -> list[_Place]:
        """The frames of a sequence that pass the filter; the others are counted."""
        size = image_size(self._images / name / "image_00000.jpg")
        places = []
        for person, track in enumerate(tracks):
            seen = np.isfinite(track.pixels).all(-1).any(-1)
            reasons = np.select(
                [~track.camera_valid, ~track.detected, ~seen],
                ["camera unknown", "no detection", "behind the camera"],
                "",
            )
            for reason in self.left_out:
                self.left_out[reason] += int((reasons == reason).sum())
            places += [
                _Place(name, person, int(frame), track, size) for frame in np.flatnonzero(reasons == "")
            ]
        return places

    def _sample(self, place: _Place) -> KeypointSample:
        pixels = place.track.pixels[place.frame]
        skeleton = {name: (float(x), float(y)) for name, (x, y) in zip(JOINTS, pixels, strict=True)}
        width, height = place.frame_size
        return KeypointSample(
            name=f"{place.sequence}/{place.frame:05d}/{place.person}",
            image_path=self._images / place.sequence / f"image_{place.frame:05d}.jpg",
            frame_size=place.frame_size,
            joints={name: skeleton[name] for name in self.joints},
            visible={
                name: 0 <= skeleton[name][0] < width and 0 <= skeleton[name][1] < height
                for name in self.joints
            },
            box=(*map(float, np.nanmin(pixels, axis=0)), *map(float, np.nanmax(pixels, axis=0))),
            skeleton=skeleton,
            masks=self._masks(place),
            sequence=place.sequence,
            frame=place.frame,
            person=place.person,
        )

    def _masks(self, place: _Place) -> Path | None:
        path = self.root / "masks" / place.sequence / f"image_{place.frame:05d}.png"
        return path if path.is_file() else None


def _unpacked(root: Path, name: str) -> Path:
    """`root/name`, or `root/name/name` as some unpackers leave it."""
    for folder in (root / name / name, root / name):
        if folder.is_dir():
            return folder
    raise DataError(f"{root}: no folder {name}, expected 3DPW's layout with imageFiles and sequenceFiles")


def _check_images(folder: Path, frames: dict[str, int]) -> None:
    """Every frame of every sequence has its image and no image is left over, or all problems are named."""
    problems = []
    for sequence, count in frames.items():
        expected = {f"image_{frame:05d}.jpg" for frame in range(count)}
        found = {path.name for path in (folder / sequence).glob("image_*.jpg")}
        problems += [f"{folder / sequence / name} is missing" for name in sorted(expected - found)]
        if len(found) > count:
            problems.append(
                f"{folder / sequence}: {len(found)} images, expected {count} as its .pkl has frames"
            )
    if problems:
        raise DataError("\n".join([f"{len(problems)} problems with the images:", *problems]))


def _known(name: str, names: Sequence[str], field: str) -> str:
    if name not in names:
        near = difflib.get_close_matches(str(name), names, 1, 0)[0]
        raise DataError(f"{field} {name!r} is unknown, did you mean {near!r}? Known: {', '.join(names)}")
    return name
