"""A picture and class names in, a panoptic segmentation out; and how well it does on pictures with masks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from kp_helpers.data.panoptic import PanopticPictures
from kp_helpers.metrics.panoptic import Found, panoptic_counts
from kp_helpers.open_vocabulary import classify, merge
from kp_helpers.open_vocabulary.features import Frozen, as_images
from kp_helpers.open_vocabulary.training import Trained

Weights = Mapping[str, tuple[float, float]]
"""Of each part of the geometric mean, its weight for seen and for unseen classes."""


@dataclass(frozen=True)
class Proposals:
    """Of one picture: masks (Q, H, W) in [0,1], how sure each is an object (Q,), and p (Q, C) by part."""

    masks: torch.Tensor
    objects: torch.Tensor
    classes: classify.Probabilities


class Segmenter:
    """A trained head, asked for class names of any kind."""

    def __init__(self, frozen: Frozen, trained: Trained, names: Sequence[str]):
        self.frozen, self.trained, self.names = frozen, trained, tuple(names)
        self.text = classify.clip_text(frozen, self.names)
        self.keys = classify.word_keys(frozen, self.names)
        self.unseen = torch.tensor([name not in trained.seen for name in self.names])

    @torch.no_grad()
    def proposals(self, image: np.ndarray, caption: str = "") -> Proposals:
        """Of a picture (H, W, 3) uint8; only a head of the recipe "true" reads the caption."""
        images = as_images([image])
        found = self.trained.head(self.trained.maps(self.frozen, images, [caption]))[-1]
        logits = self.trained.head.class_logits(found.embeddings, self.text.mean(dim=1))[0]
        masks = F.interpolate(found.logits, image.shape[:2], mode="bilinear")[0].sigmoid()
        objects = (logits[:, :-1].logsumexp(dim=-1) - logits[:, -1]).sigmoid()
        by_head = {"diffusion": logits[:, :-1].softmax(dim=-1)}
        return Proposals(masks, objects, by_head | self.frozen_classes(images[0], masks >= 0.5))

    def frozen_classes(self, image: torch.Tensor, masks: torch.Tensor) -> classify.Probabilities:
        """p (Q, C) of the parts that never learn, for masks (Q, H, W) bool of an image (3, H, W)."""
        return {
            "clip": classify.by_crops(self.frozen, image, masks, self.text),
            "words": classify.by_words(self.frozen, image, masks, self.keys),
        }

    def of_true_masks(self, image: np.ndarray, masks: np.ndarray) -> Proposals:
        """The oracle: true masks (n, H, W) bool in the place of the head's."""
        found = torch.from_numpy(masks)
        return Proposals(
            found.float(), torch.ones(len(found)), self.frozen_classes(as_images([image])[0], found)
        )

    def found(self, proposals: Proposals, weights: Weights, things: frozenset[str]) -> Found:
        """The panoptic segmentation, and the class of every pixel."""
        classes = classify.geometric_mean(proposals.classes, weights, self.unseen)
        pieces = (proposals.masks, classes, proposals.objects)
        return Found(*merge.panoptic(*pieces, self.names, things), merge.semantic(*pieces))

    def counts(
        self,
        proposals: Sequence[Proposals],
        pictures: PanopticPictures,
        weights: Weights,
        as_one: bool = False,
    ) -> np.ndarray:
        """(n, C, 6): what each picture adds to each class, as `metrics.panoptic` counts it; (n, 1, 6) with
        all classes taken as one, which asks of masks alone.
        """
        names = ("any",) if as_one else self.names
        rows = []
        for own, truth in zip(proposals, pictures.rows, strict=True):
            found, labels = self.found(own, weights, pictures.things), truth.labels
            if as_one:
                labels = names * len(labels)
                found = Found(found.segments, names * len(found.labels), np.zeros_like(found.classes))
            rows.append(panoptic_counts(found, truth.segments, labels, names))
        return np.stack(rows)
