"""Processes killed and followed by others: `python killed_run.py MODEL FOLDER` prints what they told.

One interpreter loads the model and forks for every run, since the loading takes longer than the runs. Every
process has one thread.
"""

import hashlib
import json
import os
import random
import signal
import sys
from functools import partial
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.forked import forked
from kp_helpers import diffusion, store
from kp_helpers.config import BaseStage, Reading
from kp_helpers.stages import BaseTokens, Run, states

STEPS = 8
SETTINGS = BaseStage(
    tokens=12, steps=STEPS, images_per_step=1, candidates=8, keypoints=4, reading=Reading(map_size=16), seed=5
)
IMAGES = torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(0))


def main(model: str, folder: str) -> None:
    torch.set_num_threads(1)
    states.EVERY = 0.0
    frozen, root = diffusion.load(model), Path(folder)
    learn = partial(_learn, frozen)
    told = {"undisturbed": forked(learn, root / "undisturbed")}
    told["killed"] = [forked(learn, root / "killed", killed_at=step) for step in _steps_of_death()]
    told["killed"].append(forked(learn, root / "killed"))
    told["while writing"] = [forked(learn, root / "writing", killed_writing=6)]
    told["left"] = sorted(path.name for path in (root / "writing").glob("*/.*"))
    told["while writing"].append(forked(learn, root / "writing"))
    for name in ("SIGINT", "SIGTERM"):
        told[name] = [forked(learn, root / name, stopped_at=3, by=name), forked(learn, root / name)]
    print(json.dumps(told))


def _steps_of_death() -> list[int]:
    """Five different steps in ascending order: a run that was killed at one goes on and reaches the next."""
    return sorted(random.Random(7).sample(range(2, STEPS), 5))


def _learn(
    frozen, root: Path, *, killed_at: int = 0, killed_writing: int = 0, stopped_at: int = 0, by: str = ""
) -> dict:
    run = Run(BaseTokens(frozen, IMAGES, SETTINGS), root)
    if killed_writing:
        store.os.fsync = partial(_die_at, run, killed_writing)
    for _ in run:
        if run.step == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if run.step == stopped_at:
            os.kill(os.getpid(), getattr(signal, by))
    return {
        "embedding": hashlib.sha256(run.result.numpy().tobytes()).hexdigest(),
        "records": [[record.step, record.loss, record.parts] for record in run.records],
        "resumed": run.resumed,
    }


def _die_at(run: Run, step: int, handle: int) -> None:
    """In the place of fsync: the process ends when half of the state of this step is on the disk."""
    if run.step == step and (found := list(run.states.folder.glob(".state.*"))):
        os.truncate(found[0], found[0].stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
