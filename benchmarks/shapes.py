"""The models that are timed: the figures model, and random weights in the shapes of the published models."""

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel

from kp_helpers import diffusion
from kp_helpers.diffusion import Diffusion
from kp_helpers.diffusion.single_file import PUBLISHED

SHAPES = ("figures", "sd15", "sd21", "sdxl", "small")
"""The last is Stable Diffusion 1.5's with few channels, to try a script where there is no GPU."""
_SMALL = {
    "unet": {"sample_size": 16, "block_out_channels": (32, 32, 64, 64), "cross_attention_dim": 32},
    "vae": {"block_out_channels": (32, 64, 128, 128)},
}


def load(shape: str, device: str, dtype: torch.dtype = torch.float32) -> Diffusion:
    """A frozen model of the shape; text is not timed, so the published shapes have no text encoder."""
    if shape == "figures":
        return diffusion.load("figures", device, dtype)
    small = shape == "small"
    folder = PUBLISHED / ("sd15" if small else shape)
    kinds = {"unet": UNet2DConditionModel, "vae": AutoencoderKL}
    unet, vae = (
        _random(
            kind, kind.load_config(folder, subfolder=part) | (_SMALL[part] if small else {}), dtype, device
        )
        for part, kind in kinds.items()
    )
    vae.decoder = None  # images are only encoded
    for network in (unet, vae):
        network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    scheduler = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    name = f"{shape}, random weights"
    parts = {"unet": unet, "vae": vae, "tokenizer": None, "text_encoder": None, "scheduler": scheduler}
    return Diffusion(**parts, name=name, fingerprint=name, vae_fingerprint=name, folder=folder)


def _random(kind: type, config: dict, dtype: torch.dtype, device: str) -> torch.nn.Module:
    """A network with random weights that never take more memory than its own."""
    generator = torch.Generator(device).manual_seed(0)
    with torch.device("meta"):
        network = kind.from_config(config).to(dtype)
    network.to_empty(device=device)
    with torch.no_grad():
        for name, tensor in network.named_parameters():
            if tensor.ndim > 1:
                tensor.normal_(0, tensor[0].numel() ** -0.5, generator=generator)
            else:
                tensor.fill_(name.endswith("weight"))  # of norms; a bias begins at zero
    return network
