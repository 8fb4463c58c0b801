"""Labelled joints drawn on pictures: the side is told by colour and by shape, the joint by its number."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from kp_helpers.data import DataError
from kp_helpers.data.images import read_image
from kp_helpers.notebook import display
from kp_helpers.widgets.label_file import ABSENT, HIDDEN, VISIBLE, Mark
from kp_helpers.widgets.label_session import LabelSession

SIDES = {"left": ("#56B4E9", "<"), "right": ("#E69F00", ">"), "": ("#F0E442", "o")}
"""Colour and marker of a side's joints, of the pair that readers with any colour vision tell apart (Okabe and
Ito), and of joints that have no side."""
_SHARPEST = 1600
"""Pixels of the longer side that are drawn; a camera's picture would be redrawn too slowly."""


def labels_figure(session: LabelSession, most: int = 10) -> Figure:
    """The first pictures with a label and what is decided of their joints; if none has, that at hand."""
    labelled = [picture for picture in session.pictures if session.file.marks(picture)]
    shown = _readable(session, labelled, most) or {session.picture: session.image()}
    title = f"{len(labelled)} of {len(session.pictures)} pictures labelled"
    figure, axes = display.grid(len(shown), 5, side=2.2, title=title)
    for axis, (picture, image) in zip(axes, shown.items(), strict=True):
        draw_picture(axis, image, _shortened(picture))
        draw_marks(axis, session.file.marks(picture), session.joints)
    place = {"loc": "outside lower left", "ncols": 4, "fontsize": 8, "frameon": False}
    figure.legend(handles=legend(session.joints), **place)
    return figure


def draw_picture(axis: Axes, image: torch.Tensor, title: str = "", fontsize: int = 8) -> None:
    """An image (3, H, W) in [0,1] with axes in its pixels, y downwards."""
    height, width = image.shape[1:]
    step = -(-max(height, width) // _SHARPEST)
    pixels = (255 * F.avg_pool2d(image, step)).round().byte().permute(1, 2, 0)
    axis.imshow(np.asarray(pixels), extent=(0, width, height, 0))
    axis.set_title(title, fontsize=fontsize, loc="left", parse_math=False)  # a file's name is no formula
    axis.axis("off")


def draw_marks(axis: Axes, marks: Mapping[str, Mark], joints: Sequence[str], size: float = 9) -> None:
    """Visible joints filled, hidden ones open, each with its number among `joints`; absent ones are told."""
    for joint, mark in marks.items():
        if mark.point is not None:
            axis.plot(*mark.point, **_ink(joint, mark.state, size))
            number = str(joints.index(joint) + 1)
            offset = {"xytext": (size * 0.75, size * 0.4), "textcoords": "offset points"}
            text = axis.annotate(number, mark.point, color="white", fontsize=size, zorder=6, **offset)
            text.set_path_effects([withStroke(linewidth=2, foreground="black")])
    absent = [str(joints.index(joint) + 1) for joint, mark in marks.items() if mark.state == ABSENT]
    if absent:
        told = {"transform": axis.transAxes, "fontsize": 7, "color": "white", "va": "bottom"}
        text = axis.text(0.02, 0.02, f"not there: {', '.join(absent)}", **told)
        text.set_path_effects([withStroke(linewidth=2, foreground="black")])


def legend(joints: Sequence[str]) -> list[Line2D]:
    """A marker for each joint with its number and name, and what an open one means."""
    named = [
        Line2D([], [], label=_label(f"{number} {joint}"), **_ink(joint, VISIBLE, 7))
        for number, joint in enumerate(joints, 1)
    ]
    hidden = {"color": "none", "marker": "o", "markeredgecolor": "black", "markersize": 7}
    return [*named, Line2D([], [], label="open: hidden", **hidden)]


def side(joint: str) -> str:
    """ "left" or "right" where the joint's name says so, else ""."""
    words = joint.lower().replace("-", "_").replace(" ", "_").split("_")
    return next((name for name in ("left", "right") if {name, name[0]} & set(words)), "")


def _readable(session: LabelSession, pictures: Sequence[str], most: int) -> dict[str, torch.Tensor]:
    """Name -> image of the first pictures; one that was lost since it was labelled is left away."""
    found = {}
    for picture in pictures[:most]:
        with suppress(DataError):
            found[picture] = read_image(session.folder / picture, rotation="apply")
    return found


def _ink(joint: str, state: str, size: float) -> dict:
    colour, marker = SIDES[side(joint)]
    ink = {"marker": marker, "markersize": size, "color": "none"}
    if state != HIDDEN:
        return {**ink, "markerfacecolor": colour, "markeredgecolor": "black"}
    outline = [withStroke(linewidth=3.5, foreground="black")]
    edge = {"markeredgecolor": colour, "markeredgewidth": 1.8}
    return {**ink, "markerfacecolor": "none", **edge, "path_effects": outline}


def _label(text: str) -> str:
    """Text of a legend, in which matplotlib would read what stands between dollars as a formula."""
    return text.replace("$", r"\$")


def _shortened(name: str, most: int = 28) -> str:
    return name if len(name) <= most else "…" + name[1 - most :]
