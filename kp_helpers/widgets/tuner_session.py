"""The tuner without its page: knobs, one run at a time in a thread of its own, and the runs before it."""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from kp_helpers.config import Profile
from kp_helpers.diffusion import Diffusion
from kp_helpers.evaluate import Framed
from kp_helpers.stages import Run
from kp_helpers.widgets import tuner_saving
from kp_helpers.widgets.knobs import NEXT_RUN, NEXT_STEP, knobs, reading_of, stage_of, values_of
from kp_helpers.widgets.tuned_run import TunedRun, TunerError
from kp_helpers.widgets.tuner_folder import TunerFolder
from kp_helpers.widgets.tuner_learning import Learner

_LOOKS = 0.5
"""Steps take at least this share of what a look took before the next look comes."""


class TunerSession:
    """Tuning the appended stage of one joint.

    diffusion, base (N, D), train, test, joint: as for `evaluate.learn`. settings: where the knobs start.
    folder: where runs are kept. learned: a run that was made before, which is shown first.
    parameters: what the papermill command has besides the knobs, name -> value.
    on_change: called, from whatever thread, when there is something new to show.
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
        learned: Run | None = None,
        parameters: Mapping[str, object] | None = None,
    ):
        self.settings, self.parameters = settings, {"joint": joint, **(parameters or {})}
        self.learner = Learner(diffusion, base, train, test, joint)
        self.start_values = values_of(settings.appended, settings.test, diffusion, len(base))
        self.values = dict(self.start_values)
        self.folder = TunerFolder(folder, self.learner.about)
        found, damaged = self.folder.load()
        given = {}
        if learned is not None:
            given[0] = TunedRun(0, learned.settings, settings.test, learned.state())
        self.history, self.current = given | found, given.get(0) or self._draft(self.values)
        known = [self.start_values, *map(self.learner.values_of, self.history.values())]
        self.knobs = knobs(len(base), len(diffusion.scheduler.alphas_cumprod), known)
        self.message = "; ".join([*damaged, *self._interrupted()])
        self.running, self.seen = False, None
        self.on_change: Callable[[], None] = lambda: None
        self._lock, self._worker = threading.Lock(), None
        self._stale, self._looked, self._look_took = True, 0.0, 0.0

    def set(self, name: str, value) -> object:
        """Turn a knob; returns the value that is used, `message` says where it is not the one given."""
        knob, before = self.knobs[name], self.values[name]
        used, complaint = knob.check(value, before)
        self.values[name] = used
        if complaint:
            self.message = complaint
        elif used != before and knob.heeded == NEXT_RUN and self.current.step:
            self.message = f"{knob.label} {used}: from the next run on; Run begins it"
        if used != before and name == "views":
            self.look()
        return used

    def start(self) -> bool:
        """Begin a new run with what the knobs say; false if one is under way."""
        with self._lock:
            if self.running:
                self.message = f"run {self.current.number} is under way; there is one at a time"
                return False
            return self._begin(self._draft(self.values))

    def pause(self) -> None:
        """Stop behind the step that is under way."""
        with self._lock:
            self.running = False
        self.look()

    def resume(self) -> bool:
        """Go on with the run that is shown, with a finished one if `steps` is more now; false if not."""
        with self._lock:
            run = self.current
            if self.running or not run.step or self.values["steps"] <= run.step:
                self.message = "nothing to resume: Run begins a run, more steps let a finished one go on"
                return False
            if run.number:
                self.running = True
                self._wake()
                return True
            return self._begin(run.copy())

    def reset(self) -> None:
        """Knobs and tokens as at the start; the run that was shown stays in the history."""
        with self._lock:
            self.running, self.message = False, ""
            self.values = dict(self.start_values)
            self.current = self._draft(self.values)
        self.look()

    def restore(self, number: int) -> bool:
        """Show a run of the history, with the knobs as it had them; `resume` goes on with it."""
        with self._lock:
            if self.running or number not in self.history:
                self.message = f"run {number} cannot be shown: a run is under way, or there is no such run"
                return False
            run = self.current = self.history[number]
            self.values = self.learner.values_of(run)
            self.message = f"run {run.name} is shown; Resume goes on with it"
        self.look()
        return True

    def delete(self, number: int) -> bool:
        """Remove a run of the history and its file; what was saved of it stays."""
        with self._lock:
            if number not in self.history or (self.running and self.current is self.history[number]):
                self.message = f"run {number} cannot be deleted: it is under way, or there is no such run"
                return False
            run = self.history.pop(number)
            self.folder.delete(run)
            self.message = f"run {run.name} is deleted"
            if self.current is run:
                self.current = self._draft(self.values)
        self.look()
        return True

    def save_config(self) -> Path:
        """Write the settings of the run that is shown as JSON; returns the file."""
        run, learner = self.current, self.learner
        path = self.folder.free(run, ".json")
        return tuner_saving.save_config(path, run, learner.diffusion, learner.joint, self.command())

    def save_embedding(self) -> Path:
        """Write the tokens that are shown; TunerError while a step is under way or before the first."""
        seen, run = self.seen, self.current
        if self.running or not run.step or seen is None or (seen.run, seen.step) != (run, run.step):
            raise TunerError("no embedding to save yet: run a step or more, then pause")
        path = self.folder.free(run, ".safetensors")
        return tuner_saving.save_embedding(path, seen, self.learner.diffusion, self.learner.joint)

    def command(self) -> str:
        """The papermill command that repeats the run that is shown."""
        diffusion, base = self.learner.diffusion, self.learner.base
        return tuner_saving.command(self.current, diffusion, len(base), self.parameters)

    def look(self) -> None:
        """Ask for a look at the run that is shown; `on_change` tells when `seen` holds it."""
        with self._lock:
            self._stale = True
            self._wake()

    def wait(self) -> None:
        """Return when nothing is under way any more."""
        while (worker := self._worker) is not None:
            worker.join()

    def _draft(self, values: Mapping) -> TunedRun:
        """The tokens as they start, before any step, with what the knobs say."""
        settings = stage_of(values, self.settings.appended, len(self.learner.base))
        return TunedRun(0, settings, self.settings.test)

    def _interrupted(self) -> list[str]:
        open_runs = ", ".join(str(number) for number, run in self.history.items() if not run.finished)
        return (
            [f"not at their end yet: {open_runs}; Show one below, then Resume goes on"] if open_runs else []
        )

    def _begin(self, run: TunedRun) -> bool:
        """Let a run be the one that is shown and under way; false where it cannot be kept. Under the lock."""
        try:
            run.number = self.folder.reserve()
        except OSError as error:
            self.message = f"{self.folder.runs}: cannot be written ({error.strerror}), so no run was begun"
            return False
        self.current = self.history[run.number] = run
        self.running, self.message = True, ""
        self._wake()
        return True

    def _wake(self) -> None:
        """See that a thread works. Under the lock."""
        if self._worker is None:
            self._worker = threading.Thread(target=self._work, name="tuner", daemon=True)
            self._worker.start()

    def _work(self) -> None:
        while (job := self._next_job()) is not None:
            run, stepping = job
            try:
                if stepping:
                    self._step(run)
                if not self.running or time.monotonic() - self._looked >= _LOOKS * self._look_took:
                    self._look(run)
            except Exception as error:  # whatever it is: a thread that died silently would look like a hang
                self._stopped(run, error)

    def _next_job(self) -> tuple[TunedRun, bool] | None:
        """The run at hand and whether it is to make a step; None where all is done, then nobody works."""
        with self._lock:
            if self.running or self._stale:
                return self.current, self.running
            self._worker = None
            return None

    def _step(self, run: TunedRun) -> None:
        heeded = {n: self.values[n] for n, knob in self.knobs.items() if knob.heeded == NEXT_STEP}
        heeded["steps"] = max(heeded["steps"], run.step, 1)
        run.change(run.settings.replace(**heeded))
        if not run.finished:
            self.learner.step(run)
            self.folder.keep(run)
        if run.finished:
            with self._lock:
                self._halt(run)
                self._stale = True

    def _look(self, run: TunedRun) -> None:
        self._stale, began = False, time.monotonic()
        run.test = reading_of(self.values, run.test, run.settings)
        self.seen = self.learner.look(run, quick=self.running)
        if not self.running and run.number and run.step:
            self.folder.keep(run)
        self.on_change()
        self._looked = time.monotonic()
        self._look_took = self._looked - began

    def _stopped(self, run: TunedRun, error: Exception) -> None:
        with self._lock:
            self._halt(run)
            self._stale = False
            self.message = f"run {run.number} stopped behind step {run.step}: {error}"
        try:
            self.on_change()
        except Exception:  # what would show the message is what fails; the kernel's log gets the traceback
            self._worker = None
            raise

    def _halt(self, run: TunedRun) -> None:
        """End a run, but not one that was begun meanwhile. Under the lock."""
        self.running = self.running and self.current is not run
