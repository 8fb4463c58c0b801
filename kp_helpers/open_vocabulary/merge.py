"""From masks with classes to one picture: a segment and a class for each pixel."""

from collections.abc import Sequence

import numpy as np
import torch

LEAST_OBJECT = 0.3
"""A mask that is less sure than this to be any object is dropped."""
_LEAST_LEFT = 0.8
"""A segment that keeps less than this of its mask beside the others is dropped."""


def panoptic(
    masks: torch.Tensor,
    classes: torch.Tensor,
    objects: torch.Tensor,
    names: Sequence[str],
    things: frozenset[str],
    least_object: float = LEAST_OBJECT,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Segments (H, W), 0 for none and n + 1 for row n of the labels, which come with them.

    masks: (Q, H, W) in [0,1]. classes: p (Q, C). objects: (Q,), how sure a mask is to be an object. At each
    pixel the largest score x mask wins, and it is painted where the mask is .5 at least.
    """
    best, label = classes.max(dim=-1)
    kept = (objects >= least_object).nonzero()[:, 0]
    segments = np.zeros(masks.shape[-2:], np.int32)
    labels: list[str] = []
    if not len(kept):
        return segments, ()
    winner = kept[((best * objects)[kept, None, None] * masks[kept]).argmax(dim=0)]
    for query in kept.tolist():
        inside = masks[query] >= 0.5
        painted = inside & (winner == query)
        area = int(painted.sum())
        if not area or area < _LEAST_LEFT * int(inside.sum()):
            continue
        name = names[int(label[query])]
        if name in things or name not in labels:
            labels.append(name)
            number = len(labels)
        else:
            number = labels.index(name) + 1
        segments[painted.numpy()] = number
    return segments, tuple(labels)


def semantic(masks: torch.Tensor, classes: torch.Tensor, objects: torch.Tensor) -> np.ndarray:
    """The class of each pixel, (H, W): the largest sum over masks of object x mask x p."""
    return torch.einsum("q,qc,qhw->chw", objects, classes, masks).argmax(dim=0).numpy()
