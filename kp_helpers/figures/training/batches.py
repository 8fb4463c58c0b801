"""What the U-Net is shown: latents and captions of whole pictures, of halved ones, and of windows of them."""

from collections.abc import Callable

import numpy as np
import torch
from tqdm.auto import trange

from kp_helpers.figures.training.clip import to_pixels

Batch = tuple[torch.Tensor, list[str]]
"""Latents (B, 4, s, s) float32 and their captions."""
Draw = Callable[[np.random.Generator], Batch]
_WINDOW = 16
"""Side of a window in latent pixels, half of a picture's."""
_LEAST_SHARE = 0.6
"""A thing is named in a window that holds at least this share of its box."""


@torch.no_grad()
def encode_pictures(vae, images: np.ndarray, device: str, shrink: int = 1, batch: int = 64) -> torch.Tensor:
    """Latents (n, 4, s, s) float16, s = 32 / shrink, of unit variance; every other picture is mirrored first.

    `shrink` 2 halves the pictures before they are encoded.
    """
    latents = torch.empty(len(images), 4, 32 // shrink, 32 // shrink, dtype=torch.float16)
    for first in trange(0, len(images), batch, desc="latents", mininterval=5):
        pixels = to_pixels(images[first : first + batch]).to(device)
        pixels[1::2] = pixels[1::2].flip(-1)
        pixels = torch.nn.functional.avg_pool2d(pixels, shrink)
        mean = vae.encode(pixels).latent_dist.mean * vae.config.scaling_factor
        latents[first : first + batch] = mean.half().cpu()
    return latents


def whole(latents: torch.Tensor, captions: list[list[str]], batch: int) -> Draw:
    """Draws whole pictures, each with one of its captions."""

    def draw(rng: np.random.Generator) -> Batch:
        rows = rng.integers(len(latents), size=batch)
        texts = [captions[row][int(rng.integers(len(captions[row])))] for row in rows]
        return latents[rows].float(), texts

    return draw


def windows(latents: torch.Tensor, crops: list, batch: int) -> Draw:
    """Draws windows of 16 x 16 latents at full scale; the caption names the few things that they hold."""

    def draw(rng: np.random.Generator) -> Batch:
        cut, texts = [], []
        for row in rng.integers(len(latents), size=batch):
            top, left = rng.integers(0, latents.shape[-1] - _WINDOW + 1, 2)
            cut.append(latents[row, :, top : top + _WINDOW, left : left + _WINDOW])
            texts.append(_window_caption(crops[row], bool(row % 2), 4 * left, 4 * top, rng))
        return torch.stack(cut).float(), texts

    return draw


def mixed(*draws: Draw) -> Draw:
    """Draws from each and puts the parts into one batch."""

    def draw(rng: np.random.Generator) -> Batch:
        parts = [one(rng) for one in draws]
        return torch.cat([latents for latents, _ in parts]), [text for _, texts in parts for text in texts]

    return draw


def _window_caption(crops: list, mirrored: bool, left: int, top: int, rng: np.random.Generator) -> str:
    """The things whose boxes lie mostly in the window of 64 pixels at (left, top), in any order."""
    side, named = 4 * _WINDOW, []
    for text, (x0, y0, x1, y1) in crops:
        if mirrored:
            x0, x1 = 128 - x1, 128 - x0
        wide = min(x1, left + side) - max(x0, left)
        high = min(y1, top + side) - max(y0, top)
        if wide > 0 and high > 0 and wide * high >= _LEAST_SHARE * (x1 - x0) * (y1 - y0):
            named.append(_phrase(text))
    rng.shuffle(named)
    return " and ".join([", ".join(named[:-1]), named[-1]]) if len(named) > 1 else "".join(named)


def _phrase(text: str) -> str:
    """ "a white shoes" as "white shoes", "a orange box" as "an orange box"."""
    _, colour, label = text.split()
    if label in ("hair", "trousers", "shoes"):
        return f"{colour} {label}"
    return f"{'an' if colour == 'orange' else 'a'} {colour} {label}"
