"""The controls round a `TunerSession`: sliders, buttons, live maps and curves, and the runs so far."""

import html
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import ipywidgets as widgets
import torch
from IPython.display import display
from matplotlib.figure import Figure

from kp_helpers.config import Profile
from kp_helpers.diffusion import Diffusion
from kp_helpers.evaluate import Framed
from kp_helpers.stages import Run
from kp_helpers.widgets import tuner_figure, tuner_pictures
from kp_helpers.widgets.knobs import AT_ONCE, NEXT_RUN, NEXT_STEP
from kp_helpers.widgets.still import Still
from kp_helpers.widgets.tuned_run import TunedRun, TunerError
from kp_helpers.widgets.tuner_controls import button, control
from kp_helpers.widgets.tuner_learning import SHOWN, Seen
from kp_helpers.widgets.tuner_session import TunerSession
from kp_helpers.widgets.tuner_texts import history_table, hits_line, settings_line, state_line

HELD_OUT = 10
"""Held-out pictures that are drawn; all of them are counted."""
_WIDTH = "690px"
_HISTORY = "<b>runs so far</b>; chosen ones are drawn in grey, a star says that knobs were turned on the way"


class LossWeightTuner(Still):
    """Tune the appended stage of one joint and see its maps move; `session` is the tuner without the page.

    diffusion, base (N, D), train, test, joint: as for `evaluate.learn`. settings: where the knobs start, save
    for map_size, the side of the maps: small ones make a step fast. folder, learned, parameters: as for
    `TunerSession`. A slider's value that cannot be is shown as the one that is used instead.
    """

    def __init__(
        self,
        diffusion: Diffusion,
        base: torch.Tensor,
        train: Framed,
        test: Framed,
        joint: str,
        settings: Profile,
        *,
        folder: str | Path,
        map_size: int = 32,
        learned: tuple[Run, list] | None = None,
        parameters: Mapping[str, object] | None = None,
    ):
        small = settings.appended.reading.replace(map_size=map_size)
        start = settings.replace(appended=settings.appended.replace(reading=small))
        given = {"folder": folder, "learned": learned, "parameters": parameters}
        self.session = TunerSession(diffusion, base, train, test, joint, start, **given)
        self.joint, self.train, self.test = joint, train, test
        self._lock, self._handle = threading.RLock(), None
        self._drawn: tuple[Seen | None, float] = (None, 0.0)
        self._grounds = [
            tuner_pictures.grounds(images) for images in (train.images[:SHOWN], test.images[:HELD_OUT])
        ]
        self._make_knobs()
        self._make_views()
        self._make_buttons()
        self.controls = self._laid_out()
        self.session.on_change = self._changed
        self.session.look()
        self.session.wait()
        if self.session.seen is None:
            raise TunerError(self.session.message)

    def figure(self) -> Figure:
        """The last look: losses, maps on training and on held-out pictures, hits, settings."""
        seen = self.session.seen
        line = settings_line(seen.run, self.session.running, self.session.learner)
        return tuner_figure.figure(seen, self.train, self.test, self.joint, line, hits_line(seen))

    def _ipython_display_(self) -> None:
        """Show the controls; the picture beside them in the notebook's file follows the last state."""
        self._handle = display(self._repr_mimebundle_(), raw=True, display_id=True)

    def _make_knobs(self) -> None:
        session = self.session
        self.knobs = {name: control(knob, session.values[name]) for name, knob in session.knobs.items()}
        for name, own in self.knobs.items():
            own.observe(lambda change, name=name: self._turned(name, change["new"]), "value")

    def _make_views(self) -> None:
        self.status, self.caption, self.losses, self.table = (widgets.HTML() for _ in range(4))
        self.progress = widgets.IntProgress(layout=widgets.Layout(width=_WIDTH))
        self.train_maps, self.test_maps = (widgets.Image(format="jpeg") for _ in range(2))
        for image in (self.train_maps, self.test_maps):
            image.layout = widgets.Layout(object_fit="contain", align_self="flex-start")
        self.runs = widgets.SelectMultiple(rows=6, layout=widgets.Layout(width="160px"))
        self.runs.observe(lambda _: self._show(), "value")
        self.command = widgets.Textarea(layout=widgets.Layout(width="98%", height="64px", display="none"))

    def _make_buttons(self) -> None:
        session = self.session
        offered = {
            "Run": ("begin a new run", 80, session.start, "primary"),
            "Pause": ("stop behind this step", 80, session.pause),
            "Resume": ("go on with the run that is shown", 80, session.resume),
            "Reset": ("knobs and tokens as at the start", 80, session.reset),
            "Save config": ("the settings of the run that is shown, as JSON", 110, self._save_config),
            "Save embedding": ("its base and appended tokens", 130, self._save_embedding),
            "As papermill command": ("the command that repeats it, to copy", 180, self._show_command),
            "Restore": ("show the chosen run with its knobs", 78, self._restore),
            "Delete": ("remove the chosen runs", 78, self._delete),
        }
        self.buttons = {
            name: button(name, tooltip, width, partial(self._do, act), *style)
            for name, (tooltip, width, act, *style) in offered.items()
        }

    def _do(self, act: Callable[[], object]) -> None:
        try:
            act()
        except (TunerError, OSError) as error:
            self.session.message = str(error)
        for name, value in self.session.values.items():
            self.knobs[name].value = value
        self._show()

    def _laid_out(self) -> widgets.VBox:
        groups = [widgets.HTML(f"<h3 style='margin:0'>{html.escape(self.joint.replace('_', ' '))}</h3>")]
        for heeded in (NEXT_STEP, NEXT_RUN, AT_ONCE):
            groups.append(widgets.HTML(f"<b>heeded {heeded}</b>"))
            groups += [self.knobs[name] for name, knob in self.session.knobs.items() if knob.heeded == heeded]
        row = [self.buttons[name] for name in ("Run", "Pause", "Resume", "Reset")]
        left = widgets.VBox([*groups, widgets.HBox(row)], layout=_fixed("360px"))
        seen = [self.progress, self.status, self.losses, widgets.HTML("<b>learned from</b>"), self.train_maps]
        right = widgets.VBox([*seen, self.caption, self.test_maps], layout=_fixed(_WIDTH))
        chosen = widgets.VBox([self.runs, widgets.HBox([self.buttons["Restore"], self.buttons["Delete"]])])
        taken = [self.buttons[name] for name in ("Save config", "Save embedding", "As papermill command")]
        history = widgets.HBox([chosen, self.table])
        parts = [widgets.HBox([left, right]), widgets.HBox(taken), self.command]
        return widgets.VBox([*parts, widgets.HTML(_HISTORY), history])

    def _turned(self, name: str, value) -> None:
        used = self.session.set(name, value)
        if used != value:
            self.knobs[name].value = used
        self._show()

    def _restore(self) -> None:
        if self.runs.value:
            self.session.restore(self.runs.value[-1])

    def _delete(self) -> None:
        for number in self.runs.value:
            self.session.delete(number)

    def _save_config(self) -> None:
        self.session.message = f"saved: {self.session.save_config()}"

    def _save_embedding(self) -> None:
        self.session.message = f"saved: {self.session.save_embedding()}"

    def _show_command(self) -> None:
        self.command.value, self.command.layout.display = self.session.command(), ""

    def _changed(self) -> None:
        """What the session calls behind a look; where nothing moves any more, the picture is kept too."""
        self._show()
        if self._handle is not None and not self.session.running:
            self._handle.update(self._repr_mimebundle_(), raw=True)

    def _show(self) -> None:
        """Put the session's state on the page; from the page's thread and from the worker's."""
        with self._lock:
            session = self.session
            run, seen = session.current, session.seen
            self.progress.max, self.progress.value = run.settings.steps, run.step
            self._tell(run)
            self._list_runs(run)
            if seen is not None and self._drawn != (seen, session.values["sigma"]):
                self._draw(seen, session.values["sigma"])
            beside = [session.history[number] for number in self.runs.value if number in session.history]
            self.losses.value = tuner_pictures.curves(run, [own for own in beside if own is not run])

    def _tell(self, run: TunedRun) -> None:
        session, message = self.session, html.escape(self.session.message)
        self.status.value = f"{html.escape(state_line(run, session.running))}<br><i>{message}</i>&nbsp;"
        self.buttons["Run"].disabled = session.running
        self.buttons["Pause"].disabled = not session.running
        self.buttons["Resume"].disabled = session.running or not run.step

    def _list_runs(self, run: TunedRun) -> None:
        runs, before = self.session.history, self.runs.options
        options = tuple((f"run {own.name}", number) for number, own in runs.items())
        if options != before:
            chosen = [number for number in self.runs.value if number in runs]
            self.runs.options = options
            self.runs.value = chosen
        self.table.value = history_table(runs.values(), run, self.session.learner)

    def _draw(self, seen: Seen, sigma: float) -> None:
        learner, joint = self.session.learner, self.joint
        targets = [framed.points(joint) for framed in (learner.train, learner.test)]
        self.train_maps.value = tuner_pictures.heat_sheet(self._grounds[0], seen.train, targets[0], sigma)
        self.test_maps.value = tuner_pictures.heat_sheet(
            self._grounds[1], seen.test, targets[1], sigma, seen.hit
        )
        self.caption.value = f"<b>held out</b>: {hits_line(seen)}; a hit is framed"
        self._drawn = seen, sigma


def _fixed(width: str) -> widgets.Layout:
    """A column that keeps its width and shows no scroll bars."""
    return widgets.Layout(width=width, flex="0 0 auto", overflow="visible")
