"""Intervals against worked formulas, and against a simulation of runs and images that both vary."""

import numpy as np
import pytest
from scipy.stats import norm

from kp_helpers.intervals import mean_sd, two_way_bootstrap, wilson


def test_mean_and_sd_over_runs():
    assert mean_sd([0, 0, 3, 1]) == (1.0, pytest.approx(np.sqrt((1 + 1 + 4 + 0) / 3)))
    assert mean_sd([0.4]) == (0.4, None)
    with pytest.raises(ValueError, match="per_run is empty or not finite"):
        mean_sd([])


def test_wilson_solves_its_equation():
    """The bounds are the shares p0 with |p - p0| = z sqrt(p0 (1 - p0) / n)."""
    interval, z = wilson(7, 20), norm.ppf(0.975)
    for bound in (interval.low, interval.high):
        assert abs(0.35 - bound) == pytest.approx(z * np.sqrt(bound * (1 - bound) / 20))
    assert (interval.low, interval.high) == pytest.approx((0.1812, 0.5671), abs=1e-4)


def test_wilson_at_the_ends():
    assert (wilson(0, 10).low, wilson(10, 10).high) == pytest.approx((0.0, 1.0))
    assert wilson(0, 10).high == pytest.approx(norm.ppf(0.975) ** 2 / (10 + norm.ppf(0.975) ** 2))
    for hits, n in ((-1, 10), (11, 10), (0, 0)):
        with pytest.raises(ValueError, match=f"hits is {hits} and n is {n}"):
            wilson(hits, n)


def test_the_bootstrap_of_one_factor_is_the_textbook_standard_error():
    """Where runs do not differ only images vary, and the standard error is sd / sqrt(n), sd over n."""
    images = np.random.default_rng(0).normal(size=12)
    interval = two_way_bootstrap(np.tile(images, (5, 1)), resamples=20_000)
    expected = images.std() / np.sqrt(12) * 2.201  # t(11) at .975
    assert interval.value == pytest.approx(images.mean())
    assert (interval.high - interval.low) / 2 == pytest.approx(expected, rel=0.02)


def test_the_bootstrap_is_seeded_and_skips_what_is_missing():
    values = np.random.default_rng(0).random((6, 8))
    values[2, 3] = np.nan
    assert two_way_bootstrap(values, seed=1) == two_way_bootstrap(values, seed=1)
    assert two_way_bootstrap(values, seed=1) != two_way_bootstrap(values, seed=2)
    assert two_way_bootstrap(values).value == pytest.approx(np.nanmean(values))


@pytest.mark.parametrize("values", [[[1.0]], [1.0, 2.0], np.zeros((0, 3))])
def test_tables_without_an_interval_are_refused(values):
    with pytest.raises(ValueError, match="values has shape .* with at least 2 images"):
        two_way_bootstrap(values)


def test_coverage_with_ten_runs_and_ten_images():
    """Crossed random effects: about 95 of 100 intervals hold the truth."""
    rng, hits = np.random.default_rng(3), 0
    for trial in range(300):
        table = rng.normal(size=(10, 1)) + rng.normal(size=10) + rng.normal(size=(10, 10))
        interval = two_way_bootstrap(table, seed=trial, resamples=300)
        hits += interval.low <= 0 <= interval.high
    assert 0.90 <= hits / 300 <= 0.99
