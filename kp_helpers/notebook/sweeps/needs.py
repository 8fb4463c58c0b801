"""What a cluster is asked for a job: memory by the size of the model, minutes by what was measured.

Nothing slow is imported here: Snakemake asks at every start.
"""

import json
import math
from pathlib import Path

from kp_helpers.notebook.sweeps.plan import Job

SHIPPED = 6.4e6
"""Numbers in a model that comes with the kit: U-Net, VAE and text encoder."""
PUBLISHED = 1e9
"""Numbers in Stable Diffusion 1.5: what a model is taken for that is not here yet."""
_COUPLED = (2.5, 30.6)
_KEPT = (0.56, 0.96)
_READ = (0.24, 10.4)
"""Seconds of a pair of views in coupled and in read-out mode, and of a picture that is read, with the shipped
model and with Stable Diffusion 1.5's shape, as `profiles/README.md` has them.
"""
_GPU = 10
"""By how much a GPU is taken to be faster, which is not measured; a job that runs out of time gets more."""


def memory(model: str) -> int:
    """Megabytes: the weights in float32, half as much again for a step, and 4,000 for data and libraries."""
    return 4000 + math.ceil(1.5 * 4 * numbers(model) / 1e6)


def minutes(job: Job) -> int:
    """Twice what the measured times of its parts come to, and a quarter of an hour."""
    settings, large = job.settings, numbers(job.about.model)
    stage, runs = job.settings.appended, job.settings.protocol.runs
    pairs = stage.steps * stage.images_per_step
    pictures = settings.protocol.test_images
    pair = _COUPLED if stage.mode == "coupled" else _KEPT
    seconds = runs * (pairs * _scaled(pair, large) + pictures * _scaled(_READ, large))
    faster = _GPU if job.about.device.startswith("cuda") else 1
    return 15 + math.ceil(2 * seconds / faster / 60)


def gpus(device: str) -> int:
    """One where a GPU is asked for."""
    return int(device.startswith("cuda"))


def numbers(model: str) -> float:
    """How many numbers a model has, from its files; pickles are taken to be of half precision."""
    if model.startswith("figures"):
        return SHIPPED
    place = Path(model).expanduser()
    files = (
        [place] if place.is_file() else sorted(place.glob("*/*.safetensors")) or sorted(place.glob("*/*.bin"))
    )
    whole = [path for path in files if ".fp16." not in path.name] or files  # of two copies one counts
    return sum(map(_numbers, whole)) or PUBLISHED


def _numbers(path: Path) -> float:
    if path.suffix != ".safetensors":
        return path.stat().st_size / 2
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return sum(math.prod(tensor["shape"]) for name, tensor in header.items() if name != "__metadata__")


def _scaled(seconds: tuple[float, float], large: float) -> float:
    """Between what was measured on the shipped model and on Stable Diffusion 1.5, by the numbers; beyond in
    proportion.
    """
    small, published = seconds
    if large >= PUBLISHED:
        return published * large / PUBLISHED
    return small + (published - small) * max(0.0, large - SHIPPED) / (PUBLISHED - SHIPPED)
