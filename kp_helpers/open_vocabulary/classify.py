"""Which class a mask has: by the head, by CLIP and by the U-Net's own words, and their geometric mean (9)."""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F

from kp_helpers import attention
from kp_helpers.attention.nouns import mask_logits, noun_keys
from kp_helpers.figures.pictures import square_box
from kp_helpers.open_vocabulary.classes import LABELS, WORDS
from kp_helpers.open_vocabulary.features import Frozen

Probabilities = dict[str, torch.Tensor]
"""p (Q, C) of each part: "diffusion" is the head's, "clip" CLIP's, "words" the U-Net's own."""


@torch.no_grad()
def clip_text(frozen: Frozen, names: Sequence[str], phrases: Sequence[str] = LABELS) -> torch.Tensor:
    """T(C) of CLIP, (C, P, E) of length 1: each class in each of the phrases."""
    network = frozen.clip.network
    texts = [phrase.format(name) for name in names for phrase in phrases]
    tokens = frozen.model.tokenizer(texts, padding="max_length", truncation=True, return_tensors="pt")
    pooled = network.text_model(tokens.input_ids).pooler_output
    return F.normalize(network.text_projection(pooled), dim=-1).unflatten(0, (len(names), len(phrases)))


@torch.no_grad()
def by_crops(frozen: Frozen, image: torch.Tensor, masks: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """p(z', C) of CLIP, (Q, C): z' is V of the square round each mask. The shipped CLIP learned from such.

    image: (3, H, W) in [0,1]. masks: (Q, H, W) bool. text: (C, P, E), of which the best phrase counts.
    """
    crops = torch.stack([_crop(image, mask, frozen.clip.pixels.size) for mask in masks])
    products = torch.einsum("qe,cpe->qcp", frozen.clip.embed(crops), text).amax(dim=-1)
    return (frozen.clip.network.logit_scale.exp() * products).softmax(dim=-1)


def _crop(image: torch.Tensor, mask: torch.Tensor, size: int) -> torch.Tensor:
    """The square round a mask, enlarged; of an empty mask the whole picture."""
    rows, columns = mask.any(dim=1).nonzero()[:, 0], mask.any(dim=0).nonzero()[:, 0]
    if len(rows):
        x0, y0, x1, y1 = square_box(rows.tolist(), columns.tolist(), tuple(mask.shape))
        image = image[:, y0:y1, x0:x1]
    return F.interpolate(image[None], (size, size), mode="bilinear", antialias=True)[0]


@torch.no_grad()
def word_keys(
    frozen: Frozen, names: Sequence[str], phrases: Sequence[str] = WORDS
) -> dict[str, torch.Tensor]:
    """Keys of the last token of each class's name in each phrase, (C, P, heads, d) by read-out layer."""
    model, nouns = frozen.model, []
    for text in (phrase.format(name) for name in names for phrase in phrases):
        length = min(len(model.tokenizer(text).input_ids), model.tokenizer.model_max_length)
        nouns.append(model.encode_text([text])[0, length - 2])
    return noun_keys(model.unet, torch.stack(nouns).unflatten(0, (len(names), len(phrases))))


@torch.no_grad()
def by_words(
    frozen: Frozen, image: torch.Tensor, masks: torch.Tensor, keys: dict[str, torch.Tensor]
) -> torch.Tensor:
    """p (Q, C) of the U-Net's own words: softmax over the logits of each name's best phrase.

    image: (3, H, W) in [0,1], seen in one pass under the empty caption. masks: (Q, H, W) bool.
    """
    noised = frozen.noised(frozen.model.encode_image(image[None]))
    queries = attention.queries(frozen.model.unet, noised, frozen.level, frozen.empty.to(noised))
    return mask_logits(queries, masks.to(noised.device), keys).amax(dim=-1).softmax(dim=-1).cpu()


def geometric_mean(
    parts: Probabilities, weights: Mapping[str, tuple[float, float]], unseen: torch.Tensor
) -> torch.Tensor:
    """p ~ prod_j p_j^w_j, (Q, C), normalised; w_j is a pair, for seen and for unseen classes.

    unseen: (C,) bool.
    """
    logs = 0
    for part, (for_seen, for_unseen) in weights.items():
        logs = logs + torch.where(unseen, for_unseen, for_seen) * parts[part].clamp(min=1e-8).log()
    return logs.softmax(dim=-1)
