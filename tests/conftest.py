"""Fixtures that several test modules share."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def tiny_sd_folder(tmp_path_factory) -> Path:
    """A model folder of Stable Diffusion 1.5's layout, tiny, with random weights; not to be written to."""
    from helpers import tiny_sd

    return tiny_sd.make(tmp_path_factory.mktemp("models") / "tiny_sd")


@pytest.fixture(scope="session")
def warm_python(tmp_path_factory) -> Iterator[Path]:
    """A script that stands for `python` and has imported the kit's heavy libraries (`helpers.warm`)."""
    from helpers.warm import Warm

    if not hasattr(os, "pidfd_open"):  # Linux has it
        yield Path(sys.executable)
        return
    with Warm(tmp_path_factory.mktemp("warm")) as warm:
        yield warm.python


@pytest.fixture(scope="session")
def tiny_sd(tiny_sd_folder):
    """The loaded model of `tiny_sd_folder`."""
    from kp_helpers import diffusion

    return diffusion.load(tiny_sd_folder)


@pytest.fixture(scope="session")
def tiny_threedpw(tmp_path_factory) -> Path:
    """A folder of 3DPW's layout, three short sequences in each split; not to be written to."""
    from helpers import threedpw_folder

    root = tmp_path_factory.mktemp("data") / "tiny_3dpw"
    for split in ("train", "validation", "test"):
        for number in range(3):
            content = threedpw_folder.sequence_content(f"{split}_{number:02d}")
            threedpw_folder.write_sequence(root, split, content)
    return root


@pytest.fixture(scope="session")
def images():
    """Three pictures of noise, (3, 3, 128, 128)."""
    import torch

    return torch.rand(3, 3, 128, 128, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="session")
def two_images(images):
    return images[:2]


@pytest.fixture(scope="session")
def base(tiny_sd):
    """Twelve random tokens for `tiny_sd`, (12, D)."""
    from kp_helpers import embeddings

    return embeddings.initialise(12, tiny_sd.context_width, 5, scale=4.0)
