"""Pictures with panoptic segments: a colour a class, and its name in the middle of the segment."""

from collections.abc import Sequence

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes

from kp_helpers.notebook.display.pictures import picture

_HUES = 20
_LEAST_NAMED = 0.012
"""Share of the picture from which on a segment is named; less has no room for a word."""


def panoptic(
    axis: Axes, image, segments, labels: Sequence[str], classes: Sequence[str], title: str = ""
) -> Axes:
    """Segments (H, W) over the image (H, W, 3) uint8: 0 is none, n + 1 is row n of `labels`.

    classes: all that there are, which fixes the colour of each.
    """
    colours = np.array(sns.color_palette("husl", min(_HUES, len(classes))))
    hues = [colours[7 * classes.index(label) % len(colours)] for label in labels]
    paint = np.array([np.full(3, 0.15), *hues])[segments]
    mixed = 0.35 * np.asarray(image) / 255 + 0.65 * paint
    picture(axis, np.moveaxis(mixed, -1, 0), title)
    height, width = segments.shape
    for number, label in enumerate(labels, start=1):
        rows, columns = np.nonzero(segments == number)
        if len(rows) >= _LEAST_NAMED * segments.size:
            middle = np.argmin(np.abs(rows - rows.mean()) + np.abs(columns - columns.mean()))
            place = ((columns[middle] + 0.5) / width, (rows[middle] + 0.5) / height)
            axis.text(*place, label, fontsize=6, ha="center", va="center", color="black", clip_on=True)
    return axis
