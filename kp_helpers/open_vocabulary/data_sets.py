"""Pictures with masks to train, choose and test with: of the figures world or a COCO panoptic folder."""

from collections.abc import Iterable
from pathlib import Path

from kp_helpers.data.panoptic import PanopticPictures, read_coco_panoptic
from kp_helpers.figures.panoptic import panoptic_pictures

WORLD = "figures"
PARTS = ("train", "validation", "test")
_FIRST_SEEDS = {"train": 3_000_000, "validation": 4_000_000, "test": 5_000_000}
"""No scene of them was among the frozen model's training pictures."""
_SHARES = {"train": (0.0, 0.6), "validation": (0.6, 0.8), "test": (0.8, 1.0)}
"""Of a folder's pictures, in their order."""


def pictures(
    data: str | Path, part: str, count: int, size: int, without: Iterable[str] = ()
) -> PanopticPictures:
    """At most `count` pictures of a part: scenes of the world free of the classes `without`, or a folder's.

    data: "figures", or a folder in COCO's panoptic format. size: side in pixels, to which a folder's are
    squashed. Of a folder the segments of those classes stay; training leaves them out.
    """
    if str(data) == WORLD:
        return panoptic_pictures(_FIRST_SEEDS[part], count, without, size)
    every = read_coco_panoptic(Path(data), size)
    first, last = (round(share * len(every.rows)) for share in _SHARES[part])
    return PanopticPictures(every.rows[first:last][:count], every.classes, every.things)
