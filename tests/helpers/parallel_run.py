"""One optimisation in several processes: `torchrun parallel_run.py MODEL OUT IMAGES_PER_STEP`.

Each process writes the context, or the sentence of its error, into a file of OUT that bears its rank.
"""

import sys
from pathlib import Path

import torch
from accelerate import PartialState

from kp_helpers import diffusion, optimize
from kp_helpers.config import BaseStage
from kp_helpers.runs import OptimisationError


def learn(model, images_per_step: int) -> dict:
    """Two steps of the base stage on four images; the context and the losses."""
    images = torch.rand(4, 3, 128, 128, generator=torch.Generator().manual_seed(0))
    counts = {"tokens": 8, "candidates": 4, "keypoints": 2, "steps": 2, "images_per_step": images_per_step}
    run = optimize.base_stage(model, images, BaseStage(**counts, reading={"map_size": 32}))
    losses = [record.loss for record in run]
    return {"context": run.result, "losses": torch.tensor(losses)}


if __name__ == "__main__":
    folder, out, count = sys.argv[1:]
    state = PartialState(cpu=True)
    path = Path(out) / f"{state.process_index}.pt"
    try:
        torch.save(learn(diffusion.load(folder, str(state.device)), int(count)), path)
    except OptimisationError as error:
        torch.save({"error": str(error)}, path)
    state.destroy_process_group()
