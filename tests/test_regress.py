from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from kp_helpers import regress
from kp_helpers.metrics.stable_keypoints import PAIRS


def _data(images=30, found=4, annotated=3, seed=0):
    draw = np.random.default_rng(seed)
    return draw.random((images, found, 2)), draw.random((images, annotated, 2))


def test_fit_is_least_squares_without_bias_about_the_centre():
    found, annotated = _data()
    model = LinearRegression(fit_intercept=False).fit(
        found.reshape(30, -1) - 0.5, annotated.reshape(30, -1) - 0.5
    )
    assert np.allclose(regress.fit(found, annotated), model.coef_.T)


def test_a_linear_relation_is_found_and_predicted():
    found, _ = _data()
    weights = np.random.default_rng(1).normal(size=(8, 6))
    annotated = ((found.reshape(30, 8) - 0.5) @ weights + 0.5).reshape(30, 3, 2)
    fitted = regress.fit(found, annotated)
    assert np.allclose(fitted, weights)
    assert np.allclose(regress.predict(fitted, found), annotated)


def test_a_landmark_is_fitted_where_it_is_visible():
    found, annotated = _data()
    visible = np.random.default_rng(2).random((30, 3)) > 0.3
    spoilt = np.where(visible[..., None], annotated, 99.0)
    weights = regress.fit(found, spoilt, visible)
    for j in range(3):
        seen = visible[:, j]
        alone = regress.fit(found[seen], annotated[seen, j : j + 1])
        assert np.allclose(weights[:, 2 * j : 2 * j + 2], alone)


def test_a_landmark_that_is_never_visible_gets_zeros():
    found, annotated = _data()
    visible = np.ones((30, 3), dtype=bool)
    visible[:, 1] = False
    assert not regress.fit(found, annotated, visible)[:, 2:4].any()


def test_wrong_inputs_are_named():
    found, annotated = _data()
    with pytest.raises(ValueError, match="found has 29 images and annotated 30"):
        regress.fit(found[1:], annotated)
    with pytest.raises(ValueError, match=r"visible has shape \(30, 2\), expected \(30, 3\)"):
        regress.fit(found, annotated, np.ones((30, 2)))
    with pytest.raises(ValueError, match="annotated holds a NaN"):
        regress.fit(found, annotated * np.nan)
    with pytest.raises(ValueError, match="found has 3 keypoints, expected 4"):
        regress.predict(regress.fit(found, annotated), found[:, 1:])


def test_human36ms_regressor_is_the_published_one():
    published = np.load(Path(__file__).parent / "data" / "published_human36m_regressor.npz")
    weights = regress.fit_human36m(published["found"], published["annotated"], legacy=True)
    assert np.abs(weights - published["W"]).max() < 1e-12
    right = regress.fit_human36m(published["found"], published["annotated"])
    assert np.abs(right - published["W"]).max() > 0.01, "the published table is not the right one"


def test_human36ms_regressor_finds_the_sides_that_were_exchanged():
    """Landmarks that follow from the keypoints; a third of the pictures has left and right exchanged."""
    draw = np.random.default_rng(3)
    found, weights = draw.random((300, 20)), draw.normal(size=(20, 64)) / 5
    annotated = ((found - 0.5) @ weights + 0.5).reshape(300, 32, 2)
    order = np.arange(32)
    for right, left in PAIRS:
        order[[right, left]] = left, right
    mixed = np.where((np.arange(300) % 3 == 0)[:, None, None], annotated[:, order], annotated)
    assert np.abs(regress.fit_human36m(found, mixed.reshape(300, 64)) - weights).max() < 1e-9
    plain = regress.fit(found.reshape(300, 10, 2), mixed)
    assert np.abs(plain - weights).max() > 0.05


def test_human36ms_regressor_names_wrong_shapes():
    with pytest.raises(ValueError, match=r"expected \(n, 2K\), \(n, 64\)"):
        regress.fit_human36m(np.zeros((4, 20)), np.zeros((4, 60)))
    with pytest.raises(ValueError, match=r"found has shape \(4, 21\), expected \(images, 2 x keypoints\)"):
        regress.fit_human36m(np.zeros((4, 21)), np.zeros((4, 64)))
