"""Distances in pixels, the lengths and areas that they are measured by, and errors over them: mean error,
PCK, its area under the curve, and object keypoint similarity.
"""

import numpy as np
from numpy.typing import ArrayLike


def distance(predicted: ArrayLike, true: ArrayLike) -> np.ndarray:
    """Euclidean distance in pixels, (...)."""
    return np.linalg.norm(as_points("predicted", predicted) - as_points("true", true), axis=-1)


def long_side(frame_size: ArrayLike) -> np.ndarray:
    """max(width, height) in pixels, (...) of (..., 2)."""
    return above_zero(as_points("frame_size", frame_size).max(axis=-1))


def box_side(box: ArrayLike) -> np.ndarray:
    """max(width, height) in pixels of boxes (x0, y0, x1, y1), (...) of (..., 4)."""
    return _sides(box).max(axis=-1)


def box_area(box: ArrayLike, share: float = 0.53) -> np.ndarray:
    """width x height x share in square pixels, (...) of boxes (..., 4).

    share: how much of the box the person covers; 0.53 stands in for COCO's segment area where there is none.
    """
    return _sides(box).prod(axis=-1) * share


def torso_length(left_shoulder: ArrayLike, right_hip: ArrayLike) -> np.ndarray:
    """From the left shoulder to the right hip in pixels, (...); short in people seen from above."""
    return distance(left_shoulder, right_hip)


def head_box(head: ArrayLike, neck: ArrayLike) -> np.ndarray:
    """A box (x0, y0, x1, y1) of the head, (..., 4), where the data set has none: a choice of the kit.

    The square round the head joint, which lies in the middle of the skull, that reaches as far as the neck.
    """
    head, reach = as_points("head", head), distance(head, neck)[..., None]
    return np.concatenate([head - reach, head + reach], axis=-1)


def head_size(box: ArrayLike) -> np.ndarray:
    """PCKh's length: 0.6 of the diagonal of the head's box, in pixels, (...) of (..., 4)."""
    return 0.6 * np.linalg.norm(_sides(box), axis=-1)


def as_points(name: str, values: ArrayLike) -> np.ndarray:
    """Values as float (..., 2); ValueError where they are no points."""
    points = np.asarray(values, float)
    if points.shape[-1:] != (2,):
        raise ValueError(f"{name} has shape {points.shape}, expected (..., 2) as (x, y) in pixels")
    return points


def above_zero(values: ArrayLike) -> np.ndarray:
    """Lengths to divide by, as float; ValueError where one is zero, negative or NaN."""
    lengths = np.asarray(values, float)
    if not (lengths > 0).all():
        raise ValueError(f"a normalising length is {np.min(lengths)}, expected all to be above 0 pixels")
    return lengths


def _sides(box: ArrayLike) -> np.ndarray:
    box = np.asarray(box, float)
    if box.shape[-1:] != (4,):
        raise ValueError(f"box has shape {box.shape}, expected (..., 4) as (x0, y0, x1, y1) in pixels")
    return box[..., 2:] - box[..., :2]


def normalised_error(predicted: ArrayLike, true: ArrayLike, norm: ArrayLike) -> np.ndarray:
    """Distance over a length in pixels, such as the frame's long side, (...)."""
    return distance(predicted, true) / above_zero(norm)


def pck(predicted: ArrayLike, true: ArrayLike, norm: ArrayLike, alpha: float) -> np.ndarray:
    """Percentage of correct keypoints, one by one: whether d / norm < alpha, strictly, (...) bool.

    norm: pixels; the person's `box_side` or `torso_length`. PCKh is this with `head_size` and alpha 0.5.
    """
    return normalised_error(predicted, true, norm) < alpha


def auc(predicted: ArrayLike, true: ArrayLike, norm: ArrayLike, largest: float) -> np.ndarray:
    """Area under the PCK curve, one by one: mean of `pck` at alpha = largest x i / 20, i = 0 to 19, (...).

    The first threshold is 0, which nothing is below, so that 0.95 is the best (as the hand-pose sets define
    it, with largest 30 pixels, a norm of 1 here).
    """
    alphas = largest * np.arange(20) / 20
    return (normalised_error(predicted, true, norm)[..., None] < alphas).mean(axis=-1)


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
