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
from safetensors import safe_open

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.forked import forked
from kp_helpers import checkpoints, diffusion, files, optimize
from kp_helpers.config import BaseStage, Reading

STEPS = 8
SETTINGS = BaseStage(
    tokens=12, steps=STEPS, images_per_step=1, candidates=8, keypoints=4, reading=Reading(map_size=16), seed=5
)
IMAGES = torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(0))


def main(model: str, folder: str) -> None:
    torch.set_num_threads(1)
    frozen, root = diffusion.load(model), Path(folder)
    learn = partial(_learn, frozen)
    told = {"undisturbed": forked(learn, root / "undisturbed")}
    told["killed"] = [forked(learn, root / "killed", killed_at=step) for step in _steps_of_death()]
    told["killed"].append(forked(learn, root / "killed"))
    told["while writing"] = [forked(learn, root / "writing", killed_writing=6)]
    told["left"] = sorted(path.name for path in (root / "writing").iterdir())
    told["while writing"].append(forked(learn, root / "writing"))
    for name in ("SIGINT", "SIGTERM"):
        stopped = forked(learn, root / name, stopped_at=3, by=name)
        with safe_open(max((root / name).glob("step_*")), framework="pt") as file:
            stopped["marked"] = json.loads(file.metadata()["head"])["interrupted"]
        told[name] = [stopped, forked(learn, root / name)]
    print(json.dumps(told))


def _steps_of_death() -> list[int]:
    """Five different steps in ascending order: a run that was killed at one goes on and reaches the next."""
    return sorted(random.Random(7).sample(range(2, STEPS + 1), 5))


def _learn(
    frozen, folder: Path, *, killed_at: int = 0, killed_writing: int = 0, stopped_at: int = 0, by: str = ""
) -> dict:
    if killed_writing:
        files.os.fsync = partial(_die_at, folder, f"step_{killed_writing:06d}")
    kept = checkpoints.Checkpoints(folder, [SETTINGS], {"model": frozen.fingerprint}, every=0)
    make = partial(optimize.base_stages, frozen, [IMAGES], [SETTINGS])
    batch, records = kept.finish(make, lambda batch: _watched(batch, killed_at, stopped_at, by))
    context = batch.results[0]
    return {
        "embedding": hashlib.sha256(context.numpy().tobytes()).hexdigest(),
        "records": [[row[0].step, row[0].loss, row[0].parts] for row in records],
        "resumed": kept.resumed,
    }


def _watched(batch, killed_at: int, stopped_at: int, by: str):
    for rows in batch:
        if batch.step == killed_at:
            os.kill(os.getpid(), signal.SIGKILL)
        if batch.step == stopped_at:
            os.kill(os.getpid(), getattr(signal, by))
        yield rows


def _die_at(folder: Path, name: str, handle: int) -> None:
    """In the place of fsync: the process ends when half of the file of this name is on the disk."""
    if found := list(folder.glob(f".{name}.*")):
        os.truncate(found[0], found[0].stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
