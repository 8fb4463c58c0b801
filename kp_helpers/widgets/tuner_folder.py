"""What the tuner keeps on disk, and what a reader saves of it: nothing there is ever written over."""

import json
import shlex
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path

from kp_helpers import embeddings, stages, store
from kp_helpers.config import AppendedStage, TestTime
from kp_helpers.diffusion import Diffusion
from kp_helpers.results.run_folder import write_json
from kp_helpers.stages import states
from kp_helpers.widgets.knobs import values_of
from kp_helpers.widgets.tuner_learning import Seen, TunedRun

_NOTEBOOK = "notebooks/03_appended_embedding.ipynb"
_FILE = "run.safetensors"


class TunerFolder:
    """`runs/0001/run.safetensors` and on, one a run, and `saved/` beside it.

    about: what its runs learned from, as JSON values; runs that learned from something else stay unseen.
    """

    def __init__(self, folder: str | Path, about: dict):
        self.runs, self.saved = Path(folder) / "runs", Path(folder) / "saved"
        self.about = about

    def newest(self) -> tuple[TunedRun | None, str]:
        """The newest run that can be read, and a sentence for each newer file that cannot."""
        damaged = []
        for path in sorted(self.runs.glob(f"[0-9]*/{_FILE}"), reverse=True):
            try:
                tensors, facts = store.load(path)
                if facts["about"] == self.about:
                    return _run(int(path.parent.name), tensors, facts), "; ".join(damaged)
            except (ValueError, KeyError, TypeError, OSError) as error:
                reason = str(error).splitlines()[0][:200]
                damaged.append(f"{path}: damaged or no run of the tuner ({reason}); it is left as it is")
        return None, "; ".join(damaged)

    def reserve(self) -> int:
        """A number that no run has, in this or another kernel."""
        self.runs.mkdir(parents=True, exist_ok=True)
        newest = max((int(path.name) for path in self.runs.glob("[0-9]*")), default=0)
        for number in count(newest + 1):
            with suppress(FileExistsError):
                (self.runs / f"{number:04d}").mkdir()
                return number

    def keep(self, run: TunedRun) -> None:
        """Write a run with at least one step as it stands."""
        tensors, facts = states.packed(run.state)
        hits = [(step, *found) for step, found in run.hits.items()]
        facts |= {"test": run.test.model_dump(mode="json"), "hits": hits, "changes": run.changes}
        store.save(self.runs / f"{run.number:04d}" / _FILE, tensors, {**facts, "about": self.about})

    def save_config(self, run: TunedRun, diffusion: Diffusion, joint: str, command: str) -> Path:
        """Write a run's settings, what was changed on its way, and its command as JSON."""
        settings = {
            "appended": run.settings.model_dump(mode="json"),
            "test": run.test.model_dump(mode="json"),
        }
        content = {
            "joint": joint,
            "settings": settings,
            "step": run.step,
            "command": command,
            "model": diffusion.name,
            "model_hash": diffusion.fingerprint,
            "changes": [{"step": step, "settings": changed} for step, changed in run.changes],
        }
        path = self._saved(run, ".json")
        write_json(path, content)
        return path

    def save_embedding(self, seen: Seen, diffusion: Diffusion, joint: str) -> Path:
        """Write the base and the appended tokens as notebook 03 does, with what was changed on the way."""
        about = stages.metadata(diffusion, seen.run.settings)
        about |= {"joint": joint, "best": seen.appended.best, "step": seen.step, "changes": seen.run.changes}
        return embeddings.save(self._saved(seen.run, ".safetensors"), seen.appended.tensors(), about)

    def _saved(self, run: TunedRun, suffix: str) -> Path:
        return self.saved / f"run_{run.number:04d}_step_{run.step:04d}{suffix}"


def command(run: TunedRun, diffusion: Diffusion, base_tokens: int, parameters: Mapping) -> str:
    """The papermill command that learns from step 0 with a run's settings as they are at its end.

    parameters: of notebook 03 besides those that the knobs give, name -> value.
    """
    values = values_of(run.settings, run.test, diffusion, base_tokens)
    weights = [values.pop(f"{name}_weight") for name in ("localization", "equivariance", "target")]
    values["ratio"] = values.pop("appended") / base_tokens
    values["weights"] = ":".join(f"{weight:g}" for weight in weights)
    words = ["papermill", _NOTEBOOK, "out.ipynb", "-k", "python3"]
    for name, value in {**parameters, **values}.items():
        words += ["-p", name, f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join(words)


def _run(number: int, tensors: dict, facts: dict) -> TunedRun:
    return TunedRun(
        number,
        AppendedStage(**json.loads(facts["settings"])),
        TestTime(**facts["test"]),
        states.unpacked(tensors, facts),
        {step: tuple(found) for step, *found in facts["hits"]},
        [(step, changed) for step, changed in facts["changes"]],
    )
