"""A tiny 3DPW folder in the real format: Python-2 pickles of protocol 2, JPEG frames."""

import io
import pickle
import struct
from pathlib import Path

import numpy as np
from PIL import Image

SMPL = (16, 18, 20, 1, 4, 7, 17, 19, 21, 2, 5, 8)
COCO = (5, 6, 7, 11, 12, 13, 2, 3, 4, 8, 9, 10)
"""Shoulder to ankle, left then right, in `jointPositions` and in `poses2d`."""
INTRINSICS = np.array([[60.0, 0, 32], [0, 50.0, 24], [0, 0, 1]])


class Python2Pickler(pickle._Pickler):
    """Writes as Python 2 did: text as 8-bit strings in latin1, and numpy under its old module names."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_text(self, value) -> None:
        data = value.encode("latin1") if isinstance(value, str) else value
        self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_text

    def save_global(self, value, name=None) -> None:
        module = value.__module__.replace("numpy._core", "numpy.core")
        self.write(pickle.GLOBAL + f"{module}\n{name or value.__qualname__}\n".encode())
        self.memoize(value)

    dispatch[type] = dispatch[type(np.dot)] = dispatch[type(len)] = dispatch[type(struct.pack)] = save_global


def python2_bytes(content) -> bytes:
    """The content as Python 2 would have pickled it with protocol 2."""
    file = io.BytesIO()
    Python2Pickler(file, protocol=2, fix_imports=False).dump(content)
    return file.getvalue()


def sequence_content(name: str, frames: int = 3, people: int = 1, seed: int = 0) -> dict:
    """Every key of a 3DPW sequence; people stand about 3 m in front of a camera that moves a little.

    Joints are a cloud of points, and detections lie within a pixel of them, save those of the face.
    """
    rng = np.random.default_rng([seed, *name.encode()])
    cameras = np.tile(np.eye(4), (frames, 1, 1))
    cameras[:, 0, 3] = np.linspace(0, 0.1, frames)
    detections = np.concatenate([rng.uniform(5, 40, (frames, 2, 18)), np.ones((frames, 1, 18))], axis=1)
    joints = rng.normal((0, 0, 3), 0.3, (people, frames, 24, 3))
    detected = [detections.copy() for _ in range(people)]
    for person in range(people):
        shown = joints[person][:, SMPL, :2] + cameras[:, None, :2, 3]
        shown = shown / joints[person][:, SMPL, 2:] * (60, 50) + (32, 24)
        offset = (detections[:, :2, COCO] - 22.5) / 35
        detected[person][:, :2, COCO] = shown.transpose(0, 2, 1) + offset
    return {
        "sequence": name,
        "genders": ["m", "f"][:people],
        "poses": [np.zeros((frames, 72)) for _ in range(people)],
        "trans": [np.zeros((frames, 3)) for _ in range(people)],
        "poses_60Hz": [np.zeros((2 * frames, 72)) for _ in range(people)],
        "trans_60Hz": [np.zeros((2 * frames, 3)) for _ in range(people)],
        "img_frame_ids": np.arange(frames) * 2,
        "betas": [np.zeros(10) for _ in range(people)],
        "betas_clothed": [np.zeros(10) for _ in range(people)],
        "v_template_clothed": [np.zeros((5, 3)) for _ in range(people)],
        "texture_maps": [],
        "poses2d": detected,
        "jointPositions": [track.reshape(frames, 72) for track in joints],
        "cam_poses": cameras,
        "cam_intrinsics": INTRINSICS.copy(),
        "campose_valid": [np.ones(frames) for _ in range(people)],
    }


def by_hand(content: dict, person: int, frame: int, number: int) -> tuple[float, float]:
    """u = fx x / z + cx with the fixture's camera, which only moves sideways; number: the joint's."""
    x, y, z = content["jointPositions"][person][frame].reshape(24, 3)[number]
    x += content["cam_poses"][frame][0, 3]
    return INTRINSICS[0, 0] * x / z + INTRINSICS[0, 2], INTRINSICS[1, 1] * y / z + INTRINSICS[1, 2]


def write_sequence(root: Path, split: str, content: dict, size: tuple[int, int] = (64, 48)) -> Path:
    """One sequence's pickle and grey frames; returns the pickle's path."""
    name, frames = content["sequence"], len(content["cam_poses"])
    images, path = root / "imageFiles" / name, root / "sequenceFiles" / split / f"{name}.pkl"
    images.mkdir(parents=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    for frame in range(frames):
        Image.new("RGB", size, (90 + frame, 90, 90)).save(images / f"image_{frame:05d}.jpg")
    path.write_bytes(python2_bytes(content))
    return path


def write_threedpw(root: Path, split: str = "test", sequences: int = 2, **shape) -> Path:
    """A folder with a few sequences of one split, see `sequence_content` for their shape."""
    for number in range(sequences):
        write_sequence(root, split, sequence_content(f"walk_{number:02d}", **shape))
    return root
