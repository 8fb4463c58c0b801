"""The tuner without its page: knobs, this run and the last, one at a time in a thread of its own."""

import shlex
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from kp_helpers.config import Profile
from kp_helpers.stages import Run
from kp_helpers.widgets.knobs import NEXT_RUN, NEXT_STEP, stage_of, values_of
from kp_helpers.widgets.tuner_learning import Learner, Seen, TunedRun, TunerFolder

_NOTEBOOK = "notebooks/03_appended_embedding.ipynb"
_LOOKS = 0.5
"""Steps take at least this share of what a look took before the next look comes."""


class TunerSession:
    """Tuning the appended stage of one joint.

    learner: of the joint. settings: where the knobs start. folder: where runs are kept. learned: a run that
    was made before, which is shown first. parameters: of the papermill command besides the knobs, by name.

    current: the run that is shown; last: the one before it, of an earlier kernel at the start; seen: the last
    look. on_change: called, from whatever thread, when there is something new to show.
    """

    def __init__(
        self,
        learner: Learner,
        settings: Profile,
        folder: str | Path,
        learned: Run | None = None,
        parameters: Mapping[str, object] | None = None,
    ):
        self.learner, self.settings = learner, settings
        self.parameters = {"joint": learner.joint, **(parameters or {})}
        self.folder = TunerFolder(folder, learner)
        diffusion, base = learner.diffusion, learner.base
        self.start_values = values_of(settings.appended, settings.test, diffusion, len(base))
        self.values = dict(self.start_values)
        self.current = self._draft()
        if learned is not None:
            self.current = TunedRun(0, learned.settings, settings.test, learned.state())
        self.last, self.message = self.folder.newest()
        self.seen: Seen | None = None
        self.running = False
        self.on_change: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._worker: threading.Thread | None = None
        self._look_asked, self._next_look = True, 0.0

    def set(self, name: str, value) -> None:
        """Turn a knob; ConfigError for a value that cannot be, and the knob stays where it is."""
        before, values = self.values[name], {**self.values, name: value}
        stage_of(values, self.settings.appended, len(self.learner.base))
        self.settings.test.replace(views=values["views"])
        self.values = values
        if value != before and name in NEXT_RUN and self.current.step:
            self.message = f"{NEXT_RUN[name]} {value}: from the next run on; Run begins it"
        if value != before and name in ("views", "sigma"):
            self.look()

    def start(self) -> None:
        """Begin a new run with what the knobs say; ValueError if one is under way."""
        with self._lock:
            if self.running:
                raise ValueError(f"run {self.current.number} is under way; there is one at a time")
            self._begin(self._draft())

    def pause(self) -> None:
        """Stop after the step that is under way."""
        with self._lock:
            self.running = False
        self.look()

    def resume(self) -> None:
        """Go on with the run that is shown, with a finished one if `steps` is more now."""
        with self._lock:
            run = self.current
            if self.running or not run.step or self.values["steps"] <= run.step:
                raise ValueError("nothing to resume: Run begins a run, more steps let a finished one go on")
            self._begin(run)

    def reset(self) -> None:
        """Knobs and tokens as at the start; the run that was shown is the last one."""
        with self._lock:
            self.running, self.message = False, ""
            self.values = dict(self.start_values)
            self._show(self._draft())
        self.look()

    def show_last(self) -> None:
        """Show the last run, with the knobs as it had them, and this one becomes the last."""
        with self._lock:
            if self.running or self.last in (None, self.current):
                raise ValueError("there is no last run to show, or this one is under way")
            self._show(self.last)
            self.values = self.learner.values_of(self.current)
            self.message = f"run {self.current.number} is shown; Resume goes on with it"
        self.look()

    def save_config(self) -> Path:
        """Write the settings of the run that is shown as JSON; returns the file."""
        return self.folder.save_config(self.current, self.command())

    def save_embedding(self) -> Path:
        """Write the tokens that are shown; ValueError while a step is under way or before the first."""
        if not self.running:
            self.wait()  # the look that follows a pause may be under way still
        seen, run = self.seen, self.current
        if self.running or not run.step or seen is None or (seen.run, seen.step) != (run, run.step):
            raise ValueError("no embedding to save yet: run a step or more, then pause")
        return self.folder.save_embedding(seen)

    def command(self) -> str:
        """The papermill command that learns from step 0 with the settings of the run that is shown."""
        values = self.learner.values_of(self.current)
        weights = [values.pop(f"{name}_weight") for name in ("localization", "equivariance", "target")]
        values["ratio"] = values.pop("appended") / len(self.learner.base)
        values["weights"] = ":".join(f"{weight:g}" for weight in weights)
        words = ["papermill", _NOTEBOOK, "out.ipynb", "-k", "python3"]
        for name, value in {**self.parameters, **values}.items():
            words += ["-p", name, f"{value:g}" if isinstance(value, float) else str(value)]
        return shlex.join(words)

    def look(self) -> None:
        """Ask for a look at the run that is shown; `on_change` tells when `seen` holds it."""
        with self._lock:
            self._look_asked = True
            self._wake()

    def wait(self) -> None:
        """Return when nothing is under way any more."""
        while (worker := self._worker) is not None and worker.is_alive():
            worker.join()

    def _draft(self) -> TunedRun:
        """The tokens as they start, before any step, with what the knobs say."""
        settings = stage_of(self.values, self.settings.appended, len(self.learner.base))
        return TunedRun(0, settings, self.settings.test)

    def _show(self, run: TunedRun) -> None:
        """Make a run this one, and the one that was shown the last. Under the lock."""
        if run is not self.current:
            self.last = self.current if self.current.step else self.last
            self.current = run

    def _begin(self, run: TunedRun) -> None:
        """Let a run be the one that is shown and under way. Under the lock."""
        before = [self.current, self.last] if self.last else [self.current]
        run.number = run.number or 1 + max(one.number for one in before)
        self._show(run)
        self.running, self.message = True, ""
        self._wake()

    def _wake(self) -> None:
        """See that a thread works. Under the lock."""
        if self._worker is None or not self._worker.is_alive():
            self._worker = threading.Thread(target=self._work, name="tuner", daemon=True)
            self._worker.start()

    def _work(self) -> None:
        """What the thread does: steps and looks, until there is no more of either to do."""
        while True:
            with self._lock:
                if not (self.running or self._look_asked):
                    self._worker = None  # under the lock, so that nobody waits for a thread that is leaving
                    return
                run, stepping = self.current, self.running
            try:
                if stepping:
                    self._step(run)
                if not self.running or time.monotonic() >= self._next_look:
                    self._look(run)
            except Exception as error:  # whatever it is: a thread that died silently would look like a hang
                self._halt(run)
                self._look_asked = False
                self.message = f"run {run.number} stopped after step {run.step}: {error}"
                self.on_change()

    def _step(self, run: TunedRun) -> None:
        """One step, with the knobs as they are now, and the run is kept."""
        now = {name: self.values[name] for name in NEXT_STEP}
        now["steps"] = max(now["steps"], run.step, 1)
        run.change(run.settings.replace(**now))
        if not run.finished:
            self.learner.step(run)
            self.folder.keep(run)
        if run.finished:
            self._halt(run)

    def _look(self, run: TunedRun) -> None:
        self._look_asked, began = False, time.monotonic()
        run.test = run.test.replace(views=self.values["views"], reading=run.settings.reading)
        self.seen = self.learner.look(run)
        if not self.running and run.number and run.step:
            self.folder.keep(run)
        self.on_change()
        now = time.monotonic()
        self._next_look = now + _LOOKS * (now - began)

    def _halt(self, run: TunedRun) -> None:
        """End a run, but not one that was begun meanwhile; a last look follows."""
        with self._lock:
            self.running = self.running and self.current is not run
            self._look_asked = True
