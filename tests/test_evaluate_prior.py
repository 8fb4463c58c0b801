"""The prior of a joint's place, by hand."""

import numpy as np
import pytest
import torch

from kp_helpers.evaluate import prior

KEYPOINTS = torch.tensor([[[0.1, 0.2], [0.5, 0.5]], [[0.3, 0.2], [0.5, 0.5]], [[0.2, 0.6], [0.5, 0.5]]])
POINTS = KEYPOINTS[:, 0] + torch.tensor([[0.2, 0.1], [0.22, 0.1], [0.18, 0.1]])
"""The joint stays at the first keypoint's side; the second keypoint never moves."""


def test_offsets_and_variances_are_those_of_the_labels():
    found = prior(KEYPOINTS, POINTS)
    away = POINTS[:, None].numpy() - KEYPOINTS.numpy()
    assert found.offsets.numpy() == pytest.approx(away.mean(axis=0), abs=1e-6)
    assert found.variances[1].item() == pytest.approx(away[:, 1].var(axis=0, ddof=1).mean(), rel=1e-5)
    assert found.variances[0].item() == pytest.approx(0.05**2), "an agreement of few labels is not believed"


def test_the_keypoint_that_knows_more_counts_more():
    found = prior(KEYPOINTS, POINTS)
    seen = torch.tensor([[[0.5, 0.4], [0.5, 0.5]]])
    says, weights = (seen[0] + found.offsets).numpy(), 1 / found.variances.numpy()
    middle = (says * weights[:, None]).sum(axis=0) / weights.sum()
    map_ = found.maps(seen, 64)[0].numpy()
    row, column = np.unravel_index(map_.argmax(), map_.shape)
    assert ((column + 0.5) / 64, (row + 0.5) / 64) == pytest.approx(middle, abs=1 / 64)
    assert np.linalg.norm(middle - says[0]) < np.linalg.norm(middle - says[1])
    place = (np.array([10, 20]) + 0.5) / 64
    expected = np.exp(-((place - middle) ** 2).sum() * weights.mean() / 2)
    assert map_[20, 10] == pytest.approx(expected, rel=1e-4)


def test_one_label_says_nothing_of_the_variance():
    with pytest.raises(ValueError, match="prior: 1 labelled pictures, expected at least 2"):
        prior(KEYPOINTS[:1], POINTS[:1])
