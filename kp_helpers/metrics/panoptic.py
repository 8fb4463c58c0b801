"""Panoptic quality (Kirillov et al., 2019) and mean intersection over union, with intervals over pictures."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kp_helpers.intervals import Interval

COLUMNS = ("iou", "tp", "fp", "fn", "intersection", "union")
_DRAWS = 1000


@dataclass(frozen=True)
class Found:
    """Of one picture: `segments` (H, W), 0 or n + 1 for row n of `labels`; `classes` (H, W) numbers."""

    segments: np.ndarray
    labels: tuple[str, ...]
    classes: np.ndarray


def panoptic_counts(
    found: Found, true_segments: np.ndarray, true_labels: Sequence[str], names: Sequence[str]
) -> np.ndarray:
    """(C, 6), what a picture adds to each class: `COLUMNS`. Void pixels of the truth count nowhere.

    true_segments: (H, W), 0 is void and n + 1 is row n of true_labels. names: of the C classes.
    A found and a true segment of one class match where their intersection over union is above .5. A found
    segment that lies mostly in void is no mistake.
    """
    rows = np.zeros((len(names), len(COLUMNS)))
    place = {name: number for number, name in enumerate(names)}
    void = true_segments == 0
    size = len(true_labels) + 1
    pairs = np.bincount(
        (found.segments * size + true_segments).ravel(), minlength=(len(found.labels) + 1) * size
    )
    pairs = pairs.reshape(len(found.labels) + 1, size)
    matched = set()
    for one, label in enumerate(found.labels, start=1):
        area, hit = pairs[one].sum() - pairs[one, 0], False
        for other, true_label in enumerate(true_labels, start=1):
            union = area + pairs[:, other].sum() - pairs[one, other]
            if label == true_label and pairs[one, other] > union / 2:
                rows[place[label], :2] += pairs[one, other] / union, 1
                matched.add(other)
                hit = True
        if not hit and pairs[one, 0] <= pairs[one].sum() / 2:
            rows[place[label], 2] += 1
    for other, label in enumerate(true_labels, start=1):
        rows[place[label], 3] += other not in matched
    true_classes = np.array([-1, *(place[label] for label in true_labels)])[true_segments]
    for number in range(len(names)):
        own, true = (found.classes == number) & ~void, true_classes == number
        rows[number, 4:] = (own & true).sum(), (own | true).sum()
    return rows


def per_class(counts: np.ndarray) -> dict[str, np.ndarray]:
    """PQ, SQ, RQ and IoU of each class, (..., C), of counts (..., C, 6); NaN without a true segment."""
    iou, tp, fp, fn, intersection, union = np.moveaxis(counts, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        cases = tp + fp / 2 + fn / 2
        present = tp + fn > 0
        pq = np.where(present, iou / cases, np.nan)
        rq = np.where(present, tp / cases, np.nan)
        return {"PQ": pq, "SQ": iou / tp, "RQ": rq, "mIoU": np.where(present, intersection / union, np.nan)}


def mean_quality(counts: np.ndarray, chosen: np.ndarray, measure: str = "PQ", seed: int = 0) -> Interval:
    """The mean over the chosen classes, then over splits, with a 95 % interval over pictures by bootstrap.

    counts: (S, n, C, 6), the same n pictures in each of S splits. chosen: (S, C) bool. In [0,1].
    """
    return _interval(_means(counts, chosen, measure, seed))


def quality_difference(
    first: np.ndarray, second: np.ndarray, chosen: np.ndarray, measure: str = "PQ", seed: int = 0
) -> Interval:
    """`mean_quality` of the first counts minus that of the second, on the same pictures, which are drawn
    together.
    """
    if first.shape != second.shape:
        found = f"{first.shape} and {second.shape}"
        raise ValueError(f"quality_difference: counts have shapes {found}, expected the same pictures")
    pair = (_means(counts, chosen, measure, seed) for counts in (first, second))
    return _interval(np.subtract(*pair))


def _means(counts: np.ndarray, chosen: np.ndarray, measure: str, seed: int) -> np.ndarray:
    """(1 + draws,): of all pictures, then of as many that are drawn with replacement, by the seed alone."""
    rng = np.random.default_rng(seed)
    pictures = counts.shape[1]
    draws = rng.multinomial(pictures, np.full(pictures, 1 / pictures), size=_DRAWS)
    draws = np.concatenate([np.ones((1, pictures), draws.dtype), draws])
    return _mean(np.einsum("dn,snck->dsck", draws, counts), chosen, measure)


def _interval(means: np.ndarray) -> Interval:
    low, high = np.quantile(means[1:], (0.025, 0.975))
    return Interval(float(means[0]), float(low), float(high))


def _mean(summed: np.ndarray, chosen: np.ndarray, measure: str) -> np.ndarray:
    """(D,): of (D, S, C, 6), the mean over the chosen classes of each split, then over splits."""
    values = np.where(chosen, per_class(summed)[measure], np.nan)
    return np.nanmean(np.nanmean(values, axis=-1), axis=-1)
