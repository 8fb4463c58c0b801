"""The five evaluation methods of StableKeypoints, each against a formula worked by hand."""

import numpy as np
import pytest

from kp_helpers.metrics import Score, mean, stable_keypoints

TRUE = np.array([[(0.3, 0.4), (0.7, 0.4), (0.5, 0.6)], [(0.4, 0.4), (0.4, 0.6), (0.9, 0.9)]])
OFF = np.array([[(0.03, 0.04), (0, 0), (0, 0.1)], [(0.1, 0), (0, 0), (0.3, 0.4)]])
"""Errors .05, 0, .1 in the first image and .1, 0, .5 in the second."""


def test_inter_eye_distance():
    found = stable_keypoints.inter_eye_distance(TRUE + OFF, TRUE)
    assert found == pytest.approx([(0.15 / 3) / 0.4, (0.6 / 3) / 0.2])
    with pytest.raises(ValueError, match="image 1 has both eyes in one place"):
        stable_keypoints.inter_eye_distance(TRUE, np.stack([TRUE[0], np.zeros((3, 2))]))


def test_visible_leaves_out_images_without_a_point():
    seen = [[True, False, True], [False, False, False]]
    found = stable_keypoints.visible(TRUE + OFF, TRUE, seen)
    assert found == pytest.approx([0.15 / 2, np.nan], nan_ok=True)
    assert mean(found, np.isfinite(found)) == Score(pytest.approx(0.075), 1)
    unknown = np.where(np.array(seen)[..., None], TRUE, np.nan)
    assert stable_keypoints.visible(TRUE + OFF, unknown, seen)[0] == pytest.approx(0.075)


def test_mean_average_error_is_a_sum():
    found = stable_keypoints.mean_average_error(TRUE + OFF, TRUE, [[1, 1, 1], [1, 0, 0]])
    assert found == pytest.approx([256 * 0.15, 256 * 0.1])


def test_pck_is_six_pixels_of_256():
    off = np.zeros((1, 4, 2))
    off[0, :, 0] = np.array([0, 5.99, 6, 20]) / 256
    assert stable_keypoints.pck(off, np.zeros((1, 4, 2))).tolist() == [0.5]


def test_orientation_is_the_better_of_two():
    """All right joints stand at x = 0 and all left ones at x = 1; the model has them the wrong way round."""
    true = np.zeros((1, 32, 2))
    true[0, [6, 7, 8, 9, 10, *range(25, 32)], 0] = 1
    found = true.copy()
    found[0, :, 0] = 1 - true[0, :, 0]
    found[0, [0, *range(11, 17), 24], 0] = 0  # joints without a side are right
    assert stable_keypoints.orientation_invariant(true, true) == 0
    assert stable_keypoints.orientation_invariant(found, true) == 0
    assert stable_keypoints.orientation_invariant(found + 0.25, true) == pytest.approx(
        128 * 0.25 * np.sqrt(2)
    )


def test_legacy_leaves_one_joint_behind():
    """Joint 29 stays where it is, 20 and 21 both take 28's place, and 28 takes 21's."""
    true = np.zeros((1, 32, 2))
    found = np.arange(32.0)[None, :, None] * [1, 0]
    moved = [*range(32)]
    pairs = ((1, 6), (2, 7), (3, 8), (4, 9), (5, 10), (17, 25), (18, 26), (19, 27), (22, 30), (23, 31))
    for right, left in pairs:
        moved[right], moved[left] = left, right
    moved[20], moved[21], moved[28], moved[29] = 28, 28, 21, 29
    true[0, :, 0] = moved
    assert stable_keypoints.orientation_invariant(found, true, legacy=True) == 0
    # By the right table 21 takes 29, 28 takes 20 and 29 takes 21: off by 1, 1 and 8.
    assert stable_keypoints.orientation_invariant(found, true) == pytest.approx(128 * (1 + 1 + 8) / 32)


def test_wrong_shapes_are_named():
    with pytest.raises(ValueError, match="shapes .2, 3, 2. and .2, 2, 2., expected both .n, K, 2. in .0,1."):
        stable_keypoints.pck(TRUE, TRUE[:, :2])
    with pytest.raises(ValueError, match="seen has shape .3,., expected .2, 3. as the points have"):
        stable_keypoints.visible(TRUE, TRUE, [1, 1, 1])
    with pytest.raises(ValueError, match="predicted has 3 points, expected Human3.6M's 32"):
        stable_keypoints.orientation_invariant(TRUE, TRUE)
