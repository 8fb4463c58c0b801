"""Human3.6M, unaligned: whole frames of four cameras with the same 32 points.

`S{n}/<action>/imageSequence/<camera>/img_000001.jpg`, and `S{n}/<action>/annot.h5` with `camera` (M,),
`frame` (M,) and `pose/2d` (M, 32, 2) as (x, y) in pixels.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import h5py
import numpy as np

from kp_helpers.data.benchmarks.human36m import ACTIONS, JOINTS, SPLITS, labelled
from kp_helpers.data.errors import DataError, known
from kp_helpers.data.images import image_size, refuse_all
from kp_helpers.data.sample import KeypointSample, Samples


class Human36MUnaligned(Samples):
    """One sample a picture that is there; annotated frames without a picture are left out and counted.

    A picture without exactly one annotation of its camera and frame is an error. The box is the extent of all
    32 points, and `masked` stays empty, since frame sizes are read with their sample.
    """

    def __init__(self, root: str | Path, split: str, joints: Sequence[str] | None = None):
        super().__init__()
        self.root, self.split = Path(root), known(split, tuple(SPLITS), "split")
        self.joints = tuple(known(joint, JOINTS, "joint") for joint in (JOINTS if joints is None else joints))
        self.left_out = {"annotated without a picture": 0}
        self._entries = [
            entry for n in SPLITS[split] for take in _takes(self.root / f"S{n}") for entry in self._read(take)
        ]
        if not self._entries:
            raise DataError(f"{self.root}: holds no picture of {', '.join(ACTIONS)}")

    def __len__(self) -> int:
        return len(self._entries)

    def _read(self, take: Path) -> Iterator[tuple[Path, np.ndarray]]:
        """Picture and points (32, 2) in pixels, by camera and frame."""
        cameras, frames, poses = _annotations(take / "annot.h5")
        rows: dict[tuple[str, int], list[int]] = {}
        for row, key in enumerate(zip(cameras.astype(str).tolist(), frames.tolist(), strict=True)):
            rows.setdefault(key, []).append(row)
        pictures = sorted((take / "imageSequence").glob("*/img_*.jpg"))
        found = {path: rows.get((path.parent.name, _frame(path)), []) for path in pictures}
        refuse_all(
            [f"{p} has {len(own)} annotations, expected 1" for p, own in found.items() if len(own) != 1]
        )
        self.left_out["annotated without a picture"] += len(cameras) - len(pictures)
        yield from ((path, poses[own[0]]) for path, own in found.items())

    def _sample(self, index: int) -> KeypointSample:
        path, points = self._entries[index]
        name = path.relative_to(self.root)
        return labelled(
            path,
            points / image_size(path),
            self.joints,
            name=name.with_suffix("").as_posix(),
            sequence=name.parent.as_posix(),
            frame=_frame(path),
        )


def _takes(subject: Path) -> list[Path]:
    return sorted(path for path in subject.glob("*/") if path.name.startswith(ACTIONS))


def _frame(path: Path) -> int:
    number = path.stem.removeprefix("img_")
    return int(number) if number.isdecimal() else -1


def _annotations(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cameras (M,) and frames (M,), both whole numbers, and points (M, 32, 2)."""
    try:
        with h5py.File(path) as file:
            cameras, frames, poses = (file[key][...] for key in ("camera", "frame", "pose/2d"))
    except (OSError, KeyError, AttributeError, TypeError) as error:
        raise DataError(f"{path}: cannot be read as HDF5 with camera, frame and pose/2d ({error})") from None
    shapes, wanted = (cameras.shape, frames.shape, poses.shape), ((len(frames),),) * 2
    if shapes != (*wanted, (len(frames), len(JOINTS), 2)) or "f" in (cameras.dtype.kind, frames.dtype.kind):
        raise DataError(
            f"{path}: camera, frame and pose/2d have shapes {shapes}, expected (M,), (M,), (M, 32, 2)"
        )
    return cameras, frames, poses.astype(float)
