"""A base stage, a sweep and a run of its own, killed and followed by others: `python killed_sweep.py MODEL
DATA FOLDER` prints what they told. Which copy of the package is at work is PYTHONPATH's to say.
"""

import hashlib
import json
import os
import signal
import sys
from functools import partial
from itertools import count
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.forked import forked
from kp_helpers import config, diffusion, evaluate, store
from kp_helpers.stages import BaseTokens, Run, states

SETTINGS = config.profile("smoke")
BASE = SETTINGS.base.replace(tokens=12, candidates=8, keypoints=4)
VARIANTS = [evaluate.Variant("default"), evaluate.Variant("cauchy", {"target": "cauchy", "sigma": 0.1})]


def main(model: str, data: str, folder: str) -> None:
    torch.set_num_threads(1)
    learn, root = partial(_learn, diffusion.load(model), Path(data)), Path(folder)
    told = {"package": states.__file__, "undisturbed": forked(learn, root / "undisturbed")}
    told["killed"] = [forked(learn, root / "killed", killed_behind=number) for number in (5, 4)]
    told["killed"].append(forked(learn, root / "killed"))
    print(json.dumps(told))


def _learn(frozen, data: Path, kept: Path, killed_behind: int = 0) -> dict:
    """What is learned and found with a file after every step; killed behind so many files, 0 not at all."""
    files, save = count(1), store.save

    def save_and_count(*given) -> None:
        save(*given)
        if next(files) == killed_behind:
            os.kill(os.getpid(), signal.SIGKILL)

    store.save, states.EVERY = save_and_count, 0.0
    sets = tuple(evaluate.data_set(data, split, ("head",)) for split in ("train", "test"))
    samples = evaluate.draw_run(*sets, "head", 0, SETTINGS.protocol)
    train, test = (evaluate.framed(part, frozen.image_size, SETTINGS.protocol) for part in samples)
    run = Run(BaseTokens(frozen, train.images, BASE), kept)
    for _ in run:
        pass
    given = (frozen, run.result)
    found = evaluate.sweep(*given, sets, "head", SETTINGS, VARIANTS, 0, checkpoint=kept)
    alone = evaluate.learn(*given, train, "head", SETTINGS.appended, 1, checkpoint=kept)
    found += evaluate.compare(frozen, alone, train, test, "head", SETTINGS, 1)
    predictions = [[one.sample.name, one.method, one.run, *one.point] for one in found]
    return {
        "embeddings": hashlib.sha256(torch.cat([given[1], alone.tokens]).numpy().tobytes()).hexdigest(),
        "predictions": hashlib.sha256(json.dumps(predictions).encode()).hexdigest(),
        "folders": sorted(path.name for path in kept.iterdir()),
        "files": next(files) - 1,
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
