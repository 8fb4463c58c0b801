"""The largest memory that one step and one reading take, measured: `python -m benchmarks.memory`.

A step is one image with its view, as the third stage takes them one pair at a time, in coupled or in
read-out mode; "checkpointed" is the coupled step with gradient checkpointing of the U-Net, which no setting
turns on. A reading is one picture under two views, which go through the U-Net at once. Each is done once, in
a process of its own.
"""

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from multiprocessing import get_context
from pathlib import Path

import torch

from benchmarks import cases, measure, shapes
from kp_helpers import reading
from kp_helpers.attention import unet_pass
from kp_helpers.config import AppendedStage, TestTime
from kp_helpers.stages import AppendedTokens, Run
from kp_helpers.store import replace_file

DTYPES = ("float32", "bfloat16")
JOBS = ("step", "read-out step", "reading")
CHECKPOINTED = "checkpointed step"


def main(arguments: list[str] | None = None) -> int:
    """Measure, and put the rows into the file beside those of other shapes and dtypes."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.memory", description=__doc__)
    parser.add_argument("--shape", choices=shapes.SHAPES, required=True)
    parser.add_argument("--dtype", choices=DTYPES, required=True, help="of the weights")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--job", choices=(*JOBS, CHECKPOINTED), action="append", help="one alone")
    parser.add_argument("--json", type=Path, default=Path("results/benchmarks/memory.json"))
    options = parser.parse_args(arguments)
    rows = json.loads(options.json.read_text()) if options.json.exists() else []
    for job in options.job or JOBS:
        case = {"shape": options.shape, "dtype": options.dtype, "device": options.device, "job": job}
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
            weights, peak = alone.submit(_measured, **case).result()
        print(f"{case}: {peak / 1e9:.1f} GB, of which weights {weights / 1e9:.1f}")
        rows = [row for row in rows if any(row[key] != case[key] for key in case)]
        rows.append({**case, "weight_bytes": weights, "peak_bytes": peak})
        replace_file(
            options.json, lambda partial, rows=rows: partial.write_text(json.dumps(rows, indent=1) + "\n")
        )
    return 0


def _measured(shape: str, dtype: str, device: str, job: str) -> tuple[int, int]:
    """Bytes of U-Net and VAE, and of all at its largest."""
    model = shapes.load(shape, device, getattr(torch, dtype))
    setup = cases.Setup(model)
    if job == "reading":
        _reading(setup)
    elif job == CHECKPOINTED:
        _checkpointed(setup)
    else:
        _step(setup, "readout" if job == "read-out step" else "coupled")
    weights = [p for network in (model.unet, model.vae) for p in network.parameters()]
    return sum(p.numel() * p.element_size() for p in weights), measure.peak_bytes(device)


def _step(setup: cases.Setup, mode: str) -> None:
    settings = AppendedStage(mode=mode, ratio=cases.APPENDED / cases.BASE, images_per_step=1)
    points = torch.full((1, 2), 0.4)
    next(iter(Run(AppendedTokens(setup.model, setup.context(), setup.images[:1], points, settings))))


def _checkpointed(setup: cases.Setup) -> None:
    """The backward pass runs the U-Net's blocks again, so what stands in for layers has to be there still.

    Convolutions keep their input here, as torch's do: their substitute is not seen in the backward pass.
    """
    unet, names = setup.model.unet, setup.layers
    unet.enable_gradient_checkpointing()
    unet.train()  # diffusers checkpoints in training only; nothing of these U-Nets drops out
    recorders = {
        name: unet_pass._Recorder(name, [], setup.latents.shape[-2:], name == names[-1]) for name in names
    }
    settings = AppendedStage(mode="coupled", ratio=cases.APPENDED / cases.BASE, images_per_step=1)
    points = torch.full((1, 2), 0.4)
    stage = AppendedTokens(setup.model, setup.context(), setup.images[:1], points, settings)
    tokens = stage.start().requires_grad_(True)
    unet_pass.FrozenConvolutions = nullcontext
    with unet_pass.frozen(unet), unet_pass.processors(unet, recorders):
        maps = stage.maps(tokens, 0, 0)
        sum(stage.losses(maps, stage.views.theta(0, 0), 0).values()).backward()


def _reading(setup: cases.Setup) -> None:
    settings = TestTime(views=2)
    reading.read_maps(setup.model, setup.context(), setup.images[:1], settings, range(cases.CHOSEN))


if __name__ == "__main__":
    sys.exit(main())
