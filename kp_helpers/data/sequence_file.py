"""One `.pkl` of 3DPW: read safely, its shapes checked, and projected into the frames."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from kp_helpers.data.errors import DataError
from kp_helpers.data.safe_pickle import load

_TRACKS = {"jointPositions": (72,), "poses2d": (3, 18), "campose_valid": ()}
"""Key -> shape of one frame of one person; each key holds a list with one array a person."""
_ALSO_BY_PERSON = ("poses", "trans", "poses_60Hz", "trans_60Hz", "betas", "genders", "v_template_clothed")


@dataclass(frozen=True)
class Track:
    """One person through a sequence of N frames.

    joints: (N, 24, 3) in metres, world axes. pixels: (N, 24, 2) of them in the frame, NaN behind the camera
    or where unknown. detections: (N, 18, 3) of COCO-18's joints, x and y in pixels and a detector's
    confidence, zeros where nothing was found. camera_valid, detected: (N,) bool, the two halves of the data
    set's own frame filter.
    """

    joints: np.ndarray
    pixels: np.ndarray
    detections: np.ndarray
    camera_valid: np.ndarray
    detected: np.ndarray


@dataclass(frozen=True)
class Recording:
    """A sequence: its people's tracks, (N, 4, 4) cameras from world to camera, and (3, 3) intrinsics."""

    tracks: list[Track]
    cameras: np.ndarray
    intrinsics: np.ndarray

    def __len__(self) -> int:
        return len(self.cameras)


def read_sequence(path: Path) -> Recording:
    """A sequence file; DataError where a key is missing or has a wrong shape."""
    content = load(path)
    if type(content) is not dict:
        raise DataError(f"{path}: holds a {type(content).__name__}, expected a dict as 3DPW's files are")
    if content.get("sequence") != path.stem:
        found = str(content.get("sequence"))[:80]
        raise DataError(f"{path}: its sequence is {found!r}, expected {path.stem!r} as the file is called")
    people = _people(path, content)
    cameras = _array(path, "cam_poses", content.get("cam_poses"), (None, 4, 4))
    intrinsics = _array(path, "cam_intrinsics", content.get("cam_intrinsics"), (3, 3))
    if not np.isfinite(intrinsics).all() or intrinsics[0, 0] <= 0 or intrinsics[1, 1] <= 0:
        raise DataError(f"{path}: cam_intrinsics has no positive focal lengths")
    tracks = [_track(path, content, person, cameras, intrinsics) for person in range(people)]
    if not any(track.camera_valid.any() for track in tracks):
        raise DataError(f"{path}: campose_valid is false in every frame, expected frames with a known camera")
    return Recording(tracks, cameras, intrinsics)


def project(joints: np.ndarray, cameras: np.ndarray, intrinsics: np.ndarray) -> np.ndarray:
    """Pixels (N, J, 2) of world points (N, J, 3) in metres; NaN where a point is not in front of the camera.

    cameras: (N, 4, 4) world to camera in OpenCV's axes; intrinsics: (3, 3). Xc = Xw R^T + t, then
    u = fx x / z + cx and v = fy y / z + cy, as the data set's public loaders agree; no half pixel is added.
    """
    seen = np.einsum("njc,ndc->njd", joints, cameras[:, :3, :3]) + cameras[:, None, :3, 3]
    depth = np.where(seen[..., 2:] > 0, seen[..., 2:], np.nan)
    pixels = seen[..., :2] / depth * np.diagonal(intrinsics)[:2] + intrinsics[:2, 2]
    return np.where(np.isfinite(pixels).all(-1, keepdims=True), pixels, np.nan)


def _people(path: Path, content: dict) -> int:
    """How many people the per-person lists hold, all of them the same number."""
    counts = {}
    for key in (*_TRACKS, *_ALSO_BY_PERSON):
        if key in content or key in _TRACKS:
            if type(content.get(key)) is not list:
                kind = type(content.get(key)).__name__
                raise DataError(f"{path}: {key} is a {kind}, expected a list with an entry a person")
            counts[key] = len(content[key])
    if len(set(counts.values())) != 1:
        raise DataError(f"{path}: lists of unequal length, expected one entry a person in each: {counts}")
    if not counts["jointPositions"]:
        raise DataError(f"{path}: holds no person, expected at least one")
    return counts["jointPositions"]


def _track(path: Path, content: dict, person: int, cameras: np.ndarray, intrinsics: np.ndarray) -> Track:
    values = {
        key: _array(path, f"{key}[{person}]", content[key][person], (len(cameras), *shape))
        for key, shape in _TRACKS.items()
    }
    joints = values["jointPositions"].reshape(-1, 24, 3)
    with np.errstate(all="ignore"):  # values that are not finite end as joints that are not visible
        pixels = project(joints, cameras, intrinsics)
    return Track(
        joints=joints,
        pixels=pixels,
        detections=values["poses2d"].transpose(0, 2, 1),
        camera_valid=values["campose_valid"].astype(bool),
        detected=np.nan_to_num(np.abs(values["poses2d"])).mean(axis=(1, 2)) > 0,
    )


def _array(path: Path, key: str, value, shape: tuple) -> np.ndarray:
    """A numeric array of the given shape as float64; None in the shape stands for any length."""
    if type(value) is not np.ndarray or value.dtype.kind not in "biuf":
        raise DataError(f"{path}: {key} is a {type(value).__name__}, expected an array of numbers")
    fits = len(value.shape) == len(shape) and all(
        b in (None, a) for a, b in zip(value.shape, shape, strict=True)
    )
    if not fits:
        wanted = tuple("N" if n is None else n for n in shape)
        raise DataError(f"{path}: {key} has shape {value.shape}, expected {wanted}".replace("'", ""))
    return value.astype(np.float64)
