"""One labelled person in one image, and the sequence of them that every data set's loader is."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from kp_helpers.data.errors import DataError
from kp_helpers.data.images import read_image

Point = tuple[float, float]
UNKNOWN, OUTSIDE = "not known", "outside the frame"
"""Why a joint may not count, whatever the data set: no finite position, or one that is not in the picture."""


@dataclass(frozen=True, kw_only=True)
class KeypointSample:
    """One person in one frame, with positions in pixels of that frame.

    name: unique within the data set, as `sequence/frame/person`. frame_size: (width, height) in pixels.
    joints: name -> (x, y), a pixel's centre at +0.5; may lie outside the frame, NaN where unknown. visible:
    name -> whether the joint counts. box: (x0, y0, x1, y1) of the whole person, may reach out of the frame.
    skeleton: name -> (x, y) of every joint the data set has, for limb axes and for the other side's joint.
    masks: file with the masks of things and body parts, None where the data set has none. pixels: gives the
    image where it is not simply `image_path` decoded: an entry of a larger file, a masked or turned image.
    """

    name: str
    image_path: Path
    frame_size: tuple[int, int]
    joints: Mapping[str, Point]
    visible: Mapping[str, bool]
    box: tuple[float, float, float, float]
    skeleton: Mapping[str, Point] = field(default_factory=dict)
    masks: Path | None = None
    sequence: str = ""
    frame: int = 0
    person: int = 0
    pixels: Callable[[], torch.Tensor] | None = None

    def image(self) -> torch.Tensor:
        """The whole frame, float32 RGB (3, H, W) in [0,1]; DataError if its size is not `frame_size`."""
        image = self.pixels() if self.pixels else read_image(self.image_path)
        size = (image.shape[2], image.shape[1])
        if size != self.frame_size:
            raise DataError(f"{self.image_path}: is {size}, expected {self.frame_size} as its labels say")
        return image


class Samples(Sequence):
    """A data set: samples in a fixed order, built when they are asked for.

    left_out: reason -> how many samples of the files were left out. masked: reason -> how many joints that
    were asked for do not count, over all samples. blank: how many samples show none of the joints; such a
    sample stays, and no measure counts it.
    """

    def __init__(self):
        self.left_out: dict[str, int] = {}
        self.masked: dict[str, int] = {}
        self.blank = 0

    @abstractmethod
    def _sample(self, index: int) -> KeypointSample:
        """The sample at an index from 0 to the length."""

    def __getitem__(self, index):
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        return self._sample(range(len(self))[index])

    def _count(self, reasons: np.ndarray) -> None:
        """Count why joints (samples, joints) do not count; an empty reason is a joint that does."""
        for reason, number in zip(*np.unique(reasons, return_counts=True), strict=True):
            if reason:
                self.masked[str(reason)] = self.masked.get(str(reason), 0) + int(number)
        self.blank += int((reasons != "").all(axis=1).sum()) if reasons.shape[1] else 0

    def summary(self) -> str:
        """What was read and what was not, in a line each; reasons that did not occur are left away."""
        lines = [f"{len(self)} samples"]
        for title, counts in (("left out", self.left_out), ("joints that do not count", self.masked)):
            told = ", ".join(f"{number} {reason}" for reason, number in counts.items() if number)
            lines.append(f"{title}: {told or 'none'}")
        return "\n".join([*lines, f"samples without any joint that counts: {self.blank}"])


def why_hidden(points: np.ndarray, sizes: np.ndarray | Sequence[int]) -> np.ndarray:
    """Reasons (..., K) why points (..., K, 2) do not count: UNKNOWN, OUTSIDE, or "" for one that does.

    sizes: (width, height) of the frame in pixels, (2,) or (..., 2). A joint outside is masked, never moved.
    """
    sizes = np.asarray(sizes)[..., None, :]
    with np.errstate(invalid="ignore"):
        inside = ((points >= 0) & (points < sizes)).all(-1)
    return np.where(np.isfinite(points).all(-1), np.where(inside, "", OUTSIDE), UNKNOWN)
