"""The half that learns: masks without classes, an embedding for each, and the losses (5) to (8)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Mask2FormerConfig
from transformers.models.mask2former.modeling_mask2former import (
    Mask2FormerLoss,
    Mask2FormerPixelDecoder,
    Mask2FormerTransformerModule,
)

from kp_helpers.data.panoptic import PanopticPicture

WEIGHTS = {"loss_cross_entropy": 2.0, "loss_mask": 5.0, "loss_dice": 5.0}
GROUNDING_WEIGHT = 2.0
SHARPEST = 100.0
"""1 / tau grows no further than this."""


@dataclass(frozen=True)
class Masks:
    """What a layer of the head finds: `logits` (B, Q, h, w) of masks, their `embeddings` z (B, Q, E)."""

    logits: torch.Tensor
    embeddings: torch.Tensor


class Head(nn.Module):
    """Mask2Former's pixel decoder and mask generator, and an embedding z of each mask.

    channels: of the pyramid's maps, finest first. embedding: width E of CLIP's.
    """

    def __init__(self, channels: list[int], embedding: int, width: int = 64, queries: int = 24):
        super().__init__()
        self.settings = {"channels": channels, "embedding": embedding, "width": width, "queries": queries}
        self.config = Mask2FormerConfig(
            feature_size=width,
            mask_feature_size=width,
            hidden_dim=width,
            encoder_layers=2,
            decoder_layers=4,  # three, and the prediction before the first
            encoder_feedforward_dim=2 * width,
            dim_feedforward=4 * width,
            num_attention_heads=8,
            num_queries=queries,
            dropout=0.0,
            common_stride=2,
            feature_strides=[2, 4, 8, 16, 32],
            train_num_points=1024,
            no_object_weight=0.1,
            class_weight=WEIGHTS["loss_cross_entropy"],
        )
        # The coarsest three levels attend to one another: with a finer one a step takes twice as long.
        self.pixel_decoder = Mask2FormerPixelDecoder(self.config, [*channels, channels[-1]])
        nn.init.normal_(self.pixel_decoder.level_embed, std=0.02)
        self.generator = Mask2FormerTransformerModule(width, self.config)
        self.pool = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width))
        middle = (nn.Linear(width, 4 * width), nn.ReLU(), nn.Linear(4 * width, 4 * width), nn.ReLU())
        self.embed = nn.Sequential(nn.LayerNorm(width), *middle, nn.Linear(4 * width, embedding))
        self.null = nn.Parameter(torch.randn(embedding))
        self.sharpness = nn.Parameter(torch.tensor(1 / 0.07).log())

    def forward(self, maps: list[torch.Tensor]) -> list[Masks]:
        """The masks of every layer, the last one's last."""
        decoded = self.pixel_decoder([*maps, F.avg_pool2d(maps[-1], 2)])
        found = self.generator(decoded.multi_scale_features, decoded.mask_features)
        layers = zip(found.intermediate_hidden_states, found.masks_queries_logits, strict=True)
        return [self._masks(query.transpose(0, 1), logits, decoded.mask_features) for query, logits in layers]

    def _masks(self, query: torch.Tensor, logits: torch.Tensor, features: torch.Tensor) -> Masks:
        """z = MLP(LN(linear(LN(mean of the features in the mask)) + query))."""
        inside = (logits.detach() > 0).flatten(2).to(features)
        pooled = inside @ features.flatten(2).transpose(1, 2) / inside.sum(-1, keepdim=True).clamp(min=1)
        return Masks(logits, self.embed(self.pool(pooled) + query))

    def class_logits(self, embeddings: torch.Tensor, text: torch.Tensor) -> torch.Tensor:
        """z . T(C) / tau of equation (6), both of length 1; text (C, E). The last column is "no object"."""
        every = torch.cat([text, self.null[None]])
        return self.scale * F.normalize(embeddings, dim=-1) @ F.normalize(every, dim=-1).T

    @property
    def scale(self) -> torch.Tensor:
        """1 / tau, learned."""
        return self.sharpness.exp().clamp(max=SHARPEST)


class LabelLoss:
    """Each segment is matched to a mask: (5), cross-entropy, beside the losses of masks, at every layer."""

    def __init__(self, head: Head, text: torch.Tensor):
        self.head, self.text, self.matched = head, text, _matched_loss(head, len(text))

    def __call__(self, layers: list[Masks], masks: list[torch.Tensor], labels: list[torch.Tensor]):
        """masks: (n, H, W) float of each picture's segments. labels: (n,) rows of the text."""
        classes = [self.head.class_logits(one.embeddings, self.text) for one in layers]
        return _weighted(self.matched, layers, classes, masks, labels)


class CaptionLoss:
    """Masks without classes and the nouns of captions: an object or none, and the grounding loss."""

    def __init__(self, head: Head):
        self.head, self.matched = head, _matched_loss(head, 1)

    def __call__(self, layers: list[Masks], masks: list[torch.Tensor], nouns: list[torch.Tensor]):
        """nouns: (K, E), T(w) of each noun of each picture's caption."""
        logits = [self.head.class_logits(one.embeddings, torch.cat(nouns)) for one in layers]
        objects = [torch.stack([own[..., :-1].logsumexp(-1), own[..., -1]], dim=-1) for own in logits]
        labels = [torch.zeros(len(own), dtype=torch.long) for own in masks]
        grounded = grounding_loss(layers[-1].embeddings, nouns, self.head.scale)
        return _weighted(self.matched, layers, objects, masks, labels) + GROUNDING_WEIGHT * grounded


def grounding_loss(
    embeddings: torch.Tensor, nouns: list[torch.Tensor], scale: torch.Tensor | float
) -> torch.Tensor:
    """(7) and (8): a picture's masks fit its own caption better than the batch's others, and back.

    g(x, s) = 1/K sum_k sum_i p(z_i, nouns)_k <z_i, T(w_k)>, with p the softmax over the caption's K nouns.
    """
    z = F.normalize(embeddings, dim=-1)
    fits = []
    for own in nouns:
        products = z @ F.normalize(own, dim=-1).T
        share = (scale * products).softmax(dim=-1)
        fits.append((share * products).sum(dim=1).mean(dim=-1))
    fit = torch.stack(fits, dim=1)
    same = torch.arange(len(fit))
    return (F.cross_entropy(fit, same) + F.cross_entropy(fit.T, same)) / 2


def _matched_loss(head: Head, classes: int) -> Mask2FormerLoss:
    head.config.num_labels = classes
    return Mask2FormerLoss(head.config, WEIGHTS)


def _weighted(matched: Mask2FormerLoss, layers, classes, masks, labels) -> torch.Tensor:
    """The weighted sum over all layers and terms."""
    pairs = zip(layers[:-1], classes[:-1], strict=True)
    before = [{"masks_queries_logits": one.logits, "class_queries_logits": own} for one, own in pairs]
    terms = matched(layers[-1].logits, classes[-1], masks, labels, before)
    return sum(WEIGHTS[name.rstrip("_0123456789")] * value for name, value in terms.items())


def targets(picture: PanopticPicture, classes: tuple[str, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """Masks (n, H, W) float and labels (n,) of the segments whose class is among `classes`."""
    kept = [n for n, label in enumerate(picture.labels) if label in classes]
    labels = [classes.index(picture.labels[n]) for n in kept]
    return torch.from_numpy(picture.masks()[kept]).float(), torch.tensor(labels, dtype=torch.long)
