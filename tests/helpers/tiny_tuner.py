"""What a tuner is made of, tiny: a model with random weights, three labelled pictures, two held-out ones."""

from pathlib import Path

import torch

from kp_helpers import config, diffusion, evaluate

JOINT = "left_foot"


def parts(model: Path, data: Path) -> tuple:
    """The six positional arguments of `LossWeightTuner` and `TunerSession`; maps of 16, runs of 6 steps."""
    frozen = diffusion.load(model)
    reading = config.Reading(map_size=16)
    settings = config.profile("smoke")
    settings = settings.replace(
        appended=settings.appended.replace(mode="readout", augmentation_pool=2, steps=6, reading=reading),
        test=settings.test.replace(read_size=64, reading=reading),
    )
    base = torch.randn(10, frozen.context_width, generator=torch.Generator().manual_seed(0))
    sets = (evaluate.data_set(data, split, [JOINT]) for split in ("train", "test"))
    drawn = evaluate.draw_run(*sets, JOINT, 0, settings.protocol)
    train, test = (evaluate.framed(samples, frozen.image_size, settings.protocol) for samples in drawn)
    return frozen, base, train, test, JOINT, settings
