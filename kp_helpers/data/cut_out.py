"""Squares cut out of a data set's frames, put into a plain folder of pictures like somebody's own."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from kp_helpers.data.coco import write_coco
from kp_helpers.data.errors import DataError
from kp_helpers.data.sample import KeypointSample
from kp_helpers.geometry import Square
from kp_helpers.store import replace_file

TRUTH, LABELS = "truth.json", "labels.json"


def cut_out(
    samples: Sequence[KeypointSample], squares: Sequence[Square], folder: str | Path, size: int, labelled: int
) -> Path:
    """Write the square that each sample shows as a PNG of `size` x `size`, and two files of labels (COCO).

    TRUTH has the visible joints of all pictures, LABELS those of the first `labelled`. A LABELS that is there
    already is kept: somebody may have worked on it. Returns the folder.
    """
    folder = Path(folder)
    if not 0 < labelled <= len(samples):
        raise DataError(f"labelled is {labelled}, expected 1 to {len(samples)}, the number of pictures")
    own = [_cut(*pair, folder, size) for pair in zip(samples, squares, strict=True)]
    points = [{name: p for name, p in one.joints.items() if one.visible[name]} for one in own]
    write_coco(folder / TRUTH, own, points, folder)
    if not (folder / LABELS).exists():
        write_coco(folder / LABELS, own[:labelled], points[:labelled], folder)
    return folder


def _cut(sample: KeypointSample, square: Square, folder: Path, size: int) -> KeypointSample:
    """One picture, written, as a sample whose positions are in its own pixels."""
    path = folder / f"{sample.name.replace('/', '_')}.png"
    cropped = square.crop(sample.image(), size).clamp(0, 1)
    pixels = np.asarray((255 * cropped).round().byte().permute(1, 2, 0))
    replace_file(path, lambda partial: Image.fromarray(pixels).save(partial))
    joints = {name: tuple((size * square.to_square(p)).tolist()) for name, p in sample.joints.items()}
    inside = {name: all(0 <= value < size for value in point) for name, point in joints.items()}
    corners = (size * square.to_square([sample.box[:2], sample.box[2:]])).flatten().tolist()
    visible = {name: sample.visible[name] and inside[name] for name in joints}
    about = {"image_path": path, "frame_size": (size, size), "box": tuple(corners), "pixels": None}
    return replace(sample, joints=joints, visible=visible, **about)
