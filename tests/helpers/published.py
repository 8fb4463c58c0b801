"""The numbers of the published implementation, and the small U-Net that they were measured on."""

import json
import zlib
from functools import cache
from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel

NUMBERS = np.load(Path(__file__).parents[1] / "data" / "published_stage.npz")
CONFIG = json.loads(str(NUMBERS["config"]))


def tensor(name: str) -> torch.Tensor:
    """One array of the file as a tensor."""
    return torch.from_numpy(NUMBERS[name])


def noised(latents: str, noise: str) -> torch.Tensor:
    """sqrt(abar_t) z + sqrt(1 - abar_t) eps of two arrays."""
    signal = float(NUMBERS["alphas_cumprod_t"])
    return signal**0.5 * tensor(latents) + (1 - signal) ** 0.5 * tensor(noise)


@cache
def unet() -> UNet2DConditionModel:
    """The U-Net with weights from the rule that tests/data/README.md states."""
    network = UNet2DConditionModel(**CONFIG["unet"]).eval()
    values = {name: _values(name, parameter.shape) for name, parameter in network.state_dict().items()}
    network.load_state_dict(values)
    return network


def _values(name: str, shape: tuple[int, ...]) -> torch.Tensor:
    seed = zlib.crc32(name.encode()) + CONFIG["weights_seed"]
    z = np.random.default_rng(seed).standard_normal(shape)
    if len(shape) > 1:
        z = z / np.sqrt(np.prod(shape[1:]))
        z = 3 * z if name.endswith(("attn2.to_q.weight", "attn2.to_k.weight")) else z
    else:
        z = 1 + 0.1 * z if name.endswith("weight") else 0.02 * z
    return torch.from_numpy(z.astype(np.float32))
