"""One labelled person in one image: what every data set's loader gives."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import torch

from kp_helpers.data.errors import DataError
from kp_helpers.data.images import read_image

Point = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class KeypointSample:
    """One person in one frame, with positions in pixels of that frame.

    name: unique within the data set, as `sequence/frame/person`. frame_size: (width, height) in pixels.
    joints: name -> (x, y), a pixel's centre at +0.5; may lie outside the frame, NaN where unknown. visible:
    name -> whether the joint counts. box: (x0, y0, x1, y1) of the whole person, may reach out of the frame.
    skeleton: name -> (x, y) of every joint the data set has, for limb axes and for the other side's joint.
    masks: file with the masks of things and body parts, None where the data set has none.
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

    def image(self) -> torch.Tensor:
        """The whole frame, float32 RGB (3, H, W) in [0,1]; DataError if its size is not `frame_size`."""
        image = read_image(self.image_path)
        size = (image.shape[2], image.shape[1])
        if size != self.frame_size:
            raise DataError(f"{self.image_path}: is {size}, expected {self.frame_size} as its sequence is")
        return image
