"""The models that are timed: the figures model, and random weights in the shapes of the published models."""

from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel

from kp_helpers import diffusion
from kp_helpers.diffusion import Diffusion
from kp_helpers.diffusion.single_file import PUBLISHED

SHAPES = ("figures", "sd15", "sd21", "sdxl")


def load(shape: str, device: str, dtype: torch.dtype = torch.float32) -> Diffusion:
    """A frozen model of the shape; text is not timed, so the published shapes have no text encoder."""
    if shape == "figures":
        return diffusion.load("figures", device, dtype)
    folder = PUBLISHED / shape
    unet, vae = (_random(kind, folder, dtype) for kind in (UNet2DConditionModel, AutoencoderKL))
    vae.decoder = None  # images are only encoded
    for network in (unet, vae):
        network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    name = f"{shape}, random weights"
    parts = {"unet": unet, "vae": vae, "tokenizer": None, "text_encoder": None, "scheduler": scheduler}
    return Diffusion(**parts, name=name, fingerprint=name, vae_fingerprint=name, folder=folder)


def _random(kind: type, folder: Path, dtype: torch.dtype) -> torch.nn.Module:
    """A network with random weights that never take more memory than its own."""
    generator = torch.Generator().manual_seed(0)
    part = "unet" if kind is UNet2DConditionModel else "vae"
    with torch.device("meta"):
        network = kind.from_config(kind.load_config(folder, subfolder=part)).to(dtype)
    network.to_empty(device="cpu")
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            if tensor.ndim > 1:
                tensor.normal_(0, tensor[0].numel() ** -0.5, generator=generator)
            else:
                tensor.fill_(name.endswith("weight"))  # of norms; a bias begins at zero
    return network
