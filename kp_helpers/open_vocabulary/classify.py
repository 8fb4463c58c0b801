"""Which class a mask has: by the head, by CLIP and by the U-Net's own words, and their geometric mean (9)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from kp_helpers import attention
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
    size = frozen.clip.pixels.size
    return by_text(frozen, frozen.clip.embed(torch.stack([_crop(image, mask, size) for mask in masks])), text)


@torch.no_grad()
def by_pooling(frozen: Frozen, image: torch.Tensor, masks: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """The same as ODISE has it: for each mask a copy of CLS that attends to the patches in the mask alone."""
    tower = frozen.clip.network.vision_model
    states = tower.pre_layrnorm(tower.embeddings(frozen.clip.pixels(image[None])))
    count = states.shape[1]
    side = round((count - 1) ** 0.5)
    inside = F.adaptive_max_pool2d(masks[:, None].float(), side).flatten(1) >= 0.5
    bias = torch.zeros(len(masks), 1, count, count)
    bias[:, 0, 0, 1:].masked_fill_(~inside, torch.finfo(bias.dtype).min)
    states = tower.encoder(states.expand(len(masks), -1, -1), attention_mask=bias).last_hidden_state
    pooled = frozen.clip.network.visual_projection(tower.post_layernorm(states[:, 0]))
    return by_text(frozen, F.normalize(pooled, dim=-1), text)


def by_text(frozen: Frozen, embeddings: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
    """p(z', C) (Q, C) of CLIP's embeddings (Q, E) and text (C, P, E), at CLIP's own temperature."""
    products = torch.einsum("qe,cpe->qcp", embeddings, text).amax(dim=-1)
    return (frozen.clip.network.logit_scale.exp() * products).softmax(dim=-1)


def _crop(image: torch.Tensor, mask: torch.Tensor, size: int) -> torch.Tensor:
    """The square round a mask, enlarged; of an empty mask the whole picture."""
    rows, columns = mask.any(dim=1).nonzero()[:, 0], mask.any(dim=0).nonzero()[:, 0]
    if len(rows):
        x0, y0, x1, y1 = square_box(rows.tolist(), columns.tolist(), tuple(mask.shape))
        image = image[:, y0:y1, x0:x1]
    return F.interpolate(image[None], (size, size), mode="bilinear", antialias=True)[0]


@dataclass(frozen=True)
class Words:
    """The U-Net's own words: keys of each class's noun in the read-out layers, (C, P, heads, d) by layer."""

    keys: dict[str, torch.Tensor]

    @classmethod
    @torch.no_grad()
    def of(cls, frozen: Frozen, names: Sequence[str], phrases: Sequence[str] = WORDS) -> "Words":
        """Keys of the last token of each class's name in each phrase."""
        nouns = torch.stack(
            [_noun(frozen.model, phrase.format(name)) for name in names for phrase in phrases]
        )
        keys = {}
        for layer in attention.readout_layers(frozen.model.unet):
            module = frozen.model.unet.get_submodule(layer)
            own = module.to_k(nouns).unflatten(-1, (module.heads, -1))
            keys[layer] = own.unflatten(0, (len(names), len(phrases)))
        return cls(keys)

    @torch.no_grad()
    def classes(self, frozen: Frozen, image: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """p (Q, C): softmax of each noun's attention logit, mean over mask and heads, sum over layers.

        image: (3, H, W) in [0,1], seen in one pass under the empty caption. masks: (Q, H, W) bool.
        """
        noised = frozen.noised(frozen.model.encode_image(image[None]))
        total = 0
        for query in attention.queries(frozen.model.unet, noised, frozen.level, frozen.empty):
            values = query.values[0]
            inside = F.adaptive_avg_pool2d(masks[:, None].float(), values.shape[-2:])[:, 0]
            inside = inside / inside.sum((1, 2), keepdim=True).clamp(min=1e-6)
            pooled = torch.einsum("qhw,mdhw->qmd", inside, values)
            total = total + torch.einsum("qmd,cpmd->qcp", pooled, self.keys[query.layer]) / len(values)
        return total.amax(dim=-1).softmax(dim=-1)


def _noun(model, text: str) -> torch.Tensor:
    """The context vector (D,) of the last token of a phrase."""
    length = min(len(model.tokenizer(text).input_ids), model.tokenizer.model_max_length)
    return model.encode_text([text])[0, length - 2]


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
