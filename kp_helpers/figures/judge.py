"""Measures that a CLIP takes: captions of pictures and of generated samples, classes of crops."""

import numpy as np
import torch
from transformers import CLIPModel, CLIPTokenizer

from kp_helpers.figures.held_out import HeldOut
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
