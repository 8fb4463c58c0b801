"""The models that are timed: the figures model, and random weights in Stable Diffusion 1.5's shape."""

import tempfile
from functools import cache
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel

from kp_helpers import diffusion
from kp_helpers.diffusion import Diffusion

SHAPES = ("figures", "sd15")


def load(shape: str, device: str) -> Diffusion:
    """A frozen model of the shape in float32; text is not timed, so sd15 has no text encoder."""
    return diffusion.load("figures", device) if shape == "figures" else _sd15(device)


def _sd15(device: str) -> Diffusion:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=64,
        block_out_channels=(320, 640, 1280, 1280),
        layers_per_block=2,
        cross_attention_dim=768,
        attention_head_dim=8,
    )
    vae = AutoencoderKL(
        sample_size=512,
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
        scaling_factor=0.18215,
    )
    vae.decoder = None  # images are only encoded
    for network in (unet, vae):
        network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    vae.save_pretrained(_folder() / "vae")  # the read-out cache knows a model by its VAE's file too
    return Diffusion(unet, vae, None, None, scheduler, "sd15 shape, random weights", "none", _folder())


@cache
def _folder() -> Path:
    """A temporary folder that lives as long as the process."""
    _folder.own = tempfile.TemporaryDirectory()
    return Path(_folder.own.name)
