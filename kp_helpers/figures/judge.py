"""Measures that a CLIP takes: captions of pictures and samples, classes of crops, and edited pairs."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cosine_similarity, interpolate, normalize
from transformers import CLIPModel, CLIPTokenizer

from kp_helpers.figures.held_out import HeldOut
from kp_helpers.figures.model import load_clip
from kp_helpers.figures.palette import COLOURS
from kp_helpers.figures.pictures import crops_of
from kp_helpers.figures.scene import THINGS
from kp_helpers.figures.training.clip import cut, to_pixels, tokenize


@torch.no_grad()
def similarity(
    clip: CLIPModel, tokenizer: CLIPTokenizer, images: np.ndarray, texts: list[str]
) -> torch.Tensor:
    """Cosine similarities (n images, m texts); images (n, 128, 128, 3) uint8."""
    return clip(input_ids=tokenize(tokenizer, texts), pixel_values=to_pixels(images)).logits_per_image


def top1_among(clip, tokenizer, images: np.ndarray, texts: list[str], group: int) -> float:
    """Share of pictures whose own caption is the most similar of its group of `group`."""
    hits = []
    for first in range(0, len(images) - group + 1, group):
        part = slice(first, first + group)
        found = similarity(clip, tokenizer, images[part], texts[part]).argmax(1)
        hits.append((found == torch.arange(group)).float())
    return float(torch.cat(hits).mean())


@torch.no_grad()
def crop_classes(clip, tokenizer, pictures: HeldOut) -> float:
    """Zero-shot accuracy on crops of things: the kind whose sentences, over all colours, fit best."""
    images, boxes, kinds = [], [], []
    for picture, scene in zip(pictures.pictures, pictures.scenes, strict=True):
        for text, box in crops_of(picture, scene):
            if text.split()[-1] in THINGS:
                images.append(picture.image)
                boxes.append(box)
                kinds.append(THINGS.index(text.split()[-1]))
    texts = [f"a {colour} {kind}" for kind in THINGS for colour in COLOURS]
    crops = cut(torch.from_numpy(np.stack(images)), torch.tensor(boxes))
    scores = clip(input_ids=tokenize(tokenizer, texts), pixel_values=crops).logits_per_image
    found = scores.view(len(crops), len(THINGS), len(COLOURS)).amax(-1).argmax(-1)
    return float((found == torch.tensor(kinds)).float().mean())


@dataclass(frozen=True)
class Similarities:
    """Of n pairs: cosines between the pictures, of the worse of both pictures to its caption, and between the
    change of the pictures and the change of the captions; (n,) each.
    """

    pictures: torch.Tensor
    captions: torch.Tensor
    direction: torch.Tensor


class Judge:
    """A shipped CLIP, "clip" or "judge", that compares pictures and captions before and after an edit."""

    def __init__(self, part: str = "clip"):
        self.clip, self.tokenizer = load_clip(part)

    @torch.no_grad()
    def of_pictures(self, images: torch.Tensor) -> torch.Tensor:
        """Embeddings (n, D) of length 1 of images (n, 3, H, W) in [0,1] of any size."""
        side = self.clip.config.vision_config.image_size
        if images.shape[-2:] != (side, side):
            images = interpolate(images, size=(side, side), mode="area")
        parts = [self.clip.vision_model(pixel_values=2 * part - 1).pooler_output for part in images.split(50)]
        return normalize(self.clip.visual_projection(torch.cat(parts)), dim=-1)

    @torch.no_grad()
    def of_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Embeddings (n, D) of length 1 of captions."""
        tokens = tokenize(self.tokenizer, list(texts))
        return normalize(self.clip.text_projection(self.clip.text_model(tokens).pooler_output), dim=-1)

    def similarities(
        self, before: torch.Tensor, after: torch.Tensor, captions: Sequence[str], edited: Sequence[str]
    ) -> Similarities:
        """Of pairs of images (n, 3, H, W) in [0,1] with their captions."""
        old, new, said, wanted = (
            self.of_pictures(before),
            self.of_pictures(after),
            self.of_texts(captions),
            self.of_texts(edited),
        )
        worse = torch.minimum(cosine_similarity(old, said), cosine_similarity(new, wanted))
        return Similarities(cosine_similarity(old, new), worse, cosine_similarity(new - old, wanted - said))
