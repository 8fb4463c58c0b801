"""3DPW, or anything exported in its layout: people in videos, with joints from SMPL bodies or a 2D detector.

`imageFiles/<sequence>/image_00000.jpg` and `sequenceFiles/{train,validation,test}/<sequence>.pkl`. Frame f of
a sequence is `image_{f:05d}.jpg`; `img_frame_ids` is something else (it counts the 60 Hz frames).
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kp_helpers.data.errors import DataError, known
from kp_helpers.data.images import check_images, first_of, refuse_all
from kp_helpers.data.sample import UNKNOWN, KeypointSample, Samples, why_hidden
from kp_helpers.data.sequence_file import Recording, Track, read_sequence

JOINTS = (
    *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle"),
    *("right_ankle", "spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head"),
    *("left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
    *("left_hand", "right_hand"),
)
"""SMPL's 24 joints in order: the feet are the base of the toes, the head lies inside the skull."""
DETECTED = (
    *("nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow"),
    *("left_wrist", "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle"),
    *("right_eye", "left_eye", "right_ear", "left_ear"),
)
"""COCO's 18 joints in the order of `poses2d`: no foot and no top of the head."""
SOURCES = {"smpl": JOINTS, "detections": DETECTED}
SPLITS = ("train", "validation", "test")
NO_CAMERA, NO_DETECTION, BEHIND = "camera unknown", "no detection", "behind the camera"
DAMAGED, MISSING = "damaged image", "missing image"
UNDETECTED = "not detected"
OFF_MIDDLE = 0.25
"""How far a camera's middle may lie from the picture's, a share of half the side: cameras are off by a few
per cent, pictures of half the size by the whole."""


@dataclass(frozen=True)
class _Labelled:
    """One person's labels through a sequence: points (N, J, 2) of the source, whether they count (N, J),
    boxes (N, 4) of the whole person, and the frames (F,) that are samples.
    """

    sequence: str
    person: int
    frame_size: tuple[int, int]
    points: np.ndarray
    visible: np.ndarray
    boxes: np.ndarray
    frames: np.ndarray


class ThreeDPW(Samples):
    """The people of one split, one `KeypointSample` a person and frame, in a fixed order.

    source: "smpl", projected joints by the names of `JOINTS`, visible in front of the camera and inside the
    frame, since 3DPW does not know occlusion; or "detections", the file's 2D joints by the names of
    `DETECTED`, visible where found. confidence: the detector's score below which a joint counts as not
    found; published loaders cut at 0 to 0.5, and 0.3 is between. The box is that of the 24 projected joints
    for both.

    A frame is left out where the data set's own filter says so (camera unknown, or no 2D detection) and where
    the whole person is behind the camera. Raises DataError before anything is measured, with every problem of
    the images at once; skip_damaged and skip_missing leave frames out whose image is damaged or missing, and
    count them. Pictures must be as large as the camera's numbers say; scaled: whether all points are scaled
    to smaller or larger ones instead.
    """

    def __init__(
        self,
        root: str | Path,
        split: str,
        joints: Sequence[str] = ("left_foot", "head", "left_elbow"),
        source: str = "smpl",
        *,
        confidence: float = 0.3,
        skip_damaged: bool = False,
        skip_missing: bool = False,
        scaled: bool = False,
    ):
        super().__init__()
        self.root, self.split, self.joints = Path(root), known(split, SPLITS, "split"), tuple(joints)
        self.source, self.confidence = known(source, tuple(SOURCES), "source"), confidence
        if not 0 <= confidence <= 1:
            raise DataError(f"confidence is {confidence}, expected 0 to 1 as the detector scores")
        self._columns = [SOURCES[source].index(known(joint, SOURCES[source], "joint")) for joint in joints]
        self._images = _unpacked(self.root, "imageFiles")
        files = sorted((_unpacked(self.root, "sequenceFiles") / split).glob("[!.]*.pkl"))
        if not files:
            raise DataError(f"{self.root}: no .pkl in sequenceFiles/{split}")
        self.left_out = dict.fromkeys((NO_CAMERA, NO_DETECTION, BEHIND, DAMAGED, MISSING), 0)
        self._labelled = self._read(files, {"damaged": skip_damaged, "missing": skip_missing}, scaled)
        self._places = [(person, int(frame)) for person in self._labelled for frame in person.frames]

    def __len__(self) -> int:
        return len(self._places)

    def _read(self, files: list[Path], skipped: dict[str, bool], scaled: bool) -> list[_Labelled]:
        recordings = {path.stem: read_sequence(path) for path in files}
        looked_at = {}
        problems: list[str] = []
        surplus: list[str] = []
        for name, recording in recordings.items():
            own = _look_at_images(self._images / name, len(recording), skipped, problems, surplus)
            looked_at[name] = own
        refuse_all(problems)
        if surplus:
            warnings.warn(first_of(surplus), stacklevel=3)
        labelled = []
        for name, recording in recordings.items():
            size, lost = looked_at[name]
            for person, track in enumerate(_fitted(name, recording, size, scaled)):
                labelled.append(self._label(name, person, track, size, lost))
        return labelled

    def _label(
        self, name: str, person: int, track: Track, size: tuple[int, int], lost: np.ndarray
    ) -> _Labelled:
        """A track's labels, and those of its frames that pass the filter; the others are counted."""
        points, why = _smpl(track, size) if self.source == "smpl" else _found(track, size, self.confidence)
        seen = np.isfinite(track.pixels).all(-1)
        filtered = [~track.camera_valid, ~track.detected, ~seen.any(-1)]
        reasons = np.select(filtered, [NO_CAMERA, NO_DETECTION, BEHIND], lost)
        for reason in self.left_out:
            self.left_out[reason] += int((reasons == reason).sum())
        self._count(why[reasons == ""][:, self._columns])
        low = np.where(seen[..., None], track.pixels, np.inf).min(axis=1)
        high = np.where(seen[..., None], track.pixels, -np.inf).max(axis=1)
        frames = np.flatnonzero(reasons == "")
        return _Labelled(name, person, size, points, why == "", np.concatenate([low, high], axis=1), frames)

    def _sample(self, index: int) -> KeypointSample:
        labelled, frame = self._places[index]
        names, sequence = SOURCES[self.source], labelled.sequence
        points = [(float(x), float(y)) for x, y in labelled.points[frame]]
        return KeypointSample(
            name=f"{sequence}/{frame:05d}/{labelled.person}",
            image_path=self._images / sequence / f"image_{frame:05d}.jpg",
            frame_size=labelled.frame_size,
            joints={names[c]: points[c] for c in self._columns},
            visible={names[c]: bool(labelled.visible[frame, c]) for c in self._columns},
            box=tuple(labelled.boxes[frame].tolist()),
            skeleton=dict(zip(names, points, strict=True)),
            masks=self._masks(sequence, frame),
            sequence=sequence,
            frame=frame,
            person=labelled.person,
        )

    def _masks(self, sequence: str, frame: int) -> Path | None:
        path = self.root / "masks" / sequence / f"image_{frame:05d}.png"
        return path if path.is_file() else None


