"""Whether a sequence's projected joints lie on its own 2D detections, or a wrong axis or side explains them.

In a frame the twelve joints that both orders have are compared: the median of their distances over the
person's size, once as they lie and once after the median offset was taken away, which is the pose alone. A
median is not moved by detections that are far out, nor the pose by a drifting position. A file is refused if
a variant of it, mirrored or with its sides swapped, has the better pose in most frames.
"""

from pathlib import Path

import numpy as np

from kp_helpers.data.errors import DataError
from kp_helpers.data.sequence_file import Recording, Track, in_camera, on_image

SHARED_SMPL = (16, 18, 20, 1, 4, 7, 17, 19, 21, 2, 5, 8)
SHARED_COCO = (5, 6, 7, 11, 12, 13, 2, 3, 4, 8, 9, 10)
"""Shoulder, elbow, wrist, hip, knee and ankle, left then right, in SMPL's 24 and in COCO's 18."""
_OTHER_SIDE = (*range(6, 12), *range(6))

_FITS, _LOST = 0.03, 1.0
"""Of a person's size: nearer poses are not looked into, and joints farther off are not the person's."""
_MOST, _BETTER, _MUCH_BETTER = 0.75, 0.8, 0.5
"""A variant explains a file if its pose is better in most frames, and by a factor that counts: the first over
many frames, the second over few.
"""
_MANY_FRAMES = 10
_NEARER = 0.2
"""Of a file whose joints are not the person's, it also does if its own lie at this share of the distance."""
_FEWEST = 6
"""Shared joints that a frame must have to be compared, as many as the data set's authors ask for."""
_Errors = tuple[np.ndarray, np.ndarray]
_ESCAPE = "pass check=False to read the file all the same"


def check_projection(path: Path, recording: Recording) -> list[float | None]:
    """Distance of each track's joints from its detections, the median over frames, in sizes of the person.

    None where nothing can be compared. DataError for a file that is wrong; the sentence says what explains
    it: left and right swapped, axes that point the wrong way or are exchanged, cameras that lead from camera
    to world; or that the joints lie nowhere near the detections.
    """
    with np.errstate(all="ignore"):
        return [_checked(f"{path}: person {n}", recording, track) for n, track in enumerate(recording.tracks)]


def _checked(where: str, recording: Recording, track: Track) -> float | None:
    variants, size = _variants(recording, track)
    detected = track.detections[:, SHARED_COCO]
    known = track.camera_valid[:, None] & (detected[..., 2] > 0) & np.isfinite(detected).all(-1)
    errors = {name: _errors(pixels, detected[..., :2], known, size) for name, pixels in variants.items()}
    own = errors.pop("", None)
    places = {name: _median(error[0]) for name, error in errors.items() if own is None or _better(error, own)}
    reason = min(places, key=places.get, default=None)
    place = np.inf if own is None else _median(own[0])
    if reason and np.isfinite(places[reason]):
        found = f"{place:.2f} of a person's size off poses2d" if own else "behind the camera"
        put_right = f"{places[reason]:.2f} with that put right"
        raise DataError(f"{where}: {reason}: its joints lie {found}, and {put_right}; {_ESCAPE}")
    if _LOST < place < np.inf:
        found = f"{place:.1f} times a person's size off poses2d"
        raise DataError(f"{where}: its joints lie {found}, expected them on it; {_ESCAPE}")
    return place if np.isfinite(place) else None


def _better(variant: _Errors, own: _Errors) -> bool:
    """Whether a variant explains the file: by the pose in most frames, or by a place that is much nearer."""
    (place, pose), (own_place, own_pose) = variant, own
    both = np.isfinite(pose) & np.isfinite(own_pose)
    if not both.any():
        return False
    wins, usual = (pose < own_pose)[both].mean(), _median(own_pose[both])
    factor = _BETTER if both.sum() >= _MANY_FRAMES else _MUCH_BETTER
    by_pose = usual > _FITS and wins >= _MOST and _median(pose[both]) <= factor * usual
    return by_pose or (_median(own_place) > _LOST and _median(place) <= _NEARER * _median(own_place))


def _variants(recording: Recording, track: Track) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """What may be wrong -> the pixels (N, 12, 2) with that put right, "" for the file as it is; and the size
    (N,) of the person in pixels.
    """
    seen, intrinsics = in_camera(track.joints, recording.cameras), recording.intrinsics
    turned, shift = recording.cameras[:, :3, :3], recording.cameras[:, None, :3, 3]
    back = np.einsum("njc,ncd->njd", track.joints - shift, turned)
    plain = on_image(seen, intrinsics)
    known = np.isfinite(plain).all(-1, keepdims=True)
    size = (np.where(known, plain, -np.inf).max(1) - np.where(known, plain, np.inf).min(1)).max(-1)
    behind = np.sign(np.nan_to_num(seen[track.camera_valid][..., 2])).sum() < 0
    variants = {
        _wrong_axes(across, down, behind): np.where((across, down), 2 * intrinsics[:2, 2] - plain, plain)
        for across in (False, True)
        for down in (False, True)
    } | {
        "cam_poses lead from camera to world": on_image(
            np.where(back[..., 2:] > 0, back, np.nan), intrinsics
        ),
        "x and y are exchanged": on_image(seen[..., [1, 0, 2]], intrinsics),
    }
    shared = {name: pixels[:, SHARED_SMPL] for name, pixels in variants.items()}
    return shared | {"left and right are swapped": shared.get("", plain)[:, _OTHER_SIDE]}, size


def _wrong_axes(across: bool, down: bool, behind: bool) -> str:
    """Which camera axes point the wrong way if mirroring the picture puts it right; a wrong z mirrors too."""
    wrong = {"x": across != behind, "y": down != behind, "z": behind}
    names = [axis for axis, is_wrong in wrong.items() if is_wrong]
    return f"{' and '.join(names)} point{'s' * (len(names) == 1)} the wrong way" if names else ""


def _errors(pixels: np.ndarray, detected: np.ndarray, known: np.ndarray, size: np.ndarray) -> _Errors:
    """Per frame, (N,) each: the median over joints of |pixels - detected| / size, as they lie and with the
    median offset taken away; NaN for a frame with too few. pixels, detected: (N, 12, 2); known: (N, 12).
    """
    offset = (pixels - detected) / size[:, None, None]
    offset[~(known & np.isfinite(offset).all(-1))] = np.nan
    enough = np.isfinite(offset[..., 0]).sum(axis=1) >= _FEWEST
    place, pose = np.full((2, len(offset)), np.nan)
    if not enough.any():
        return place, pose
    offset = offset[enough]
    place[enough] = np.nanmedian(np.linalg.norm(offset, axis=-1), axis=1)
    centred = offset - np.nanmedian(offset, axis=1, keepdims=True)
    pose[enough] = np.nanmedian(np.linalg.norm(centred, axis=-1), axis=1)
    return place, pose


def _median(values: np.ndarray) -> float:
    """Over the finite ones; infinite where there are none."""
    finite = values[np.isfinite(values)]
    return float(np.median(finite)) if len(finite) else np.inf
