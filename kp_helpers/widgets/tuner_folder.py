"""What the tuner keeps on disk, from which it goes on after a kernel was lost, and what a reader saves."""

import json
import time
from pathlib import Path

from kp_helpers import embeddings, stages, store
from kp_helpers.config import AppendedStage, TestTime
from kp_helpers.results.run_folder import write_json
from kp_helpers.stages import states
from kp_helpers.widgets.tuner_learning import Learner, Seen, TunedRun


class TunerFolder:
    """A folder with the newest run of each model, joint and set of pictures, and `saved/` beside them."""

    def __init__(self, folder: str | Path, learner: Learner):
        self.learner, self.saved = learner, Path(folder) / "saved"
        self.file = Path(folder) / f"{learner.key}.safetensors"

    def newest(self) -> tuple[TunedRun | None, str]:
        """The run that was kept, or a sentence that says why it cannot be read."""
        if not self.file.exists():
            return None, ""
        try:
            tensors, facts = store.load(self.file)
            run = TunedRun(
                facts["number"],
                AppendedStage(**json.loads(facts["settings"])),
                TestTime(**facts["test"]),
                states.unpacked(tensors, facts),
                {step: tuple(found) for step, *found in facts["hits"]},
                facts["changes"],
            )
        except (ValueError, KeyError, TypeError, OSError) as error:
            reason = str(error).splitlines()[0][:200]
            return None, f"{self.file}: damaged or no run of the tuner ({reason}); the next run replaces it"
        return run, "" if run.finished else "the last run is not at its end: Last run shows it, then Resume"

    def keep(self, run: TunedRun) -> None:
        """Write a run with at least one step as it stands."""
        tensors, facts = states.packed(run.state)
        facts["hits"] = [(step, *found) for step, found in run.hits.items()]
        facts |= {"number": run.number, "test": run.test.model_dump(mode="json"), "changes": run.changes}
        store.save(self.file, tensors, facts)

    def save_config(self, run: TunedRun, command: str) -> Path:
        """Write a run's settings, what was changed on its way, and its command as JSON."""
        content = {
            "joint": self.learner.joint,
            "settings": {"appended": run.settings.model_dump(), "test": run.test.model_dump()},
            "step": run.step,
            "command": command,
            "model": self.learner.diffusion.name,
            "model_hash": self.learner.diffusion.fingerprint,
            "changes": [{"step": step, "settings": changed} for step, changed in run.changes],
        }
        path = self._new(run, ".json")
        write_json(path, content)
        return path

    def save_embedding(self, seen: Seen) -> Path:
        """Write the base and the appended tokens as notebook 03 does, with what was changed on the way."""
        about = stages.metadata(self.learner.diffusion, seen.run.settings)
        about |= {"joint": self.learner.joint, "best": seen.appended.best}
        about |= {"step": seen.step, "changes": seen.run.changes}
        return embeddings.save(self._new(seen.run, ".safetensors"), seen.appended.tensors(), about)

    def _new(self, run: TunedRun, suffix: str) -> Path:
        return self.saved / f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_step_{run.step:04d}{suffix}"
