"""Pictures with heat maps and keypoints on them."""

from collections.abc import Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#e6550d", "#3182bd", "#756bb1", "#31a354", "#636363")
"""In the order in which methods are given: the one in question first."""
TRUE = "#00e676"
HEAT = "inferno"
_LEGEND_COLUMN = 1.35
"""Inches that a method's name takes in a legend."""
RC = {
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#999999",
    "figure.dpi": 100,
    "legend.frameon": False,
}


def grid(
    count: int, columns: int, *, side: float = 1.9, title: str = "", room: float = 0.25
) -> tuple[Figure, list[Axes]]:
    """An empty figure with `count` square places for pictures, `columns` a row, `side` inches each.

    room: inches above each picture for a title of its own.
    """
    columns = min(columns, count)
    rows = -(-count // columns)
    with plt.rc_context(RC):
        size = (side * columns, (side + room) * rows + (0.35 if title else 0))
        figure, axes = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)
    plt.close(figure)
    for axis in axes.flat:
        axis.axis("off")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=10, parse_math=False)
    return figure, list(axes.flat[:count])


def picture(axis: Axes, image, title: str = "") -> Axes:
    """One image (3, H, W) in [0,1], or (H, W, 3) uint8 as the renderer draws it."""
    image = np.asarray(image)
    axis.imshow(image if image.dtype == np.uint8 else np.moveaxis(image, 0, -1), extent=(0, 1, 1, 0))
    height, width = image.shape[:2] if image.dtype == np.uint8 else image.shape[1:]
    axis.set_aspect(height / width)
    lines = title.count("\n") + 1
    # a title may hold a file's name or a caption's word: dollars in it are no formula
    axis.set_title(title, fontsize=8 if lines < 3 else 7, parse_math=False)
    return axis


def pictures(
    images: Iterable, titles: Sequence[str] = (), *, columns: int = 5, side: float = 1.9, title: str = ""
) -> Figure:
    """A grid of pictures, each with its title if there are any."""
    images = list(images)
    figure, axes = grid(len(images), columns, side=side, title=title, room=_room(titles))
    for axis, image, name in zip(axes, images, titles or [""] * len(images), strict=True):
        picture(axis, image, name)
    return figure


def segments(masks: Iterable, *, columns: int = 4, side: float = 1.9, title: str = "") -> Figure:
    """Masks (H, W) of integers, each number in a colour of its own."""
    masks = list(masks)
    figure, axes = grid(len(masks), columns, side=side, title=title, room=0)
    for axis, mask in zip(axes, masks, strict=True):
        axis.imshow(mask, cmap="tab20", interpolation="nearest")
    return figure


def heat(axis: Axes, image, heat_map, title: str = "") -> Axes:
    """A heat map over the image in grey, shown from its own minimum to its own maximum."""
    grey = np.repeat(np.asarray(image).mean(axis=0, keepdims=True), 3, axis=0)
    picture(axis, 0.35 + 0.65 * grey, title)
    heat_map = np.asarray(heat_map)
    lowest, highest = float(heat_map.min()), float(heat_map.max())
    share = (heat_map - lowest) / max(highest - lowest, 1e-12)
    axis.imshow(share, cmap=HEAT, vmin=0, vmax=1, alpha=0.15 + 0.75 * share, extent=(0, 1, 1, 0), zorder=2)
    axis.set_aspect(image.shape[1] / image.shape[2])
    return axis


def heat_maps(
    image, maps: Mapping[str, object], *, columns: int = 6, side: float = 1.7, title: str = ""
) -> Figure:
    """The image, then each named map over it; colours go from each map's minimum to its maximum."""
    figure, axes = grid(len(maps) + 1, columns, side=side, title=title)
    picture(axes[0], image, "the image")
    for axis, (name, heat_map) in zip(axes[1:], maps.items(), strict=True):
        heat(axis, image, heat_map, name)
    return figure


