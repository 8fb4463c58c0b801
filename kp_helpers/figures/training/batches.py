"""What the U-Net is shown: latents of pictures and of their mirror images, captions, and what those name."""

from typing import NamedTuple

import numpy as np
import torch
from transformers import CLIPTokenizer

from kp_helpers.figures.lexicon import END, START, token_numbers
from kp_helpers.figures.pictures import Naming, exchange_sides
from kp_helpers.figures.training.clip import to_pixels
from kp_helpers.figures.training.grounding import Named

_EMPTY = 0.1
"""Share of captions that are dropped, so that the model also knows what to do without words."""
_SHORT = 0.15
"""Share of the short captions, which name one to three things as people type them."""


class Batch(NamedTuple):
    """Latents (B, 4, 32, 32) float32, tokens (B, 64) int64, and what the tokens name."""

    latents: torch.Tensor
    tokens: torch.Tensor
    named: Named


class Shelf:
    """Training pictures on the device: pictures can be added while batches are drawn."""

    def __init__(self, tokenizer: CLIPTokenizer, device: str):
        self.device = device
        self.numbers = torch.from_numpy(token_numbers(tokenizer)).to(device)
        self.exchanged = torch.from_numpy(exchange_sides()).to(device)
        self.empty = torch.full((64,), END, dtype=torch.uint8, device=device)
        self.empty[0] = START
        self.parts: list[tuple[torch.Tensor, ...]] = []
        self.kept: tuple[torch.Tensor, ...] = ()

    def __len__(self) -> int:
        return len(self.kept[0]) if self.kept else 0

    def add(self, latents: torch.Tensor, naming: Naming) -> None:
        """Put `latents` (n, 2, 4, 32, 32) float16, plain and mirrored, on the shelf with their naming."""
        fields = [torch.from_numpy(array) for array in naming.arrays().values()]
        more = tuple(field.to(self.device) for field in (latents, *fields))
        self.kept = tuple(map(torch.cat, zip(self.kept, more, strict=True))) if self.kept else more

    def draw(self, generator: torch.Generator, count: int) -> Batch:
        """`count` pictures, half of them mirrored, each with one of its captions or with none."""
        latents, regions, table, words, names = self.kept
        rows = self._integers(generator, count, len(latents))
        mirrored = self._integers(generator, count, 2)
        chance = torch.rand(2, count, generator=generator, device=self.device)
        wording = self._integers(generator, count, words.shape[1] - 1)
        wording = torch.where(chance[0] < _SHORT, words.shape[1] - 1, wording)
        told = (chance[1] >= _EMPTY)[:, None]
        turned = mirrored[:, None].bool()
        said = words[rows, wording]
        said = torch.where(turned, self.exchanged[said.long()], said)
        said = torch.where(told, said, self.empty)
        seen = regions[rows]
        seen = torch.where(turned[..., None], seen.flip(-1), seen)
        named = Named(seen, table[rows], names[rows, wording] * told[..., None])
        return Batch(latents[rows, mirrored].float(), self.numbers[said.long()], named)

    def _integers(self, generator: torch.Generator, count: int, below: int) -> torch.Tensor:
        return torch.randint(below, (count,), generator=generator, device=self.device)


@torch.no_grad()
def encode_pictures(vae, images: np.ndarray, device: str, batch: int = 64) -> torch.Tensor:
    """Latents (n, 2, 4, 32, 32) float16 of unit variance: of each picture and of its mirror image."""
    latents = torch.empty(len(images), 2, 4, 32, 32, dtype=torch.float16)
    for first in range(0, len(images), batch):
        pixels = to_pixels(images[first : first + batch]).to(device)
        for turn, view in enumerate((pixels, pixels.flip(-1))):
            mean = vae.encode(view).latent_dist.mean * vae.config.scaling_factor
            latents[first : first + batch, turn] = mean.half().cpu()
    return latents
