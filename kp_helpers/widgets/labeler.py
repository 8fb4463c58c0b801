"""The controls round a `LabelSession`: a picture to click on, and the same by typing and by keys."""

import html
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import ipywidgets as widgets
import matplotlib
import matplotlib.pyplot as plt
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke

from kp_helpers.data import DataError
from kp_helpers.data.images import read_image
from kp_helpers.metrics import mirrored
from kp_helpers.notebook import display
from kp_helpers.widgets.label_session import ABSENT, HIDDEN, VISIBLE, LabelSession, Mark
from kp_helpers.widgets.without_kernel import Control

KEYS = "1-9 joint · v visible · h hidden · a absent · u undo · n, p next and previous picture"
SIDES = {"left": ("#56B4E9", "<"), "right": ("#E69F00", ">"), "": ("#F0E442", "o")}
"""Colour and marker of a side's joints, of the pair that readers with any colour vision tell apart (Okabe and
Ito), and of joints that have no side."""
ENOUGH = 5
"""Labelled pictures that the method asks for."""
_SHARPEST = 1600
"""Pixels of the longer side that are drawn; a camera's picture would be redrawn too slowly."""
_WIDE, _SHARE = 5.4, 0.93
"""Inches of the canvas, and the share of its height that is left of the line above the picture."""
_DOUBLE_CLICK = 0.4
"""Seconds in which a second click on the same spot is taken for the end of a double click."""


class KeypointLabeler(Control):
    """Label the pictures of a folder by clicking, or by typing x and y; saved after every decision.

    folder, joints, file: as for `LabelSession`, which is at `session`. Zoom with the toolbar.
    """

    def __init__(self, folder: str | Path, joints: Sequence[str], file: str | Path):
        self.session = LabelSession(folder, joints, file)
        self._showing, self._shown, self._clicked = False, None, (0.0, None)
        self.canvas = _canvas(*self.session.size)
        self._axis = self.canvas.figure.add_axes((0, 0, 1, _SHARE))
        self._make_controls()
        self.canvas.mpl_connect("button_press_event", self._click)
        self.canvas.mpl_connect("key_press_event", self._key)
        self._show("")

    def go(self, picture: str) -> None:
        """Show a picture, by its path within the folder."""
        self._do(lambda: self.session.go(picture))

    def figure(self, most: int = 10) -> Figure:
        """The first pictures with a label and what is decided of their joints; if none has, that at hand."""
        session, images = self.session, {}
        labelled = [picture for picture in session.pictures if session.marks(picture)]
        for picture in labelled[:most]:
            with suppress(DataError):  # it was lost since it was labelled
                images[picture] = read_image(session.folder / picture, rotation="apply")
        images = images or {session.picture: session.image}
        title = f"{len(labelled)} of {len(session.pictures)} pictures labelled"
        figure, axes = display.grid(len(images), 5, side=2.2, title=title)
        for axis, (picture, image) in zip(axes, images.items(), strict=True):
            _draw(axis, image, session.marks(picture), session.joints, picture[-28:])
        names = [f"{number} {joint}".replace("$", r"\$") for number, joint in enumerate(session.joints, 1)]
        inks = [_ink(joint, VISIBLE) for joint in session.joints]
        handles = [Line2D([], [], label=name, **ink) for name, ink in zip(names, inks, strict=True)]
        handles.append(Line2D([], [], label="open: hidden", **_ink("", HIDDEN)))
        figure.legend(handles=handles, loc="outside lower left", ncols=4, fontsize=8, frameon=False)
        return figure

    def _make_controls(self) -> None:
        session, wide = self.session, widgets.Layout(width="284px")
        self.joint = widgets.Select(options=session.joints, rows=min(len(session.joints), 12), layout=wide)
        self.state = widgets.ToggleButtons(options=(VISIBLE, HIDDEN), style={"button_width": "130px"})
        self.x, self.y = widgets.FloatText(description="x"), widgets.FloatText(description="y")
        for box in (self.x, self.y):
            box.style.description_width = "14px"
            box.layout.width = "92px"
        self.about, self.message = widgets.HTML(layout=wide), widgets.HTML(layout=wide)
        self.joint.observe(lambda change: self._choose("joint", change["new"]), "value")
        self.state.observe(lambda change: self._choose("state", change["new"]), "value")
        self.buttons = {
            "set x, y": lambda: session.place(self.x.value, self.y.value),
            "absent": session.set_absent,
            "undo": session.undo,
            "reload": session.reload,
            "previous": lambda: session.move(-1),
            "next": lambda: session.move(1),
        }
        for name, act in self.buttons.items():
            self.buttons[name] = widgets.Button(description=name, layout=widgets.Layout(width="90px"))
            self.buttons[name].on_click(lambda _, act=act: self._do(act))
        buttons = list(self.buttons.values())
        rows = [widgets.HBox(row) for row in ([self.x, self.y, buttons[0]], buttons[1:4], buttons[4:])]
        keys = widgets.HTML(f"<small>{KEYS}</small>", layout=wide)
        column = [self.about, self.joint, self.state, *rows, keys, self.message]
        self.controls = widgets.HBox([self.canvas, widgets.VBox(column)])

    def _choose(self, what: str, value: str) -> None:
        """Make a joint or state the one at hand, unless the choice was set by `_show` itself."""
        if not self._showing:
            self._do(lambda: setattr(self.session, what, value))

    def _do(self, action: Callable[[], None]) -> None:
        """Act, and show the new state, or the sentence that says why there is none."""
        try:
            action()
            self._show("")
        except (DataError, OSError) as error:
            self._show(str(error))

    def _click(self, event) -> None:
        now, place = time.monotonic(), (event.x, event.y)
        again = place == self._clicked[1] and now - self._clicked[0] < _DOUBLE_CLICK
        self._clicked = now, place
        moving = self.canvas.toolbar.mode  # the toolbar's pan or zoom has the mouse
        if event.button == 1 and event.inaxes is self._axis and not (moving or event.dblclick or again):
            x, y = (int(100 * value) / 100 for value in (event.xdata, event.ydata))
            self._do(lambda: self.session.place(x, y))

    def _key(self, event) -> None:
        session, key = self.session, event.key or ""
        actions = {"n": lambda: session.move(1), "p": lambda: session.move(-1)}
        actions |= {"u": session.undo, "a": session.set_absent}
        if key in actions:
            self._do(actions[key])
        elif key in ("v", "h"):
            self._choose("state", VISIBLE if key == "v" else HIDDEN)
        elif key in "123456789"[: len(session.joints)] and key:
            self._choose("joint", session.joints[int(key) - 1])

    def _show(self, told: str) -> None:
        """Put the session's state into the controls and the picture, and `told` below them.

        Names and sentences are text, whatever they hold.
        """
        session, marks = self.session, self.session.marks()
        self._showing = True  # the choosers' observers must not take this for a reader's choice
        said = {joint: f": {mark.state}" for joint, mark in marks.items()}
        labels = [f"{number} {joint}{said.get(joint, '')}" for number, joint in enumerate(session.joints, 1)]
        self.joint.options = list(zip(labels, session.joints, strict=True))
        self.joint.value, self.state.value = session.joint, session.state
        self._showing = False
        own = marks.get(session.joint)
        self.x.value, self.y.value = own.point if own and own.point else (0.0, 0.0)
        at, done = session.pictures.index(session.picture) + 1, sum(map(session.is_done, session.pictures))
        progress = f"picture {at} of {len(session.pictures)}, {done} done" + ", go on" * (done >= ENOUGH)
        self.about.value = f"<b>{html.escape(session.picture)}</b><br>{progress}"
        said = [f"<b>{html.escape(told)}</b>"] if told else []
        said += [f"skipped: {html.escape(sentence)}" for sentence in session.skipped]
        self.message.value = "<br>".join(said)
        view = {"xlim": self._axis.get_xlim(), "ylim": self._axis.get_ylim()}
        self._axis.clear()
        asked = f"click on: {session.joint} ({session.state})"
        if session.is_done(session.picture):
            asked = f"a click moves {session.joint}" if session.joint else "all joints are decided"
        _draw(self._axis, session.image, marks, session.joints, asked)
        if self._shown == session.picture:  # the zoom stays
            self._axis.set(**view)
        self._shown = session.picture
        self.canvas.draw_idle()


