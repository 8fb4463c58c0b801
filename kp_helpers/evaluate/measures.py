"""Every measure of one prediction, with the name, threshold and normaliser that tables give its mean."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from kp_helpers import metrics
from kp_helpers.data import KeypointSample
from kp_helpers.data.sample import Point
from kp_helpers.evaluate.protocol import Found
from kp_helpers.metrics.paper import AREA, EXACT, MEASURES

_PIXELS, _ALPHAS, _LARGEST, _OKS = 40, (0.05, 0.1, 0.2), 0.2, (0.5, 0.75)
_FRAME, _BOX = "the frame's long side", "the longer side of the person's box"
_TORSO = "the torso, left shoulder to right hip"
_HEAD = "0.6 of the diagonal of the head's box"
_AREA = "0.53 of the area of the person's box"
_SQUARE, SQUARE_SHARE = "the square that the model sees", 1 / 20


@dataclass(frozen=True, kw_only=True)
class Measure:
    """How a mean is named. bounded: cannot leave 0 to 100 %. of_misses: over the misses of `within` only."""

    name: str
    threshold: str = ""
    normaliser: str = ""
    bounded: bool = True
    of_misses: bool = False


def _pck(column: str, words: str, norm: str) -> dict[str, Measure]:
    return {
        f"pck_{column}_{alpha}": Measure(
            name=f"PCK@{alpha} of {words}", threshold=f"{alpha}", normaliser=norm
        )
        for alpha in _ALPHAS
    }


ALL: Mapping[str, Measure] = {
    "in_direction": Measure(name=MEASURES["in_direction"], normaliser=_FRAME),
    "within": Measure(name=EXACT, threshold="1/48", normaliser=_FRAME),
    "within_pixels": Measure(name=f"within {_PIXELS} pixels of the frame", threshold=f"{_PIXELS} px"),
    "within_square": Measure(name="within 1/20 of the square", threshold="1/20", normaliser=_SQUARE),
    **_pck("box", "the box", _BOX),
    **_pck("torso", "the torso", _TORSO),
    "pckh": Measure(name="PCKh@0.5", threshold="0.5", normaliser=_HEAD),
    "auc": Measure(name=AREA, threshold=f"0 to {_LARGEST}", normaliser=_BOX),
    "oks": Measure(name="mean OKS", normaliser=_AREA),
    **{
        f"oks_{least}": Measure(name=f"OKS of {least} or more", threshold=f"{least}", normaliser=_AREA)
        for least in _OKS
    },
    "mirror": Measure(
        name="misses that hit the other side", threshold="1/48", normaliser=_FRAME, of_misses=True
    ),
    "other_side": Measure(name="on the other side's joint", threshold="1/20", normaliser=_SQUARE),
    "error": Measure(name="mean error", normaliser=_FRAME, bounded=False),
    "box_error": Measure(name="mean error over the box", normaliser=_BOX, bounded=False),
    "torso_error": Measure(name="mean error over the torso", normaliser=_TORSO, bounded=False),
}
"""Column of `score` -> measure. The threshold of a meaningful direction is its joint's `metrics.SECTOR`."""


def values(found: Found, half_angle: float = 45.0) -> dict[str, float]:
    """Columns of `ALL` for a prediction of a visible joint: hits are 0 or 1, the others fractions.

    A column is absent where the data set does not know what it needs: the limb, the other side, the torso,
    the head, the square that the model was shown, or a box with an area. ValueError where the prediction or
    the joint is not finite.
    """
    sample, point = found.sample, found.point
    true, size = sample.joints[found.joint], sample.frame_size
    if not np.isfinite([point, true]).all():
        about = f"{sample.name}, {found.joint}: predicted {point} for the visible joint at {true}"
        raise ValueError(f"{about}, expected two finite points")
    numbers = {
        "within": metrics.within(point, true, size),
        "within_pixels": metrics.within_pixels(point, true, _PIXELS),
        "error": metrics.normalised_error(point, true, metrics.long_side(size)),
    }
    directed = in_direction(found, half_angle)
    if directed is not None:
        numbers["in_direction"] = directed
    other = known(sample, metrics.mirrored(found.joint))
    if other:
        numbers["mirror"] = metrics.within(point, other[0], size)
    numbers |= _in_square(found, other) | _over_box(found) | _over_torso_and_head(found)
    return {column: float(number) for column, number in numbers.items()}


def in_direction(found: Found, half_angle: ArrayLike) -> np.ndarray | None:
    """Whether the prediction is off in a meaningful direction at most, for one half-angle or many; None where
    the joint has no such direction or none of its limbs is known.
    """
    sample, joint = found.sample, found.joint
    ends = [end for name in metrics.LIMB_ENDS.get(joint, ()) for end in known(sample, name)]
    if not ends:
        return None
    sector = {"reach": metrics.SECTOR[joint], "half_angle": half_angle}
    return metrics.in_direction(found.point, sample.joints[joint], ends, sample.frame_size, **sector)


def known(sample: KeypointSample, *joints: str | None) -> list[Point]:
    """Where the data set has these joints, in pixels of the frame; empty if it does not know all of them."""
    places = [{**sample.joints, **sample.skeleton}.get(joint, (np.nan, np.nan)) for joint in joints]
    return places if np.isfinite(places).all() else []


def _in_square(found: Found, other: list[Point]) -> dict[str, float]:
    """Hits by a share of the square, and whether a prediction is on the other side's joint instead: within
    that share of it, and nearer to it than to its own.
    """
    if found.square is None:
        return {}
    places = [found.point, found.sample.joints[found.joint], *other]
    point, *joints = found.square.to_square(places).numpy()
    distances = [metrics.distance(point, joint) for joint in joints]
    numbers = {"within_square": distances[0] <= SQUARE_SHARE}
    if other:
        numbers["other_side"] = distances[1] <= SQUARE_SHARE and distances[1] < distances[0]
    return numbers


def _over_box(found: Found) -> dict[str, float]:
    """PCK, its area, mean error and OKS, for which the person's box must have an area."""
    at, area = (found.point, found.sample.joints[found.joint]), metrics.box_area(found.sample.box)
    if not area > 0:
        return {}
    side = metrics.box_side(found.sample.box)
    numbers = {f"pck_box_{alpha}": metrics.pck(*at, side, alpha) for alpha in _ALPHAS}
    numbers |= {"auc": metrics.auc(*at, side, _LARGEST), "box_error": metrics.normalised_error(*at, side)}
    sigma = metrics.sigma(found.joint)
    if sigma is not None:
        oks = numbers["oks"] = metrics.oks(at[:1], at[1:], area, [sigma])
        numbers |= {f"oks_{least}": oks >= least for least in _OKS}
    return numbers


def _over_torso_and_head(found: Found) -> dict[str, float]:
    at, numbers = (found.point, found.sample.joints[found.joint]), {}
    torso = known(found.sample, "left_shoulder", "right_hip")
    if torso and metrics.torso_length(*torso) > 0:
        length = metrics.torso_length(*torso)
        numbers |= {f"pck_torso_{alpha}": metrics.pck(*at, length, alpha) for alpha in _ALPHAS}
        numbers["torso_error"] = metrics.normalised_error(*at, length)
    head = known(found.sample, "head", "neck")
    if head and metrics.distance(*head) > 0:
        numbers["pckh"] = metrics.pck(*at, metrics.head_size(metrics.head_box(*head)), 0.5)
    return numbers
