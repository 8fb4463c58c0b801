"""Stage 1: the autoencoder, 128 px to latents of 4 x 32 x 32, trained on random crops."""

import numpy as np
import torch
from diffusers import AutoencoderKL

from kp_helpers.figures.training.loop import LoopSettings

SETTINGS = LoopSettings(steps=2400, learning_rate=2e-3, averaging=0.998)
DECODER_SETTINGS = LoopSettings(steps=2000, learning_rate=1e-3, averaging=0.998)
BATCH, CROP = 8, 64
_KL_WEIGHT = 1e-6


def new_vae() -> AutoencoderKL:
    """An untrained autoencoder with SD's layout, two halvings instead of three."""
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        norm_num_groups=8,
        sample_size=128,
        mid_block_add_attention=False,
    )


def vae_loss(vae: AutoencoderKL, images: np.ndarray, device: str):
    """`loss_at(step)`: absolute plus squared error of the reconstruction, and a little KL to the normal."""

    def loss_at(step: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([step, 1])
        batch = torch.from_numpy(np.stack([_crop(images, rng) for _ in range(BATCH)])).to(device)
        batch = batch.permute(0, 3, 1, 2).float() / 127.5 - 1
        posterior = vae.encode(batch).latent_dist
        noise = torch.from_numpy(rng.standard_normal(posterior.mean.shape, dtype=np.float32)).to(device)
        rebuilt = vae.decode(posterior.mean + posterior.std * noise).sample
        squared = (rebuilt - batch).square().mean()
        kl = posterior.kl().mean()
        return {
            "loss": (rebuilt - batch).abs().mean() + 2 * squared + _KL_WEIGHT * kl,
            "squared": squared,
            "kl": kl,
        }

    return loss_at


@torch.no_grad()
def set_scaling_factor(vae: AutoencoderKL, images: np.ndarray, device: str) -> None:
    """Write into the config the factor that gives latents of `images` a standard deviation of one."""
    batch = torch.from_numpy(images).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
    vae.register_to_config(scaling_factor=round(float(1 / vae.encode(batch).latent_dist.mean.std()), 5))


def _crop(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    image = images[rng.integers(len(images))]
    top, left = rng.integers(0, image.shape[0] - CROP + 1, 2)
    window = image[top : top + CROP, left : left + CROP]
    return np.ascontiguousarray(window[:, ::-1] if rng.random() < 0.5 else window)