def _smpl(track: Track, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Projected joints (N, 24, 2) and why (N, 24) each does not count."""
    why = why_hidden(track.pixels, size)
    behind = (why == UNKNOWN) & np.isfinite(track.joints).all(-1)
    return track.pixels, np.where(behind, BEHIND, why)


def _found(track: Track, size: tuple[int, int], confidence: float) -> tuple[np.ndarray, np.ndarray]:
    """Detected joints (N, 18, 2), NaN where there is none, and why (N, 18) each does not count."""
    score = track.detections[..., 2:]
    missing = ~np.isnan(score) & ((score < confidence) | (score <= 0))
    unknown = ~np.isfinite(track.detections).all(-1, keepdims=True)
    points = np.where(missing | unknown, np.nan, track.detections[..., :2])
    return points, np.where(missing[..., 0], UNDETECTED, why_hidden(points, size))


def _unpacked(root: Path, name: str) -> Path:
    """`root/name`, or `root/name/name` as some unpackers leave it."""
    for folder in (root / name / name, root / name):
        if folder.is_dir():
            return folder
    raise DataError(f"{root}: no folder {name}, expected 3DPW's layout with imageFiles and sequenceFiles")


def _fitted(name: str, recording: Recording, size: tuple[int, int], scaled: bool) -> list[Track]:
    """The tracks in pixels of pictures of this size, which the camera's middle must fit."""
    middle = recording.intrinsics[:2, 2]
    factors = np.array(size) / (2 * middle) if (middle > 0).all() else np.ones(2)
    if size == (0, 0) or (np.abs(factors - 1) <= OFF_MIDDLE).all():
        return recording.tracks
    if not scaled:
        told = " x ".join(f"{2 * value:.0f}" for value in middle)
        found = f"its pictures are {size[0]} x {size[1]} and its camera's numbers are for about {told}"
        raise DataError(f"{name}: {found}; expected the same size, or `scaled`, if they were made smaller")
    both = np.array([*factors, 1.0])
    return [
        replace(track, pixels=track.pixels * factors, detections=track.detections * both)
        for track in recording.tracks
    ]


def _look_at_images(
    folder: Path, count: int, skipped: dict[str, bool], problems: list[str], surplus: list[str]
) -> tuple[tuple[int, int], np.ndarray]:
    """A sequence's frame size, and why each frame is lost, (count,), "" for one that is not.

    What is not skipped goes to the problems; missing images in one line, as those without labels do to the
    surplus.
    """
    there = set(folder.glob("image_*.jpg"))
    paths = [folder / f"image_{frame:05d}.jpg" for frame in range(count)]
    usable, wrong = check_images([path for path in paths if path in there], skip_damaged=skipped["damaged"])
    size = next(iter(usable.values()), (0, 0))
    lost = np.array(["" if path in usable else DAMAGED if path in there else MISSING for path in paths])
    missing = np.flatnonzero(lost == MISSING)
    if len(missing) and not skipped["missing"]:
        first = paths[missing[0]].name
        problems.append(f"{folder}: {len(missing)} of {count} images are missing, the first {first}")
    if len(there) > count:
        surplus.append(f"{folder}: {len(there)} images, {count} frames in its .pkl; the rest is not read")
    problems += wrong
    for path, other in usable.items():
        if other != size:
            problems.append(f"{path}: is {other}, expected {size} as its sequence is")
    return size, lost
