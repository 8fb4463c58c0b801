"""Random numbers that depend on what they are for, never on the order of calls.

Noise and augmentation are drawn from (seed, purpose, step, image): a run that is resumed, or that visits its
images in another order, draws the same numbers. All draws are made on the CPU, so every device sees the same.
"""

import zlib

import numpy as np
import torch


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
