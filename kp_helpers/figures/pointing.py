"""Does a word's attention land on its thing? The share of maxima inside the thing's mask."""

from collections import defaultdict

import torch
from tqdm.auto import tqdm

from kp_helpers import attention
from kp_helpers.diffusion import Diffusion
from kp_helpers.figures.held_out import HeldOut
from kp_helpers.figures.scene import CLOTHES, THINGS

WORDS = CLOTHES + THINGS
LEVELS = (50, 100, 200, 300, 400, 500, 600, 700, 800)
"""Noise levels of the table."""
_NOISE_SEED = 77


@torch.no_grad()
def pointing_hits(diffusion: Diffusion, pictures: HeldOut, timestep: int) -> list[dict]:
    """One row for each named thing of each picture: word, role, layer, and whether the maximum hit its mask.

    `role` is "noun", "colour" or "phrase", the mean of both maps; `layer` is a read-out layer or "mean".
    """
    rows = []
    for number, picture in enumerate(tqdm(pictures.pictures, desc=f"pointing, t = {timestep}", leave=False)):
        caption = pictures.captions[number]
        maps = _layer_maps(diffusion, picture.image, caption.text, timestep, number)
        for segment in picture.table:
            tokens = caption.tokens_of(segment.label, segment.entity)
            if segment.label not in WORDS or len(tokens) != 2:
                continue
            mask = torch.from_numpy(picture.segments == segment.number)
            roles = {"phrase": list(tokens.values()), **{role: [token] for role, token in tokens.items()}}
            for role, indices in roles.items():
                for layer, one in maps.items():
                    top = one[indices].mean(0).argmax()
                    rows.append(
                        {
                            "word": segment.label,
                            "role": role,
                            "layer": layer,
                            "hit": bool(mask.flatten()[top]),
                        }
                    )
    return rows


def _layer_maps(diffusion: Diffusion, image, text: str, timestep: int, seed: int) -> dict[str, torch.Tensor]:
    """Maps (L, 128, 128) of a caption's tokens by read-out layer, and their mean over the layers."""
    pixels = torch.tensor(image).permute(2, 0, 1)[None].float() / 255
    generator = torch.Generator().manual_seed(_NOISE_SEED + seed)
    latents = diffusion.add_noise(diffusion.encode_image(pixels), timestep, generator)
    context = diffusion.encode_text([text])
    asked = attention.queries(diffusion.unet, latents, timestep, context)
    maps = {q.layer: attention.maps_from_queries(diffusion.unet, [q], context, size=128)[0] for q in asked}
    return maps | {"mean": torch.stack(list(maps.values())).mean(0)}


def by_word(rows: list[dict], role: str = "phrase", layer: str = "mean") -> dict[str, float]:
    """Share of hits of every word."""
    hits = defaultdict(list)
    for row in rows:
        if row["role"] == role and row["layer"] == layer:
            hits[row["word"]].append(row["hit"])
    return {word: sum(hits[word]) / len(hits[word]) for word in WORDS if hits[word]}


def mean_over_words(shares: dict[str, float]) -> float:
    """The mean share, every word counting alike."""
    return sum(shares.values()) / len(shares)
