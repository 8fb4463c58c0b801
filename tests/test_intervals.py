"""Intervals against worked formulas, and against a simulation of runs and images that both vary."""

import numpy as np
import pytest
from scipy.stats import norm, t

from kp_helpers.intervals import Interval, apart, equivalence, holm, mean_sd, paired, share, two_way, wilson


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


def test_the_formula_written_out():
    """Residual sums of runs, of clusters and of cells, by loops over cases."""
    rng = np.random.default_rng(0)
    values, counts = rng.normal(size=(4, 6)), rng.integers(0, 3, (4, 6))
    values[counts == 0] = np.nan
    clusters = np.array([0, 0, 1, 2, 2, 2])
    cases = [
        (run, clusters[picture], values[run, picture], counts[run, picture])
        for run in range(4)
        for picture in range(6)
        if counts[run, picture]
    ]
    total = sum(n for *_, n in cases)
    mean = sum(value * n for *_, value, n in cases) / total

    def variance(group) -> float:
        sums: dict = {}
        for run, cluster, value, n in cases:
            key = group(run, cluster)
            sums[key] = sums.get(key, 0.0) + n * (value - mean)
        return sum(one**2 for one in sums.values()) * len(sums) / (len(sums) - 1) / total**2

    of_run, of_cluster = variance(lambda run, cluster: run), variance(lambda run, cluster: cluster)
    of_cell = variance(lambda run, cluster: (run, cluster))
    error = np.sqrt(max(of_run + of_cluster - of_cell, of_cell))
    interval = two_way(values, clusters, counts)
    assert interval.value == pytest.approx(mean) and interval.error == pytest.approx(error)
    assert interval.freedom == 2
    assert interval.high == pytest.approx(mean + error * t.ppf(0.975, 2))
    assert interval.p(0.3) == pytest.approx(2 * t.sf(abs(mean - 0.3) / error, 2))


def test_one_factor_is_the_textbook_standard_error():
    """Where runs do not differ only pictures vary, and the standard error is sd / sqrt(n)."""
    pictures = np.random.default_rng(0).normal(size=12)
    interval = two_way(np.tile(pictures, (20, 1)))
    assert interval.value == pytest.approx(pictures.mean())
    textbook = pictures.std(ddof=1) / np.sqrt(12)
    assert interval.error == pytest.approx(textbook, rel=0.03) and interval.freedom == 11
    alone = two_way(pictures[None])
    assert alone.error == pytest.approx(textbook) and alone.freedom == 11


def test_of_one_run_a_share_is_wilsons_and_so_is_one_that_never_varied():
    hits = np.array([[1.0] * 7 + [0.0] * 13])
    assert share(hits) == wilson(7, 20)
    assert share(np.ones((3, 20))) == wilson(20, 20)
    assert share(np.zeros((3, 6)), clusters=[0, 0, 1, 1, 2, 2]) == wilson(0, 3)
    assert share(np.array([[1.0, 0, 0], [1, 1, 0]])).low >= 0


def test_tables_without_an_interval_are_refused():
    with pytest.raises(ValueError, match="values are of 1 clusters of pictures, expected two at least"):
        two_way([[1.0], [2.0]])
    for values in ([1.0, 2.0], np.zeros((0, 3)), [[np.nan, np.nan]]):
        with pytest.raises(ValueError, match="values has shape .* with at least one finite value"):
            two_way(values)
    with pytest.raises(ValueError, match="first has shape .2, 3. and second .2, 2., expected the same pairs"):
        paired(np.zeros((2, 3)), np.zeros((2, 2)))


def test_pairs_count_where_both_methods_have_a_value():
    first, second = np.array([[1.0, np.nan, 4.0], [2.0, 3.0, 5.0]]), np.array([[0.0, 9.0, 1.0], [np.nan] * 3])
    assert paired(first, second).value == 2.0


def crossed(rng, runs: int, pictures: int, shown: int, sizes=(0.8, 0.8, 1.0)) -> np.ndarray:
    """Values of runs that see `shown` of the pictures each, as the protocol draws them; both vary."""
    of_runs, of_pictures, of_cells = sizes
    values = of_runs * rng.normal(size=(runs, 1)) + of_pictures * rng.normal(size=pictures)
    values = values + of_cells * rng.normal(size=(runs, pictures))
    values[rng.permuted(np.tile(np.arange(pictures) >= shown, (runs, 1)), axis=1)] = np.nan
    return values


@pytest.mark.parametrize(
    ("runs", "pictures", "shown"),
    [(8, 24, 10), (10, 24, 10), (10, 60, 20), (11, 40, 40), (40, 60, 20), (34, 24, 20)],
)
def test_coverage_at_the_protocols_designs(runs, pictures, shown):
    """Shares of a probit model with random effects, whose true value is Phi(mean / sqrt(1 + variances))."""
    rng, truth, held, trials = np.random.default_rng(runs), norm.cdf(-0.5 / np.sqrt(1 + 2 * 0.8**2)), 0, 800
    for _ in range(trials):
        values = crossed(rng, runs, pictures, shown)
        hits = np.where(np.isfinite(values), (values > 0.5).astype(float), np.nan)
        interval = share(hits)
        held += interval.low <= truth <= interval.high
    assert 0.93 <= held / trials <= 0.98, held / trials


def test_coverage_of_a_paired_difference_of_sequences():
    """Two methods that share what is hard about runs and sequences, three pictures of each, differ by .3."""
    rng, held, trials = np.random.default_rng(7), 0, 800
    sequences = np.repeat(np.arange(12), 3)
    for _ in range(trials):
        shared = rng.normal(size=(10, 1)) + rng.normal(size=12)[sequences]
        first, second = (
            2 * shared + 0.5 * (rng.normal(size=(10, 1)) + rng.normal(size=12)[sequences]) + noise
            for noise in rng.normal(size=(2, 10, 36))
        )
        interval = paired(first + 0.3, second, sequences)
        held += interval.low <= 0.3 <= interval.high
    assert 0.93 <= held / trials <= 0.98, held / trials


def test_equivalence_is_two_one_sided_tests():
    interval = two_way(np.random.default_rng(1).normal(0.02, 0.1, (12, 30)))
    below = t.sf((interval.value + 0.1) / interval.error, 11)
    above = t.cdf((interval.value - 0.1) / interval.error, 11)
    assert equivalence(interval, 0.1) == pytest.approx(max(below, above))
    assert equivalence(interval, 0.1) < 0.05 < equivalence(interval, 0.001)


def test_holm_corrects_from_the_smallest_on():
    assert holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.9]).tolist() == [1.0, 1.0]


def test_means_of_other_pictures_have_both_errors():
    """3 and 4 make 5; Student's t of the fewer degrees of freedom."""
    first, second = Interval(50.0, 0, 0, error=3.0, freedom=7), Interval(20.0, 0, 0, error=4.0, freedom=9)
    found = apart(first, second)
    assert (found.value, found.error, found.freedom) == (30.0, 5.0, 7)
    assert found.high - found.value == pytest.approx(5 * t.ppf(0.975, 7))
    assert np.isnan(apart(first, wilson(3, 10)).low)
