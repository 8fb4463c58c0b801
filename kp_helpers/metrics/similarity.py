"""Object keypoint similarity, COCO's measure: a Gaussian of the error, as wide as annotators differ."""

import numpy as np
from numpy.typing import ArrayLike

from kp_helpers.metrics.lengths import distance

SIGMAS = {
    "nose": 0.026,
    "eye": 0.025,
    "ear": 0.035,
    "shoulder": 0.079,
    "elbow": 0.072,
    "wrist": 0.062,
    "hip": 0.107,
    "knee": 0.087,
    "ankle": 0.089,
    "foot": 0.068,
    "head": 0.026,
}
"""Joint, without its side -> COCO's sigma. COCO has no foot and no head: the foot takes the big toe's of its
whole-body extension, the head the nose's."""


def sigma(joint: str) -> float | None:
    """The sigma of `left_foot`, `head` and so on; None where COCO has none and the kit chose none."""
    return SIGMAS.get(joint.removeprefix("left_").removeprefix("right_"))


def oks(
    predicted: ArrayLike,
    true: ArrayLike,
    area: ArrayLike,
    sigmas: ArrayLike,
    visible: ArrayLike | None = None,
) -> np.ndarray:
    """Mean over a person's visible joints of exp(-d^2 / (2 area (2 sigma)^2)), (...) of points (..., K, 2).

    area: (...) square pixels, a segment's or `box_area`; sigmas: (K,); visible: (..., K) bool. NaN where no
    joint is visible. As pycocotools computes it, whose ranking into average precision is left out: with one
    prediction a picture, all scores are equal and the precision would follow from the order of the images.
    """
    areas = np.asarray(area, float)
    if not (areas > 0).all():
        raise ValueError(f"a person's area is {np.min(areas)}, expected all to be above 0 square pixels")
    width = 2 * (areas[..., None] + np.spacing(1)) * (2 * np.asarray(sigmas, float)) ** 2
    near = np.exp(-(distance(predicted, true) ** 2) / width)
    seen = np.broadcast_to(True if visible is None else np.asarray(visible, bool), near.shape)
    counts = seen.sum(axis=-1)
    sums = np.where(seen, near, 0.0).sum(axis=-1)
    return np.divide(sums, counts, out=np.full(counts.shape, np.nan), where=counts > 0)