def side_of(joint: str) -> str:
    """ "left" or "right" where the joint's name says so, else ""."""
    other = mirrored(joint)
    if other is None:
        return ""
    return "left" if joint < other else "right"  # they differ in left and right, or l and r


def _draw(axis: Axes, image: torch.Tensor, marks: Mapping[str, Mark], joints: Sequence[str], title: str):
    """A picture (3, H, W) in its pixels, y downwards, and its joints by number: visible ones are filled."""
    height, width = image.shape[1:]
    pixels = F.avg_pool2d(image, -(-max(height, width) // _SHARPEST)).permute(1, 2, 0).numpy()
    axis.imshow(pixels, extent=(0, width, height, 0))
    axis.set_title(title, fontsize=9, loc="left", parse_math=False)  # a file's name is no formula
    axis.axis("off")
    text = {"color": "white", "fontsize": 9, "path_effects": [withStroke(linewidth=2, foreground="black")]}
    for joint, mark in marks.items():
        if mark.point is not None:
            number = str(joints.index(joint) + 1)
            axis.plot(*mark.point, **_ink(joint, mark.state))
            axis.annotate(number, mark.point, xytext=(7, 4), textcoords="offset points", **text)
    absent = [str(joints.index(joint) + 1) for joint, mark in marks.items() if mark.state == ABSENT]
    if absent:
        axis.text(0.02, 0.02, f"not there: {', '.join(absent)}", transform=axis.transAxes, **text)


def _ink(joint: str, state: str) -> dict:
    """How a joint is drawn: the side told by colour and by shape."""
    colour, marker = SIDES[side_of(joint)]
    fill = "none" if state == HIDDEN else "full"
    outline = [withStroke(linewidth=3.5, foreground="black")]
    ink = {"marker": marker, "markersize": 9, "markeredgewidth": 1.8, "linestyle": "none"}
    return {**ink, "color": colour, "fillstyle": fill, "path_effects": outline}


def _canvas(width: int, height: int) -> widgets.DOMWidget:
    """A canvas of ipympl of a picture's proportions; its import leaves how other figures are shown."""
    backend = matplotlib.get_backend()
    plt.switch_backend(backend)  # set up before, so that it is put back as it sets itself up
    with matplotlib.rc_context():
        from ipympl.backend_nbagg import Canvas, FigureManager

        plt.switch_backend(backend)
    aspect = min(max(height / width, 0.5), 1.2)
    canvas = Canvas(Figure(figsize=(_WIDE, _WIDE * aspect / _SHARE)))
    manager = FigureManager(canvas, 0)
    canvas.mpl_disconnect(manager.key_press_handler_id)  # matplotlib's own keys: p would pan, h go home
    canvas.header_visible, canvas.resizable = False, False
    canvas.toolbar_visible, canvas.toolbar_position = True, "top"  # hovering, it would cover joints
    return canvas
