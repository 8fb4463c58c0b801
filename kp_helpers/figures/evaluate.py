"""What the small model has learned, on held-out pictures: the table of its card."""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from diffusers import UNet2DConditionModel

from kp_helpers import diffusion as diffusion_module
from kp_helpers.figures import judge, pointing
from kp_helpers.figures.held_out import HeldOut, held_out
from kp_helpers.figures.model import generate, load_clip

SEARCHED = 48
"""Pictures on which noise levels are compared before the best one is measured on all."""


def evaluate(model: str = "figures", pictures: int = 256, samples: int = 64) -> dict:
    """All measures of a figures model by name; shares in [0, 1], PSNR in dB.

    `pointing_levels` holds the share by noise level and layer on the first 48 pictures; the level that is
    best there is `timestep`, and `pointing` is measured there on all pictures.
    """
    diffusion = diffusion_module.load(model)
    data = held_out(pictures)
    clip, tokenizer = load_clip("clip", diffusion.folder)
    few = HeldOut(data.scenes[:SEARCHED], data.pictures[:SEARCHED], data.captions[:SEARCHED])
    levels = {level: pointing.pointing_hits(diffusion, few, level) for level in pointing.LEVELS}
    best = max(levels, key=lambda level: pointing.mean_over_words(pointing.by_word(levels[level])))
    trained = pointing.pointing_hits(diffusion, data, best)
    control = pointing.pointing_hits(untrained(diffusion), data, best)
    shares = pointing.by_word(trained)
    return {
        "model": diffusion.fingerprint,
        "pictures": pictures,
        "psnr": psnr(diffusion, data.images),
        "clip_top1_of_64": judge.top1_among(clip, tokenizer, data.images, data.texts, min(64, pictures)),
        "clip_crop_class": judge.crop_classes(clip, tokenizer, data),
        "timestep": best,
        "pointing": shares,
        "pointing_mean": pointing.mean_over_words(shares),
        "pointing_random": pointing.by_word(control),
        "pointing_random_mean": pointing.mean_over_words(pointing.by_word(control)),
        "pointing_noun": pointing.by_word(trained, "noun"),
        "pointing_colour": pointing.by_word(trained, "colour"),
        "pointing_levels": _levels(levels),
        "samples_top1_of_16": samples_top1(diffusion, data.texts[:samples]),
    }


@torch.no_grad()
def psnr(diffusion, images: np.ndarray) -> float:
    """Mean PSNR in dB of encoding and decoding pictures (n, 128, 128, 3) uint8."""
    found = []
    for image in images:
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
        latents = diffusion.encode_image(pixels) / diffusion.vae.config.scaling_factor
        rebuilt = (diffusion.vae.decode(latents).sample / 2 + 0.5).clamp(0, 1)
        found.append(-10 * torch.log10((rebuilt - pixels).square().mean()))
    return float(torch.stack(found).mean())


def samples_top1(diffusion, captions: list[str]) -> float:
    """Share of generated pictures whose caption the judge, a CLIP from another seed, finds among 16."""
    clip, tokenizer = load_clip("judge", diffusion.folder)
    images = generate(captions, folder=diffusion.folder)
    return judge.top1_among(clip, tokenizer, images, captions, min(16, len(captions)))


def tables(measures: dict) -> dict[str, pd.DataFrame]:
    """The measures as tables: the single numbers, the words, and the noise levels by layer."""
    single = (
        "psnr",
        "clip_top1_of_64",
        "clip_crop_class",
        "timestep",
        "pointing_mean",
        "pointing_random_mean",
        "samples_top1_of_16",
    )
    words = {
        name: measures[name] for name in ("pointing", "pointing_noun", "pointing_colour", "pointing_random")
    }
    return {
        "measures": pd.DataFrame({"value": [measures[name] for name in single]}, index=list(single)).round(3),
        "words": pd.DataFrame(words).round(3),
        "levels": pd.DataFrame(measures["pointing_levels"]).T.round(3),
    }


def untrained(diffusion):
    """The same model with a U-Net of random weights, always the same ones."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel.from_config(diffusion.unet.config).eval().requires_grad_(False)
    return replace(diffusion, unet=unet.to(diffusion.device))


def _levels(levels: dict[int, list[dict]]) -> dict[str, dict[str, float]]:
    """Mean share over the words, by layer and noise level."""
    layers = sorted({row["layer"] for row in levels[pointing.LEVELS[0]]})
    return {
        layer: {
            str(level): pointing.mean_over_words(pointing.by_word(rows, layer=layer))
            for level, rows in levels.items()
        }
        for layer in layers
    }
