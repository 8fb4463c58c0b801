"""The U-Net: SD's layout, conditioned on the text tower; both learn to denoise and to point."""

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel

from kp_helpers.figures.training.batches import Shelf
from kp_helpers.figures.training.clip import WIDTH
from kp_helpers.figures.training.grounding import (
    LIMBS_BELOW,
    LIMBS_WEIGHT,
    SHARES_WEIGHT,
    Recorded,
    grounding_losses,
)
from kp_helpers.figures.training.loop import LoopSettings

CLOCK = {"unet": 5 / 8, "plain": 3 / 8}
"""How the twins divide the minutes: without the grounding losses a step costs less."""
FURTHER = 0.65
"""Share of the learning rate for going on from a trained model."""
SAMPLES = 400_000
"""Samples that the recipe shows the U-Net on a CPU; a GPU sees what its minutes allow."""
BATCH = {"cpu": 16, "cuda": 512}
LEARNING_RATE = {"cpu": 1e-3, "cuda": 1.5e-3}
SETTINGS = {
    device: LoopSettings(
        steps=SAMPLES // BATCH[device],
        learning_rate=LEARNING_RATE[device],
        warmup=200,
        decay=0.3,
        averaging=0.998,
        compiled=True,
    )
    for device in BATCH
}
_LOW_NOISE = 0.55
"""Share of each batch with noise levels below `LIMBS_BELOW`; the others are even over all levels."""
_ENDING_HIDDEN = 0.6
"""Share of captions whose end and padding tokens are hidden. Those sum up the whole caption; without them
the U-Net has to look each thing up at its own word."""


def new_unet() -> UNet2DConditionModel:
    """An untrained U-Net: three read-out layers at 16 x 16 and the first of two at 32 x 32."""
    return UNet2DConditionModel(
        sample_size=32,
        block_out_channels=(48, 96, 128),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        layers_per_block=(1, 2, 1),
        attention_head_dim=(2, 4, 4),
        cross_attention_dim=WIDTH,
        norm_num_groups=8,
    )


def new_scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise schedule; the U-Net predicts v, which keeps the words useful at high noise."""
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
    )


def unet_loss(model: Recorded, shelf: Shelf, batch: int, grounded: bool, device: str):
    """`loss_at(step)`: the squared error of the predicted v, and where `grounded` the two grounding losses.

    The plain twin is shown the same samples at the same noise levels.
    """
    alphas = new_scheduler().alphas_cumprod.to(device)
    ending = int(shelf.numbers[-1])
    ground = torch.compile(grounding_losses) if device == "cuda" else grounding_losses

    def loss_at(step: int) -> dict[str, torch.Tensor]:
        generator = torch.Generator(device).manual_seed(step)
        clean, tokens, named = shelf.draw(generator, batch)
        context = model.tower(tokens).last_hidden_state
        timestep = draw_timesteps(generator, batch, device)
        hidden = torch.rand(batch, 1, generator=generator, device=device) < _ENDING_HIDDEN
        noise = torch.randn(clean.shape, generator=generator, device=device)
        signal = alphas[timestep].sqrt()[:, None, None, None]
        spread = (1 - alphas[timestep]).sqrt()[:, None, None, None]
        noisy = signal * clean + spread * noise
        predicted, maps = model(noisy, timestep, context, ~(hidden & (tokens == ending)))
        denoising = (predicted.float() - (signal * noise - spread * clean)).square().mean()
        if not grounded:
            return {"loss": denoising, "denoising": denoising}
        with torch.autocast(device, enabled=False):
            terms = ground(maps, named, timestep)
        loss = denoising + SHARES_WEIGHT * terms["shares"] + LIMBS_WEIGHT * terms["limbs"]
        return {"loss": loss, "denoising": denoising, **terms}

    return loss_at


def draw_timesteps(generator: torch.Generator, count: int, device: str) -> torch.Tensor:
    """Timesteps (count,): more than half of them even over 0..199, the others even over 0..999."""
    even = torch.randint(1000, (count,), generator=generator, device=device)
    low = torch.randint(LIMBS_BELOW, (count,), generator=generator, device=device)
    chance = torch.rand(count, generator=generator, device=device)
    return torch.where(chance < _LOW_NOISE, low, even)