def mark(
    axis: Axes,
    points,
    colour: str,
    label: str = "",
    *,
    true: bool = False,
    doubtful: bool = False,
    size: float = 45,
) -> None:
    """Points (n, 2) in [0,1]: the truth as open circles, predictions as crosses, doubtful ones as question
    marks; all legible on any picture.
    """
    points = np.atleast_2d(np.asarray(points))
    shape = {"marker": "o", "facecolors": "none"} if true else {"marker": "$?$" if doubtful else "x"}
    thin = 1.6 * min(1.0, size / 30)
    for width, shade, name in ((2 * thin, "#000000", None), (thin, colour, label or None)):
        ink = {"edgecolors": shade} if true else {"c": shade}
        axis.scatter(*points.T, s=size, linewidths=width, label=name, zorder=4, clip_on=True, **shape, **ink)


def keypoints(
    images: Iterable,
    predicted: Mapping[str, object],
    true=None,
    doubtful: Mapping[str, object] | None = None,
    *,
    titles: Sequence[str] = (),
    columns: int = 5,
    side: float = 1.9,
    title: str = "",
) -> Figure:
    """Pictures with points: predicted, name of a method -> (n, 2); true (n, 2) or None. doubtful: name ->
    (n,) bool, of points that are drawn as question marks.
    """
    images = list(images)
    figure, axes = grid(len(images), columns, side=side, title=title, room=_room(titles))
    for number, axis in enumerate(axes):
        picture(axis, images[number], titles[number] if titles else "")
        if true is not None:
            mark(axis, true[number], TRUE, "labelled", true=True, size=70)
        for colour, (name, points) in zip(COLOURS, predicted.items(), strict=False):
            doubted = doubtful is not None and bool(doubtful[name][number])
            mark(axis, points[number], colour, name, doubtful=doubted)
        _keep_to_picture(axis)
    legend(figure, axes[0])
    return figure


def numbered(images: Iterable, points, *, title: str = "") -> Figure:
    """Pictures with K keypoints each, (n, K, 2): a keypoint has the same colour and number in all of them."""
    images = list(images)
    figure, axes = grid(len(images), 5, side=1.9, title=title, room=0)
    palette = sns.color_palette("husl", len(points[0]))
    for axis, image, row in zip(axes, images, np.asarray(points), strict=True):
        picture(axis, image)
        for number, (point, colour) in enumerate(zip(row, palette, strict=True)):
            axis.scatter(*point, s=70, color=colour, edgecolors="white", linewidths=0.8, zorder=4)
            axis.text(*point, str(number), ha="center", va="center", fontsize=5.5, zorder=5)
        _keep_to_picture(axis)
    return figure


def before_after(images: Sequence, before: Sequence, after: Sequence, true, *, title: str = "") -> Figure:
    """Two rows of maps over the same images, each with its maximum and the labelled joint (n, 2)."""
    count = len(images)
    figure, axes = grid(2 * count, count, side=1.7, title=title)
    for name, maps, row in (("before", before, axes[:count]), ("after", after, axes[count:])):
        for axis, image, heat_map, point in zip(row, images, maps, true, strict=True):
            heat(axis, image, heat_map, name)
            mark(axis, point, TRUE, "labelled", true=True, size=60)
            mark(axis, _maximum(heat_map), COLOURS[1], "the map's maximum")
            _keep_to_picture(axis)
    legend(figure, axes[0])
    return figure


def legend(figure: Figure, *axes: Axes) -> None:
    """One legend below the whole figure, with what its axes show, in as many columns as have room."""
    entries = {}
    for axis in axes:
        handles, labels = axis.get_legend_handles_labels()
        entries.update(zip(labels, handles, strict=True))
    if entries:
        columns = min(len(entries), max(1, int(figure.bbox.width / figure.dpi / _LEGEND_COLUMN)))
        place = {"loc": "outside lower left", "ncols": columns, "fontsize": 8, "frameon": False}
        figure.legend(entries.values(), entries.keys(), **place)


def _room(titles: Sequence[str]) -> float:
    """Inches that the longest of the titles needs."""
    return max((0.12 + 0.12 * (title.count("\n") + 1) for title in titles), default=0.0)


def _maximum(heat_map) -> tuple[float, float]:
    heat_map = np.asarray(heat_map)
    row, column = np.unravel_index(heat_map.argmax(), heat_map.shape)
    return (column + 0.5) / heat_map.shape[1], (row + 0.5) / heat_map.shape[0]


def _keep_to_picture(axis: Axes) -> None:
    axis.set(xlim=(0, 1), ylim=(1, 0))


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
