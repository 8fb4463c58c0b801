"""Where the tuner keeps its runs, and what a reader saves of them: nothing there is ever written over."""

import shutil
from pathlib import Path

from kp_helpers.widgets import tuned_run
from kp_helpers.widgets.tuned_run import TunedRun, TunerError

_FILE = "run.safetensors"


class TunerFolder:
    """`runs/0001/run.safetensors` and on, one a run, and `saved/` beside it.

    about: what its runs learned from, as JSON values; runs that learned from something else stay unseen.
    """

    def __init__(self, folder: str | Path, about: dict):
        self.runs, self.saved = Path(folder) / "runs", Path(folder) / "saved"
        self.about = about

    def load(self) -> tuple[dict[int, TunedRun], list[str]]:
        """The runs by number, and a sentence for each file that cannot be read."""
        found, damaged = {}, []
        for path in sorted(self.runs.glob(f"[0-9]*/{_FILE}")):
            try:
                number = int(path.parent.name)
                if run := tuned_run.load(path, number, self.about):
                    found[number] = run
            except TunerError as error:
                damaged.append(str(error))
        return found, damaged

    def reserve(self) -> int:
        """A number that no run has, in this or another kernel."""
        self.runs.mkdir(parents=True, exist_ok=True)
        number = 1 + max((int(own.name) for own in self.runs.glob("[0-9]*")), default=0)
        while True:
            try:
                self._place(number).mkdir()
                return number
            except FileExistsError:
                number += 1

    def keep(self, run: TunedRun) -> None:
        """Write a run aside as it stands."""
        tuned_run.save(self._place(run.number) / _FILE, run, self.about)

    def delete(self, run: TunedRun) -> None:
        """Remove a run's folder; what was saved of it stays."""
        shutil.rmtree(self._place(run.number), ignore_errors=True)

    def free(self, run: TunedRun, suffix: str) -> Path:
        """A path in `saved/` at which there is nothing yet."""
        stem, count = f"run_{run.number:04d}_step_{run.step:04d}", 1
        path = self.saved / f"{stem}{suffix}"
        while path.exists():
            count += 1
            path = self.saved / f"{stem}_{count}{suffix}"
        return path

    def _place(self, number: int) -> Path:
        return self.runs / f"{number:04d}"
