"""Training of the instructed model: equation (1) of InstructPix2Pix, on pairs of pictures."""

from pathlib import Path
from typing import NamedTuple

import torch
from diffusers.models.attention_processor import AttnProcessor

from kp_helpers.diffusion import Diffusion
from kp_helpers.editing.instructed import context_of, in_precision, widened
from kp_helpers.editing.pairs import Pairs
from kp_helpers.figures.training.loop import LoopSettings, train

WINDOW = 0.5
"""Side of a window over the picture's."""
DROPPED = 0.05
"""Share of the samples without instruction, without picture, and without both: 5 % each."""
_HIGH_NOISE, _HIGH_FROM = 0.6, 400
"""Share of the noise levels from 400 up, where the edit is decided; the others are even over all levels."""
_CHANGED = 0.1
"""A place of the latents whose mean difference is larger counts as changed."""


class Recipe(NamedTuple):
    """batch: pairs of a step. whole: of so many steps one shows all of each picture; the others show a window
    round something that changes, which is a fifth of the work.
    """

    settings: LoopSettings
    batch: int
    whole: int


ON_CPU = Recipe(LoopSettings(4000, learning_rate=8e-4, warmup=100, decay=0.35, averaging=0.997), 8, 8)
ON_GPU = Recipe(LoopSettings(4000, learning_rate=1.2e-3, warmup=100, decay=0.4, averaging=0.998), 512, 1)


def recipe(device: torch.device) -> Recipe:
    """What a device has time for."""
    return ON_GPU if device.type == "cuda" else ON_CPU


class Batch(NamedTuple):
    """Latents before and after (B, 4, h, w), their instructions, whose picture is left out (B,), noise levels
    (B,) and noise like `after`.
    """

    before: torch.Tensor
    after: torch.Tensor
    texts: list[str]
    no_picture: torch.Tensor
    timestep: torch.Tensor
    noise: torch.Tensor


def draw(pairs: Pairs, step: int, recipe: Recipe = ON_CPU) -> Batch:
    """The batch of a step, which the step's number alone chooses."""
    count, generator = recipe.batch, torch.Generator().manual_seed(step)
    rows = torch.randint(len(pairs), (count,), generator=generator).tolist()
    wordings = torch.rand(count, generator=generator).tolist()
    no_text, no_picture = dropped(count, generator)
    texts = []
    for row, wording, gone in zip(rows, wordings, no_text, strict=True):
        said = pairs.instructions[row]
        texts.append("" if gone else said[int(wording * len(said))])
    before, after = pairs.before[rows].float(), pairs.after[rows].float()
    if step % recipe.whole:
        before, after = windows(before, after, generator)
    timestep = draw_timesteps(count, generator)
    noise = torch.randn(after.shape, generator=generator)
    return Batch(before, after, texts, no_picture, timestep, noise)


def loss_at(
    diffusion: Diffusion, unet, pairs: Pairs, step: int, precision: torch.dtype | None = None
) -> torch.Tensor:
    """Equation (1): E || eps - eps_theta(z_t, t, E(c_I), c_T) ||^2 of the batch of a step.

    The figures model predicts v = sqrt(abar) eps - sqrt(1 - abar) z in the place of eps, so its squared error
    is taken. The places that change weigh as the root of their area, as a region does in the grounding loss:
    a pair of shoes is one percent of a picture. precision: as for `in_precision`.
    """
    device = diffusion.device
    batch = draw(pairs, step, recipe(device))
    abar = diffusion.scheduler.alphas_cumprod[batch.timestep][:, None, None, None]
    noised = abar.sqrt() * batch.after + (1 - abar).sqrt() * batch.noise
    wanted = abar.sqrt() * batch.noise - (1 - abar).sqrt() * batch.after
    picture = batch.before / diffusion.vae.config.scaling_factor * ~batch.no_picture[:, None, None, None]
    context = context_of(diffusion, batch.texts)
    seen = torch.cat([noised, picture], dim=1).to(context)
    with in_precision(device, precision):
        predicted = unet(seen, batch.timestep.to(device), context).sample
    error = (predicted.float() - wanted.to(device)).square().mean(dim=1)
    return (weights(batch.before, batch.after).to(device) * error).mean()


def windows(before: torch.Tensor, after: torch.Tensor, generator: torch.Generator) -> tuple:
    """Of each pair the same window of both, which holds a place that changes."""
    height, width = before.shape[-2:]
    side = int(WINDOW * width)
    places = torch.multinomial(changed(before, after).flatten(1) + 1e-6, 1, generator=generator)[:, 0]
    slack = torch.rand(2, len(before), generator=generator)
    cut = []
    for n, place in enumerate(places.tolist()):
        row, column = (
            min(max(int(middle - (side - 1) * share), 0), size - side)
            for middle, share, size in zip(
                divmod(place, width), slack[:, n].tolist(), (height, width), strict=True
            )
        )
        cut.append((n, slice(None), slice(row, row + side), slice(column, column + side)))
    return torch.stack([before[one] for one in cut]), torch.stack([after[one] for one in cut])


def changed(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """(n, h, w), 1 at the places that an edit changes."""
    return ((after - before).abs().mean(dim=1) > _CHANGED).float()


def dropped(count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Which of `count` samples lose their instruction and which their picture, bool (count,) each.

    One even number r decides: the instruction goes below .10, the picture from .05 to .15.
    """
    r = torch.rand(count, generator=generator)
    return r < 2 * DROPPED, (r >= DROPPED) & (r < 3 * DROPPED)


def draw_timesteps(count: int, generator: torch.Generator) -> torch.Tensor:
    """Noise levels (count,), more of them high than low."""
    even = torch.randint(1000, (count,), generator=generator)
    high = torch.randint(_HIGH_FROM, 1000, (count,), generator=generator)
    return torch.where(torch.rand(count, generator=generator) < _HIGH_NOISE, high, even)


def weights(before: torch.Tensor, after: torch.Tensor) -> torch.Tensor:
    """Weights (n, h, w) of mean 1: the changed share a of the places has sqrt(a) of the weight."""
    places = changed(before, after)
    area = places.mean(dim=(1, 2), keepdim=True).clamp(1e-3, 1 - 1e-3)
    inside, outside = area.rsqrt(), (1 - area.sqrt()) / (1 - area)
    spread = inside * places + outside * (1 - places)
    return spread / spread.mean(dim=(1, 2), keepdim=True)


def train_instructed(diffusion: Diffusion, pairs: Pairs, folder: Path, settings: LoopSettings, start=None):
    """Train from the base U-Net, or from the instructed one `start`, or go on from where `folder` stopped;
    returns the averaged U-Net.
    """
    unet = start or widened(diffusion.unet)
    unet = unet.float().to(memory_format=torch.channels_last).requires_grad_(True)
    if diffusion.device.type == "cpu":
        unet.set_attn_processor(AttnProcessor())  # its backward pass is faster there than the fused one's

    def loss(step: int) -> dict[str, torch.Tensor]:
        return {"loss": loss_at(diffusion, unet, pairs, step)}

    return train(unet, loss, settings, folder, diffusion.device.type).eval()
