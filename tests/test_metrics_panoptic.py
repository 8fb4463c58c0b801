"""Panoptic quality against numbers by hand and against the definition, pixel set by pixel set."""

import numpy as np
import pytest

from kp_helpers.metrics.panoptic import Found, mean_quality, panoptic_counts, per_class, quality_difference

NAMES = ("cat", "dog", "sky")


def picture(rows: list[str]) -> np.ndarray:
    return np.array([[int(sign) for sign in row] for row in rows], np.int32)


def test_numbers_by_hand():
    true = picture(["1111", "1111", "2222", "0000"])  # cat 8, sky 4, void 4
    found = picture(["1111", "1122", "3333", "3300"])  # cat 6, dog 2, sky 4 and 2 in the void
    classes = np.array([-1, 0, 1, 2])[found]
    counts = panoptic_counts(Found(found, ("cat", "dog", "sky"), classes), true, ("cat", "sky"), NAMES)
    measures = per_class(counts)
    assert counts[:, :4].tolist() == [[6 / 8, 1, 0, 0], [0, 0, 1, 0], [1, 1, 0, 0]]
    assert measures["PQ"][[0, 2]] == pytest.approx([0.75, 1.0])
    assert np.isnan(measures["PQ"][1])  # no dog is there, so that its PQ is not defined
    assert measures["mIoU"][[0, 2]] == pytest.approx([6 / 8, 1.0])


def test_a_wrong_class_counts_twice_and_what_lies_in_the_void_not_at_all():
    true = picture(["1100", "1100"])
    found = picture(["1122", "1122"])
    classes = np.array([-1, 1, 0])[found]
    counts = panoptic_counts(Found(found, ("dog", "cat"), classes), true, ("cat",), NAMES)
    assert counts[:2, 1:4].tolist() == [[0, 0, 1], [0, 1, 0]]


def by_definition(found: Found, true: np.ndarray, labels: tuple[str, ...]) -> dict[str, float]:
    """PQ of each class from sets of pixels, as Kirillov et al. define it, without void."""
    pixels = {n: set(np.flatnonzero(true == n)) for n in range(len(labels) + 1)}
    quality = {}
    for name in NAMES:
        own = [
            set(np.flatnonzero(found.segments == n)) - pixels[0]
            for n, x in enumerate(found.labels, 1)
            if x == name
        ]
        of_truth = [pixels[n] for n, x in enumerate(labels, 1) if x == name]
        ious = [len(a & b) / len(a | b) for a in own for b in of_truth if a | b]
        hits = [iou for iou in ious if iou > 0.5]
        wrong = len(own) + len(of_truth) - 2 * len(hits)
        quality[name] = sum(hits) / (len(hits) + wrong / 2) if of_truth else np.nan
    return quality


def test_random_segments_agree_with_the_definition():
    rng = np.random.default_rng(0)
    for _ in range(20):
        true = np.repeat(np.repeat(rng.integers(1, 5, (3, 3)), 4, 0), 4, 1).astype(np.int32)
        moved = np.roll(true, rng.integers(0, 3), axis=1)
        labels = tuple(rng.choice(NAMES, 4))
        found = Found(moved, labels, np.zeros_like(moved))
        measured = per_class(panoptic_counts(found, true, labels, NAMES))["PQ"]
        assert measured == pytest.approx(list(by_definition(found, true, labels).values()), nan_ok=True)


def test_the_mean_over_splits_has_an_interval_that_holds_it():
    rng = np.random.default_rng(1)
    counts = np.zeros((2, 30, 3, 6))
    counts[..., 0] = counts[..., 1] = rng.random((2, 30, 3)) < 0.5
    counts[..., 3] = 1 - counts[..., 1]
    chosen = np.array([[True, False, True], [False, True, False]])
    interval = mean_quality(counts, chosen)
    share = counts[..., 1].mean(axis=1)
    expected = (
        ((share / (share + (1 - share) / 2))[0, [0, 2]]).mean() + (share / (share + (1 - share) / 2))[1, 1]
    ) / 2
    assert interval.value == pytest.approx(expected)
    assert interval.low < interval.value < interval.high


def test_a_difference_is_of_the_same_pictures():
    hits = np.random.default_rng(2).random((1, 40, 1)) < 0.5
    first, second = np.zeros((2, 1, 40, 1, 6))
    for counts, found in ((first, hits | (np.arange(40) < 4)[None, :, None]), (second, hits)):
        counts[..., 0] = counts[..., 1] = found
        counts[..., 3] = ~found
    chosen = np.array([[True]])
    pq = [2 * counts[..., 1].sum() / (40 + counts[..., 1].sum()) for counts in (first, second)]
    one = quality_difference(first, second, chosen)
    assert one.value == pytest.approx(pq[0] - pq[1])
    assert 0 <= one.low <= one.value <= one.high
    alone = mean_quality(first, chosen)
    assert one.high - one.low < alone.high - alone.low, "what both share cancels"
    with pytest.raises(ValueError, match="expected the same pictures"):
        quality_difference(first, second[:, :3], chosen)
