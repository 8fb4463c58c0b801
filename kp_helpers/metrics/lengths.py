"""Distances in pixels, and the lengths and areas of a frame or a person that they are measured by."""

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
