"""The controls round a `LabelSession`: a picture to click on, and the same by typing and by keys."""

import html
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import ipywidgets as widgets
import matplotlib
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from kp_helpers.data import DataError
from kp_helpers.widgets.label_file import HIDDEN, VISIBLE
from kp_helpers.widgets.label_pictures import draw_marks, draw_picture, labels_figure, side
from kp_helpers.widgets.label_session import LabelSession
from kp_helpers.widgets.still import Still, lines

KEYS = "1-9 joint · v visible · h hidden · a absent · u undo · n, p next and previous picture"
_WIDE, _SHARE = 5.4, 0.93
"""Inches of the canvas, and the share of its height that is left of the line above the picture."""
_DOUBLE_CLICK = 0.4
"""Seconds in which a second click on the same spot is taken for the end of a double click."""


class KeypointLabeler(Still):
    """Label the pictures of a folder by clicking, or by typing x and y; saved after every decision.

    folder, joints, file: as for `LabelSession`, which is at `session`. Zoom with the wheel or the toolbar.
    """

    def __init__(self, folder: str | Path, joints: Sequence[str], file: str | Path):
        self.session = LabelSession(folder, joints, file)
        self._showing, self._shown, self._clicked = False, None, (0.0, None)
        self.canvas = _canvas(*self.session.size)
        self._axis = self.canvas.figure.add_axes((0, 0, 1, _SHARE))
        self._make_controls()
        for kind, react in {
            "button_press": self._click,
            "key_press": self._key,
            "scroll": self._zoom,
        }.items():
            self.canvas.mpl_connect(f"{kind}_event", react)
        self._show("")

    def figure(self) -> Figure:
        """The labelled pictures with their labels."""
        return labels_figure(self.session)

    def _make_controls(self) -> None:
        session, wide = self.session, widgets.Layout(width="284px")
        self.joint = widgets.Select(options=session.joints, rows=min(len(session.joints), 12), layout=wide)
        self.state = widgets.ToggleButtons(options=(VISIBLE, HIDDEN), style={"button_width": "130px"})
        self.x, self.y = (widgets.FloatText(description=name, layout=_width(92)) for name in "xy")
        for box in (self.x, self.y):
            box.style.description_width = "14px"
        self.progress = widgets.IntProgress(max=len(session.pictures), layout=wide)
        self.about, self.message = widgets.HTML(layout=wide), widgets.HTML(layout=wide)
        self.joint.observe(self._chooser(session.choose), "value")
        self.state.observe(self._chooser(session.choose_state), "value")
        buttons = {
            "set": self._button("set x, y", lambda: session.place(self.x.value, self.y.value), 88),
            "absent": self._button("absent", session.set_absent, 90),
            "undo": self._button("undo", session.undo, 90),
            "reload": self._button("reload", session.reload, 90),
            "previous": self._button("previous", lambda: session.move(-1), 137),
            "next": self._button("next", lambda: session.move(1), 137),
        }
        rows = [(self.x, self.y, buttons["set"]), (buttons["absent"], buttons["undo"], buttons["reload"])]
        rows = [widgets.HBox(row) for row in (*rows, (buttons["previous"], buttons["next"]))]
        keys = widgets.HTML(lines(f"<small>{KEYS}</small>"), layout=wide)
        column = [self.about, self.progress, self.joint, self.state, *rows, keys, self.message]
        self.controls = widgets.HBox([self.canvas, widgets.VBox(column)])

    def _button(self, name: str, action: Callable[[], None], width: int) -> widgets.Button:
        button = widgets.Button(description=name, layout=_width(width))
        button.on_click(lambda _: self._do(action))
        return button

    def _chooser(self, action: Callable[[str], None]) -> Callable[[dict], None]:
        """What a chooser calls: the action, unless the choice was set by `_show` itself."""
        return lambda change: None if self._showing else self._do(lambda: action(change["new"]))

    def _do(self, action: Callable[[], None]) -> None:
        """Act, and show the new state, or the sentence that says why there is none."""
        try:
            action()
            changed = self.session.file.changed()
            told = f"{self.session.file.path.name} was changed by someone else; reload it to go on"
            self._show(told if changed else "")
        except DataError as error:
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
        actions |= {"right": actions["n"], "left": actions["p"], "u": session.undo, "ctrl+z": session.undo}
        actions |= {"a": session.set_absent, "v": lambda: session.choose_state(VISIBLE)}
        actions["h"] = lambda: session.choose_state(HIDDEN)
        for number, joint in enumerate(session.joints[:9], 1):
            actions[str(number)] = lambda joint=joint: session.choose(joint)
        if key in actions:
            self._do(actions[key])

    def _zoom(self, event) -> None:
        """Wheel: a fifth nearer or farther, the spot under the mouse stays; at most the whole picture."""
        if event.inaxes is not self._axis:
            return
        factor, (width, height) = 0.8**event.step, self.session.size
        left, right = (event.xdata + factor * (x - event.xdata) for x in self._axis.get_xlim())
        low, high = (event.ydata + factor * (y - event.ydata) for y in self._axis.get_ylim())
        if right - left >= width or low - high >= height:
            left, right, low, high = 0, width, height, 0
        self._axis.set(xlim=(left, right), ylim=(low, high))
        self.canvas.draw_idle()

    def _show(self, told: str) -> None:
        """Put the session's state into the controls and the picture, and `told` below them."""
        session, marks = self.session, self.session.marks()
        self._showing = True  # the choosers' observers must not take this for a reader's choice
        labels = [_label(number, joint, marks) for number, joint in enumerate(session.joints, 1)]
        self.joint.options = list(zip(labels, session.joints, strict=True))
        self.joint.value, self.state.value = session.joint, session.state
        self._showing = False
        own = marks.get(session.joint)
        self.x.value, self.y.value = own.point if own and own.point else (0.0, 0.0)
        self._tell(told)
        self._draw(marks)

    def _tell(self, told: str) -> None:
        """Where in the folder one is, and `told`; names and sentences are text, whatever they hold."""
        session, (done, count) = self.session, self.session.progress()
        at = session.pictures.index(session.picture) + 1
        name = html.escape(session.picture)
        self.about.value = lines(f"<b>{name}</b>", f"picture {at} of {count}, {done} done")
        self.progress.max, self.progress.value = count, done
        sentences = [f"<b>{html.escape(told)}</b>"] if told else []
        if session.skipped:
            sentences += [f"{len(session.skipped)} skipped:", *map(html.escape, session.skipped)]
        self.message.value = lines(*sentences)

    def _draw(self, marks: dict) -> None:
        """The picture with its marks; the zoom stays while the picture does."""
        view = None
        if self._shown == self.session.picture:
            view = {"xlim": self._axis.get_xlim(), "ylim": self._axis.get_ylim()}
        self._axis.clear()
        asked = f"click on: {self.session.joint} ({self.session.state})"
        if self.session.is_done(self.session.picture):
            asked = f"all joints decided; a click moves {self.session.joint}"
        draw_picture(self._axis, self.session.image(), asked, fontsize=11)
        draw_marks(self._axis, marks, self.session.joints)
        self._axis.set(**(view or {}))
        self._shown = self.session.picture
        self.canvas.draw_idle()


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
    canvas.header_visible, canvas.resizable, canvas.capture_scroll = False, False, True
    canvas.toolbar_visible, canvas.toolbar_position = True, "top"  # hovering, it would cover joints
    return canvas


def _label(number: int, joint: str, marks: dict) -> str:
    """A line of the list of joints: number, name, and what is decided."""
    colour = {"left": " (blue)", "right": " (orange)", "": ""}[side(joint)]
    return f"{number} {joint}{colour}" + (f": {marks[joint].state}" if joint in marks else "")


def _width(pixels: int) -> widgets.Layout:
    return widgets.Layout(width=f"{pixels}px")
