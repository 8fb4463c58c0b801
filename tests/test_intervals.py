"""Intervals against worked formulas, and against a simulation of runs and images that both vary."""

import numpy as np
import pytest
from scipy.stats import norm, permutation_test

from kp_helpers.intervals import mean_sd, paired_bootstrap, sign_flip, two_way_bootstrap, wilson


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
    assert (wilson(0, 10).low, wilson(10, 10).high) == (0.0, 1.0)
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


def test_a_mean_of_several_cases_counts_as_often():
    values = np.random.default_rng(1).random((5, 7))
    assert two_way_bootstrap(values, np.ones_like(values)) == two_way_bootstrap(values)
    counts = np.arange(35).reshape(5, 7) % 4
    interval, missing = two_way_bootstrap(values, counts), np.where(counts == 0, np.nan, values)
    assert interval == two_way_bootstrap(missing, counts)
    assert interval.value == pytest.approx(np.repeat(values.ravel(), counts.ravel()).mean())
    assert two_way_bootstrap(values, 3 * np.ones_like(values)).high == pytest.approx(
        two_way_bootstrap(values).high
    )
    assert paired_bootstrap(values, 2 * values, counts).value == pytest.approx(-interval.value)


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


def crossed_hits(rng, runs: int = 8, images: int = 24, shown: int = 10) -> np.ndarray:
    """Hits of runs that see some of the images each, as the protocol draws them; both of them vary."""
    ease = -1.0 + 0.8 * rng.normal(size=(runs, 1)) + 0.8 * rng.normal(size=images)
    hits = (ease + rng.normal(size=(runs, images)) > 0).astype(float)
    hits[rng.permuted(np.tile(np.arange(images) >= shown, (runs, 1)), axis=1)] = np.nan
    return hits


def test_coverage_with_the_protocols_draws_of_hits():
    """The true share of a probit model with random effects is Phi(mean / sqrt(1 + variances))."""
    rng, hits = np.random.default_rng(5), 0
    truth = norm.cdf(-1.0 / np.sqrt(1 + 0.8**2 + 0.8**2))
    for trial in range(300):
        interval = two_way_bootstrap(crossed_hits(rng), seed=trial, resamples=300)
        hits += interval.low <= truth <= interval.high
    assert 0.90 <= hits / 300 <= 0.99


def test_coverage_of_a_paired_difference():
    """Two methods that share what is hard about runs and images, and differ by 0.3."""
    rng, hits = np.random.default_rng(7), 0
    for trial in range(300):
        runs, images = rng.normal(size=(3, 10, 1)), rng.normal(size=(3, 1, 10))
        own = 0.7 * (runs[:2] + images[:2]) + rng.normal(size=(2, 10, 10))
        first, second = 2 * (runs[2] + images[2]) + own
        interval = paired_bootstrap(first + 0.3, second, seed=trial, resamples=300)
        hits += interval.low <= 0.3 <= interval.high
    assert 0.90 <= hits / 300 <= 0.99


def test_pairs_count_where_both_methods_have_a_value():
    first, second = np.array([[1.0, np.nan, 4.0], [2.0, 3.0, 5.0]]), np.array([[0.0, 9.0, 1.0], [np.nan] * 3])
    assert paired_bootstrap(first, second).value == 2.0
    with pytest.raises(ValueError, match="first has shape .2, 3. and second .2, 2., expected the same pairs"):
        paired_bootstrap(first, second[:, :2])


def test_the_sign_flip_test_counts_all_signs():
    """Of the eight sums of 1, 2, 3 with signs two are as far from zero as 6, and four as far as 4."""
    assert sign_flip([1, 2, 3]) == 2 / 8
    assert sign_flip([-1, 2, 3]) == 4 / 8
    assert sign_flip([0, 0]) == 1
    assert sign_flip([0.1, 0.2, 0.3]) == 2 / 8, "rounding must not split equal sums"
    with pytest.raises(ValueError, match="differences is empty or not finite"):
        sign_flip([1.0, np.nan])


@pytest.mark.parametrize(("exact_up_to", "tolerance"), [(16, 1e-12), (4, 0.01)])
def test_the_sign_flip_test_is_scipys(exact_up_to, tolerance):
    differences = np.random.default_rng(2).normal(0.5, 1, 8)
    theirs = permutation_test((differences,), np.mean, permutation_type="samples", n_resamples=np.inf)
    ours = sign_flip(differences, exact_up_to=exact_up_to)
    assert ours == pytest.approx(theirs.pvalue, abs=tolerance)
    assert ours == sign_flip(differences, exact_up_to=exact_up_to), "random signs are seeded"
