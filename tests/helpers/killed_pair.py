"""Two processes that learn together, stopped, killed and followed by others: `python killed_pair.py MODEL
FOLDER` prints what both told each time.
"""

import hashlib
import json
import os
import signal
import sys
from functools import partial
from pathlib import Path

import torch
from torch import distributed

sys.path.insert(0, str(Path(__file__).parents[1]))

from helpers.forked import ended, started
from kp_helpers import checkpoints, diffusion, optimize
from kp_helpers.config import BaseStage, Reading
from kp_helpers.files import HeldError, held

SETTINGS = BaseStage(
    tokens=8, steps=4, images_per_step=2, candidates=4, keypoints=2, reading=Reading(map_size=16)
)
IMAGES = torch.rand(4, 3, 128, 128, generator=torch.Generator().manual_seed(0))


def main(model: str, folder: str) -> None:
    torch.set_num_threads(1)
    frozen, root = diffusion.load(model), Path(folder)
    pair = partial(_pair, frozen)
    told = {"undisturbed": pair(root / "undisturbed")}
    told["stopped"] = pair(root / "kept", stopped_at=1)
    told["killed"] = pair(root / "kept", killed_at=3)
    with held(root / "kept" / "lock"):
        told["held"] = pair(root / "kept")
    told["last"] = pair(root / "kept")
    print(json.dumps(told))


def _pair(frozen, folder: Path, **fate) -> list[dict]:
    folder.mkdir(exist_ok=True)
    (folder / "meeting").unlink(missing_ok=True)
    return [ended(one) for one in [started(_learn, frozen, folder, rank, **fate) for rank in range(2)]]


def _learn(frozen, folder: Path, rank: int, *, stopped_at: int = 0, killed_at: int = 0) -> dict:
    """stopped_at: the step that the second of both hears SIGTERM in; killed_at: that the first dies in."""
    distributed.init_process_group("gloo", f"file://{folder}/meeting", rank=rank, world_size=2)

    def watch(batch):
        for rows in batch:
            if rank == 0 and batch.step == killed_at:
                os.kill(os.getpid(), signal.SIGKILL)
            if rank == 1 and batch.step == stopped_at:
                os.kill(os.getpid(), signal.SIGTERM)
            yield rows

    kept = checkpoints.Checkpoints(folder, [SETTINGS], {}, every=0)
    try:
        batch, records = kept.finish(partial(optimize.base_stages, frozen, [IMAGES], [SETTINGS]), watch)
    except HeldError as error:
        return {"error": str(error)}
    embedding = hashlib.sha256(batch.results[0].numpy().tobytes()).hexdigest()
    losses = [record.loss for (record,) in records]
    return {"embedding": embedding, "losses": losses, "resumed": kept.resumed}


if __name__ == "__main__":
    main(*sys.argv[1:])
