"""Random numbers that depend on what they are for, never on the order of calls.

Noise and augmentation are drawn from (seed, purpose, step, image): a run that is resumed, or that visits its
images in another order, draws the same numbers. All draws are made on the CPU, so every device sees the same.
How far the rest of the arithmetic repeats is the level of determinism.
"""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch.utils import deterministic

LEVELS = {
    "A": "bit-identical on one machine with equal versions and threads",
    "B": "seeded; the spread over repeats is published",
    "C": "across machines: references with a tolerance",
}
VARIABLE = "KEYPOINT_KIT_DETERMINISM"
os.environ.setdefault(
    "CUBLAS_WORKSPACE_CONFIG", ":4096:8"
)  # cuBLAS looks once; without it, level A is refused


def generator(seed: int, purpose: str, *keys: int) -> torch.Generator:
    """A CPU generator for one purpose; equal arguments give equal numbers, other arguments independent ones.

    seed: integer >= 0. purpose: a word such as "noise". keys: integers >= 0, usually the step and the image.
    """
    if min((seed, *keys)) < 0:
        raise ValueError(f"randomness.generator: seed and keys are {(seed, *keys)}, expected integers >= 0")
    sequence = np.random.SeedSequence([seed, zlib.crc32(purpose.encode()), *keys])
    return torch.Generator().manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))


def image_order(seed: int, images: int, first: int, count: int) -> list[int]:
    """Which images the positions `first` to `first + count - 1` of an endless shuffled list hold.

    Every epoch of `images` positions is one permutation, drawn from (seed, epoch). Returns `count` indices.
    """
    if images < 1:
        raise ValueError(f"randomness.image_order: images is {images}, expected at least 1")
    order = []
    for position in range(first, first + count):
        epoch, place = divmod(position, images)
        order.append(int(torch.randperm(images, generator=generator(seed, "order", epoch))[place]))
    return order


def level(device: str | torch.device) -> str:
    """Of determinism, "A", "B" or "C" as the variable `KEYPOINT_KIT_DETERMINISM` says.

    Without it "A" on the CPU, and "B" on a GPU, where strictness costs time.
    """
    name = os.environ.get(VARIABLE) or ("A" if torch.device(device).type == "cpu" else "B")
    if name not in LEVELS:
        raise ValueError(f"{VARIABLE} is {name!r}, expected one of {', '.join(LEVELS)}")
    return name


@contextmanager
def strict(device: str | torch.device) -> Iterator[None]:
    """At level A torch takes only operations that repeat to the last bit, and refuses the others."""
    if level(device) != "A":
        yield
        return
    mode, tried = torch.get_deterministic_debug_mode(), torch.backends.cudnn.benchmark
    filled = deterministic.fill_uninitialized_memory
    torch.set_deterministic_debug_mode("error")
    torch.backends.cudnn.benchmark = False
    deterministic.fill_uninitialized_memory = False  # no number of the kit is read before it is written
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(mode)
        torch.backends.cudnn.benchmark = tried
        deterministic.fill_uninitialized_memory = filled
