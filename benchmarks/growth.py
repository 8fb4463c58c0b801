"""How time and memory of a step grow with tokens, map size, images and runs, on the figures model.

One thing grows at a time, the others stay at 500 tokens, 128 x 128, one image with its view, one run. Each
point runs in a process of its own; its memory is what it took beyond the loaded model, its time that of the
processor in one thread, which other work on the machine hardly changes.
"""

import argparse
import json
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch
from tqdm.auto import tqdm

from benchmarks import measure, plain, shapes
from kp_helpers import attention
from kp_helpers.store import replace_file

AXES = {
    "tokens": (100, 500, 1000),
    "map_size": (64, 128, 256),
    "images": (1, 2, 4),
    "runs": (1, 2, 4),
}
_FIXED = {"tokens": 500, "map_size": 128, "images": 1, "runs": 1}
_BOTH = ("coupled", "read-out")
MODES = {"tokens": ("plain", *_BOTH), "map_size": ("plain", *_BOTH), "images": _BOTH, "runs": _BOTH}
"""The plain formulation takes images and runs one by one, so its growth with them is known."""


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--json", type=Path, required=True, metavar="FILE", help="where the rows go")
    options = parser.parse_args(arguments)
    points = [
        (mode, axis, value) for axis, values in AXES.items() for value in values for mode in MODES[axis]
    ]
    rows = []
    for point in tqdm(points, desc="growth"):
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
            rows.append(alone.submit(_row, *point).result())
    content = {"shape": "figures", "device": "cpu", "rows": rows}
    replace_file(options.json, lambda partial: partial.write_text(json.dumps(content, indent=1) + "\n"))
    return 0


def _row(mode: str, axis: str, value: int) -> dict:
    """One point: a step of `mode`, forward and backward, with one thing grown."""
    sizes = {**_FIXED, axis: value}
    torch.set_num_threads(1)
    run, before = _step(mode, **sizes), measure.peak_bytes("cpu")
    run()
    started = time.process_time()
    run()
    row = {"mode": mode, "axis": axis, "value": value, "seconds": time.process_time() - started}
    return {**row, "extra_bytes": measure.peak_bytes("cpu") - before, "maps_bytes": _maps_bytes(**sizes)}


def _maps_bytes(tokens: int, map_size: int, images: int, runs: int) -> int:
    """The maps that a step returns: float32, the plain and the transformed view of each image and run."""
    return 4 * 2 * tokens * map_size**2 * images * runs


def _step(mode: str, tokens: int, map_size: int, images: int, runs: int):
    """The function to time: runs are further contexts, each on all images and views."""
    model, generator = shapes.load("figures", "cpu"), torch.Generator().manual_seed(0)
    unet, timestep, width = model.unet, model.default_timestep, model.context_width
    views = torch.randn(2 * images, 4, 32, 32, generator=generator)
    contexts = torch.randn(runs, tokens, width, generator=generator)
    batch = contexts.repeat_interleave(2 * images, dim=0), views.repeat(runs, 1, 1, 1)
    layers = attention.readout_layers(unet)
    if mode == "read-out":
        asked = attention.queries(unet, batch[1], timestep, contexts[0])
        rivals = attention.rival_sums(unet, asked, contexts[0], size=map_size)

    def run() -> None:
        context = batch[0].clone().requires_grad_(True)
        if mode == "plain":
            one_by_one = [
                plain.attention_maps(unet, view[None], timestep, own, layers=layers, size=map_size)
                for view, own in zip(batch[1], context, strict=True)
            ]
            maps = torch.cat(one_by_one)
        elif mode == "coupled":
            maps = attention.attention_maps(unet, batch[1], timestep, context, size=map_size)
        else:
            maps = attention.maps_from_queries(unet, asked, context, size=map_size, rivals=rivals)
        maps[:, :10].square().sum().backward()

    return run


if __name__ == "__main__":
    sys.exit(main())
