"""The controls round a `TunerSession`: sliders, buttons, live maps and curves of this run and the last."""

import html
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import ipywidgets as widgets
import pandas as pd
import torch
from IPython.display import display
from matplotlib.figure import Figure

from kp_helpers.config import Profile
from kp_helpers.diffusion import Diffusion
from kp_helpers.evaluate import Framed
from kp_helpers.stages import Run
from kp_helpers.widgets import knobs, tuner_figure
from kp_helpers.widgets.knobs import AT_ONCE, LABELS, NEXT_RUN, NEXT_STEP
from kp_helpers.widgets.tuner_learning import Learner, Seen, TunedRun
from kp_helpers.widgets.tuner_session import TunerSession
from kp_helpers.widgets.without_kernel import Control, png

_WIDTH = "690px"


class LossWeightTuner(Control):
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
        learned: Run | None = None,
        parameters: Mapping[str, object] | None = None,
    ):
        small = settings.appended.reading.replace(map_size=map_size)
        start = settings.replace(appended=settings.appended.replace(reading=small))
        learner = Learner(diffusion, base, train, test, joint)
        self.session = TunerSession(learner, start, folder, learned, parameters)
        self._lock, self._handle = threading.RLock(), None
        self._drawn: Seen | None = None
        self._make_knobs()
        self._make_views()
        self._make_buttons()
        self.controls = self._laid_out()
        self.session.on_change = self._changed
        self.session.look()
        self.session.wait()
        if self.session.seen is None:
            raise ValueError(self.session.message)

    def figure(self) -> Figure:
        """The last look: losses, maps on training and on held-out pictures, hits, settings."""
        session, learner = self.session, self.session.learner
        run = session.seen.run
        settings = ", ".join(f"{name} {value}" for name, value in self._described(run).items())
        title = f"{learner.joint}: {state_line(run, session.running)}; {settings}"
        sigma = session.values["sigma"]
        return tuner_figure.figure(session.seen, session.last, learner, sigma, title)

    def _ipython_display_(self) -> None:
        """Show the controls; the picture beside them in the notebook's file follows the last state."""
        self._handle = display(self._repr_mimebundle_(), raw=True, display_id=True)

    def _make_knobs(self) -> None:
        session, learner = self.session, self.session.learner
        noise_levels = len(learner.diffusion.scheduler.alphas_cumprod)
        runs = [run for run in (session.current, session.last) if run]
        sizes = [session.values["map_size"], *(run.settings.reading.map_size for run in runs)]
        self.knobs = knobs.controls(len(learner.base), noise_levels, sizes)
        for name, control in self.knobs.items():
            knobs.put(control, session.values[name])
            turn = partial(session.set, name)
            control.observe(lambda change, turn=turn: self._do(partial(turn, change["new"])), "value")

    def _make_views(self) -> None:
        self.status, self.table = widgets.HTML(), widgets.HTML()
        self.picture = widgets.Image(format="png", layout=widgets.Layout(width=_WIDTH))

    def _make_buttons(self) -> None:
        session = self.session
        offered = {
            "Run": ("begin a new run", session.start),
            "Pause": ("stop after this step", session.pause),
            "Resume": ("go on with the run that is shown", session.resume),
            "Reset": ("knobs and tokens as at the start", session.reset),
            "Last run": (
                "show the last run with its knobs, and this one becomes the last",
                session.show_last,
            ),
            "Save config": ("the settings of the run that is shown, as JSON", session.save_config),
            "Save embedding": ("its base and appended tokens", session.save_embedding),
            "As papermill command": ("the command that repeats it, to copy", session.command),
        }
        self.buttons = {}
        for name, (tooltip, act) in offered.items():
            button = widgets.Button(description=name, tooltip=tooltip, layout=widgets.Layout(width="auto"))
            button.on_click(lambda _, act=act: self._do(act))
            self.buttons[name] = button
        self.buttons["Run"].button_style = "primary"

    def _do(self, act: Callable[[], object]) -> None:
        try:
            found = act()
            if found is not None:
                self.session.message = f"saved: {found}" if isinstance(found, Path) else found
        except (ValueError, OSError) as error:
            self.session.message = str(error)
        for name, value in self.session.values.items():
            knobs.put(self.knobs[name], value)
        self._show()

    def _laid_out(self) -> widgets.VBox:
        joint = html.escape(self.session.learner.joint.replace("_", " "))
        groups = [widgets.HTML(f"<h3 style='margin:0'>{joint}</h3>")]
        effects = {"from the next step": NEXT_STEP, "from the next run": NEXT_RUN, "at once": AT_ONCE}
        for when, names in effects.items():
            groups += [widgets.HTML(f"<b>takes effect {when}</b>"), *(self.knobs[name] for name in names)]
        buttons = list(self.buttons.values())
        fixed = partial(widgets.Layout, flex="0 0 auto", overflow="visible")
        left = widgets.VBox([*groups, widgets.HBox(buttons[:5])], layout=fixed(width="360px"))
        right = widgets.VBox([self.status, self.picture], layout=fixed(width=_WIDTH))
        columns = widgets.HBox([left, right])
        return widgets.VBox([columns, widgets.HBox(buttons[5:]), self.table])

    def _changed(self) -> None:
        """What the session calls after a look; where nothing moves any more, the file's picture follows."""
        self._show()
        if self._handle is not None and not self.session.running:
            self._handle.update(self._repr_mimebundle_(), raw=True)

    def _show(self) -> None:
        """Put the session's state on the page; from the page's thread and from the worker's."""
        with self._lock:
            session, run = self.session, self.session.current
            said = html.escape(session.message)
            self.status.value = f"{html.escape(state_line(run, session.running))}<br><i>{said}</i>&nbsp;"
            self.buttons["Run"].disabled = session.running
            self.buttons["Pause"].disabled = not session.running
            self.buttons["Resume"].disabled = session.running or not run.step
            self.buttons["Last run"].disabled = session.running or session.last is None
            rows = [{"run": state_line(run, session.running), **self._described(run)}]
            if session.last:
                rows.append({"run": state_line(session.last, False), **self._described(session.last)})
            table = pd.DataFrame(rows).to_html(index=False, border=0)
            self.table.value = table.replace("<th>", "<th style='text-align: left'>")  # as cells are
            if session.seen is not None and session.seen is not self._drawn:
                self._drawn = session.seen
                self.picture.value = png(self.figure())

    def _described(self, run: TunedRun) -> dict[str, str]:
        """Label of a knob -> where it stands for a run."""
        values = self.session.learner.values_of(run)
        return {LABELS[name]: f"{v:.3g}" if type(v) is float else str(v) for name, v in values.items()}


def state_line(run: TunedRun, running: bool) -> str:
    """Where a run stands."""
    if not running and not run.step:
        return "no run yet: the tokens as they start"
    doing = "running" if running else "finished" if run.finished else "paused"
    return f"run {run.number}, {doing}: step {run.step} of {run.settings.steps}"
