"""What a reader takes away from the tuner: a run's settings, its tokens, and the command that repeats it."""

import shlex
from collections.abc import Mapping
from pathlib import Path

from kp_helpers import embeddings, stages
from kp_helpers.diffusion import Diffusion
from kp_helpers.results.run_folder import write_json
from kp_helpers.widgets.knobs import values_of
from kp_helpers.widgets.tuned_run import TunedRun
from kp_helpers.widgets.tuner_learning import Seen

_NOTEBOOK = "notebooks/03_appended_embedding.ipynb"


def save_config(path: Path, run: TunedRun, diffusion: Diffusion, joint: str, command: str) -> Path:
    """Write a run's settings, what was changed on its way, and its command as JSON."""
    settings = {"appended": run.settings.model_dump(mode="json"), "test": run.test.model_dump(mode="json")}
    content = {"joint": joint, "settings": settings, "step": run.step, "command": command}
    content |= {"model": diffusion.name, "model_hash": diffusion.fingerprint}
    content["changes"] = [{"step": step, "settings": changed} for step, changed in run.changes]
    write_json(path, content)
    return path


def save_embedding(path: Path, seen: Seen, diffusion: Diffusion, joint: str) -> Path:
    """Write the base and the appended tokens as notebook 03 does, with what was changed on the way."""
    about = stages.metadata(diffusion, seen.run.settings)
    about |= {"joint": joint, "best": seen.appended.best, "step": seen.step, "changes": seen.run.changes}
    return embeddings.save(path, seen.appended.tensors(), about)


def command(run: TunedRun, diffusion: Diffusion, base_tokens: int, parameters: Mapping) -> str:
    """The papermill command that learns from step 0 with a run's settings as they are at its end.

    parameters: of notebook 03 besides those that the knobs give, name -> value.
    """
    values = values_of(run.settings, run.test, diffusion, base_tokens)
    weights = (values.pop(f"{name}_weight") for name in ("localization", "equivariance", "target"))
    given = {"weights": ":".join(f"{weight:g}" for weight in weights), **values}
    given["ratio"] = given.pop("appended") / base_tokens
    words = ["papermill", _NOTEBOOK, "out.ipynb", "-k", "python3"]
    for name, value in {**parameters, **given}.items():
        words += ["-p", name, f"{value:g}" if isinstance(value, float) else str(value)]
    return shlex.join(words)
