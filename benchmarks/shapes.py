"""The models that are timed: the figures model, and random weights in the shapes of Stable Diffusion."""

import tempfile
from functools import cache
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel

from kp_helpers import diffusion
from kp_helpers.diffusion import Diffusion

SHAPES = ("figures", "sd15", "sdxl", "small")
"""The last is Stable Diffusion 1.5's with few channels, to try a script where there is no GPU."""
_SD15 = {
    "sample_size": 64,
    "block_out_channels": (320, 640, 1280, 1280),
    "layers_per_block": 2,
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
_UNETS = {
    "sd15": _SD15,
    "small": {**_SD15, "sample_size": 16, "block_out_channels": (32, 32, 64, 64), "cross_attention_dim": 32},
    "sdxl": {
        "sample_size": 128,
        "block_out_channels": (320, 640, 1280),
        "layers_per_block": 2,
        "cross_attention_dim": 2048,
        "attention_head_dim": [5, 10, 20],
        "transformer_layers_per_block": [1, 2, 10],
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
"""Settings of the published U-Nets."""


def load(shape: str, device: str) -> Diffusion:
    """A frozen model of the shape in float32; text is not timed, so only figures has a text encoder."""
    return diffusion.load("figures", device) if shape == "figures" else _random(shape, device)


def _random(shape: str, device: str) -> Diffusion:
    torch.manual_seed(0)
    with torch.device(device):
        unet = UNet2DConditionModel(**_UNETS[shape])
        vae = _vae(32 if shape == "small" else 128)
    for network in (unet, vae):
        network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    vae.save_pretrained(_folder() / "vae")  # the read-out cache knows a model by its VAE's file too
    name = f"{shape} shape, random weights"
    return Diffusion(unet, vae, None, None, scheduler, name, "none", "none", _folder())


def _vae(channels: int) -> AutoencoderKL:
    vae = AutoencoderKL(
        sample_size=512,
        block_out_channels=(channels, 2 * channels, 4 * channels, 4 * channels),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=4,
        scaling_factor=0.18215,
    )
    vae.decoder = None  # images are only encoded
    return vae


@cache
def _folder() -> Path:
    """A temporary folder that lives as long as the process."""
    _folder.own = tempfile.TemporaryDirectory()
    return Path(_folder.own.name)
