"""What the small model has learned, on held-out pictures: the table of its card."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from diffusers import UNet2DConditionModel

from kp_helpers import diffusion as diffusion_module
from kp_helpers.diffusion import Diffusion
from kp_helpers.figures import joint_fits, judge, pointing
from kp_helpers.figures.held_out import HeldOut, held_out
from kp_helpers.figures.joint_fits import taught
from kp_helpers.figures.model import generate, load_clip

SEARCHED = 48
"""Pictures on which the noise levels of words are compared."""
CHOSEN_BY = "20"
"""Number of labels of the ridge fits that choose the noise level."""


def evaluate(
    model: str = "figures", pictures: int = 256, samples: int = 64, world: Path | None = None
) -> dict:
    """All measures of a figures model by name; shares in [0, 1], PSNR in dB.

    `timestep` is the noise level at which a ridge fit with 20 labels finds most, mean over the joints, and
    `ridge_levels` has that mean by noise level. Words, limbs and joints are measured there. `pointing_levels`
    holds the share of words by layer and noise level on the first 48 pictures. world: as for `measure`.
    """
    diffusion = diffusion_module.load(model)
    data = held_out(pictures)
    clip, tokenizer = load_clip("clip", diffusion.folder)
    few = HeldOut(data.scenes[:SEARCHED], data.pictures[:SEARCHED], data.captions[:SEARCHED])
    one_person = joint_fits.pictures_for(diffusion)
    joints = {t: joint_fits.ridge_table(diffusion, one_person, t) for t in joint_fits.LEVELS}
    ridge_levels = {str(t): table["ridge_mean"][CHOSEN_BY] for t, table in joints.items()}
    best = int(max(ridge_levels, key=ridge_levels.get))
    control = pointing.by_word(pointing.pointing_hits(untrained(diffusion), data, best))
    levels = {t: pointing.pointing_hits(diffusion, few, t) for t in pointing.LEVELS}
    return {
        "model": diffusion.fingerprint,
        "pictures": pictures,
        "psnr": psnr(diffusion, data.images),
        "clip_top1_of_64": judge.top1_among(clip, tokenizer, data.images, data.texts, min(64, pictures)),
        "clip_crop_class": judge.crop_classes(clip, tokenizer, data),
        "timestep": best,
        **words_and_limbs(diffusion, data, best),
        "pointing_random": control,
        "pointing_random_mean": pointing.mean_over_words(control),
        "pointing_levels": _levels(levels),
        **joints[best],
        "ridge_levels": ridge_levels,
        "samples_top1_of_16": samples_top1(diffusion, data.texts[:samples]),
        **(taught(diffusion, world) if world else {}),
    }


def measure(
    model: str = "figures", pictures: int = 80, timestep: int = 100, world: Path | None = None
) -> dict:
    """What training is followed by, in a minute or two: words, limbs and joints at one noise level.

    Named as in `evaluate`. world: where the figures world is or shall be exported, to add what five labels
    teach; None leaves it out.
    """
    diffusion = diffusion_module.load(model)
    return {
        "model": diffusion.fingerprint,
        "pictures": pictures,
        "timestep": timestep,
        **words_and_limbs(diffusion, held_out(pictures), timestep),
        **joint_fits.ridge_table(diffusion, joint_fits.pictures_for(diffusion), timestep),
        **(taught(diffusion, world) if world else {}),
    }


def words_and_limbs(diffusion: Diffusion, data: HeldOut, timestep: int) -> dict[str, dict | float]:
    """Shares of hits of the words, by phrase, noun and colour word, and `limbs`, from the same maps."""
    words, told = [], []
    for seen in pointing.word_maps(diffusion, data, timestep):
        words += pointing.word_rows(*seen)
        told += pointing.limb_rows(*seen)
    shares = {role: pointing.by_word(words, role) for role in ("phrase", "noun", "colour")}
    return {
        "pointing": shares["phrase"],
        "pointing_mean": pointing.mean_over_words(shares["phrase"]),
        "pointing_noun": shares["noun"],
        "pointing_noun_mean": pointing.mean_over_words(shares["noun"]),
        "pointing_colour": shares["colour"],
        "limbs": pointing.by_limb(told),
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
    images = generate(diffusion, captions)
    return judge.top1_among(clip, tokenizer, images, captions, min(16, len(captions)))


def untrained(diffusion):
    """The same model with a U-Net of random weights, always the same ones."""
    torch.manual_seed(0)
    unet = UNet2DConditionModel.from_config(diffusion.unet.config).eval().requires_grad_(False)
    return replace(diffusion, unet=unet.to(diffusion.device, diffusion.unet.dtype))


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


SINGLE = (
    *("psnr", "clip_top1_of_64", "clip_crop_class", "timestep", "pointing_mean", "pointing_noun_mean"),
    *("pointing_random_mean", "samples_top1_of_16"),
)
WORDS = ("pointing", "pointing_noun", "pointing_colour", "pointing_random")


def tables(measures: dict) -> dict[str, pd.DataFrame]:
    """The tables of what was measured, by `evaluate.evaluate` or `evaluate.measure`: the single numbers, the
    words, the limbs, the joints by number of labels, what labels teach, and the noise levels.
    """
    single = [name for name in SINGLE if name in measures]
    found = {
        "measures": pd.DataFrame({"value": [measures[name] for name in single]}, index=single).round(3),
        "words": pd.DataFrame({name: measures[name] for name in WORDS if name in measures}).round(3),
    }
    if measures.get("limbs"):
        found["limbs"] = pd.DataFrame.from_dict(measures["limbs"], orient="index").round(3)
    if "ridge" in measures:
        found["ridge"] = _ridge(measures)
    if "taught" in measures:
        found["taught"] = _with_intervals(measures["taught"], measures["taught_intervals"])
    if "pointing_levels" in measures:
        found["levels"] = pd.DataFrame(measures["pointing_levels"]).T.round(3)
    if "ridge_levels" in measures:
        found["ridge levels"] = pd.DataFrame({"ridge_mean": measures["ridge_levels"]}).T.round(3)
    return found


def _ridge(measures: dict) -> pd.DataFrame:
    """A row a joint: hits with their interval by number of labels, and the wrong sides of each."""
    hits = _with_intervals(measures["ridge"], measures["ridge_intervals"])
    hits.loc["mean"] = {size: f"{share:.2f}" for size, share in measures["ridge_mean"].items()}
    sides = pd.DataFrame.from_dict(measures["wrong_side"], orient="index").astype(float).round(2)
    return hits.join(sides.add_prefix("wrong side, "))


def _with_intervals(shares: dict[str, dict], intervals: dict[str, dict]) -> pd.DataFrame:
    """Rows and columns as in `shares`, each number with its interval."""
    texts = {
        row: {column: _text(share, intervals[row][column]) for column, share in own.items()}
        for row, own in shares.items()
    }
    return pd.DataFrame.from_dict(texts, orient="index")


def _text(share: float | None, interval: tuple[float, float] | None) -> str:
    return "" if share is None else f"{share:.2f} [{interval[0]:.2f}, {interval[1]:.2f}]"
