"""Stage 3: the U-Net, SD's layout, conditioned on the frozen text tower.

It starts on pictures of half the size, where a sample costs a quarter, goes on with windows at full scale
that hold a few things each, and ends on whole pictures: Stable Diffusion, too, went from 256 to 512 pixels.
"""

from typing import NamedTuple

import numpy as np
import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextModel, CLIPTokenizer

from kp_helpers.figures.training.batches import Draw
from kp_helpers.figures.training.clip import WIDTH, tokenize
from kp_helpers.figures.training.loop import LoopSettings

HALF_SETTINGS = LoopSettings(steps=2400, learning_rate=1e-3, warmup=300, decay=0.0, averaging=0.998)
WINDOW_SETTINGS = LoopSettings(steps=1300, learning_rate=1e-3, warmup=50, decay=0.0, averaging=0.998)
SETTINGS = LoopSettings(steps=3400, learning_rate=8e-4, warmup=50, decay=0.3, averaging=0.998)
HALF_BATCH, WINDOW_BATCH, BATCH = 24, 16, 16


class NoiseLevels(NamedTuple):
    """Which timesteps a stage favours: all alike in the share `even`, else a normal distribution."""

    even: float
    middle: float
    spread: float


WORDS = NoiseLevels(0.5, 650, 180)
"""Where words decide most what is to be seen."""
FEATURES = NoiseLevels(0.4, 300, 150)
"""Where attention is read later on: enough of the picture is left to tell the parts of a body."""
_EMPTY = 0.1
"""Share of captions that are dropped, so that the model also knows what to do without words."""
_ENDING_HIDDEN = 0.6
"""Share of captions whose end and padding tokens are hidden. Those sum up the whole caption; without them
the U-Net has to look each thing up at its own word."""


def new_unet() -> UNet2DConditionModel:
    """An untrained U-Net: three read-out layers at 16 x 16 and the first of two at 32 x 32."""
    return UNet2DConditionModel(
        sample_size=32,
        block_out_channels=(32, 80, 128),
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


def unet_loss(
    unet: UNet2DConditionModel,
    text_encoder: CLIPTextModel,
    tokenizer: CLIPTokenizer,
    draw: Draw,
    levels: NoiseLevels,
    device: str,
):
    """`loss_at(step)`: the squared error of the predicted v, at noise levels drawn as `levels` says."""
    alphas = new_scheduler().alphas_cumprod.to(device)

    def loss_at(step: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([step, 3])
        clean, texts = draw(rng)
        clean, batch = clean.to(device), len(texts)
        words = ["" if rng.random() < _EMPTY else text for text in texts]
        tokens = tokenize(tokenizer, words).to(device)
        with torch.no_grad():
            context = text_encoder(tokens).last_hidden_state
        hidden = torch.from_numpy(rng.random(batch) < _ENDING_HIDDEN).to(device)[:, None]
        shown = ~(hidden & (tokens == tokenizer.eos_token_id))
        timestep = torch.from_numpy(draw_timesteps(rng, batch, levels)).to(device)
        noise = torch.from_numpy(rng.standard_normal(clean.shape, dtype=np.float32)).to(device)
        signal = alphas[timestep].sqrt()[:, None, None, None]
        spread = (1 - alphas[timestep]).sqrt()[:, None, None, None]
        noisy = signal * clean + spread * noise
        predicted = unet(noisy, timestep, context, encoder_attention_mask=shown).sample
        return {"loss": (predicted.float() - (signal * noise - spread * clean)).square().mean()}

    return loss_at


def draw_timesteps(rng: np.random.Generator, count: int, levels: NoiseLevels) -> np.ndarray:
    """Timesteps (count,): the share `levels.even` of them even over 0..999, the others round its middle."""
    even = rng.integers(0, 1000, count)
    middle = rng.normal(levels.middle, levels.spread, count).clip(0, 999).astype(int)
    return np.where(rng.random(count) < levels.even, even, middle)
