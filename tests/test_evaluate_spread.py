"""How hits cluster, against counting by hand; and how alike embeddings are, against numpy and known ones."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.stats import hypergeom

from kp_helpers import config, evaluate, reading
from kp_helpers.embeddings import Appended
from kp_helpers.evaluate import FAILS, HOLDS, OPEN, map_correlations, token_cosines
from kp_helpers.metrics.paper import paper_spread

RUNS = np.repeat(np.arange(8), 10)


def test_two_runs_are_the_hypergeometric_distribution():
    """Of 6 hits on 2 x 10 pictures run 0 has k; the runs' shares lie |2 k - 6| / 10 apart."""
    hits, runs = np.r_[np.ones(5), np.zeros(5), np.ones(1), np.zeros(9)], np.repeat([4, 7], 10)
    chance, sd = hypergeom(20, 6, 10), np.abs(2 * np.arange(7) - 6) / 10 / np.sqrt(2)
    found = evaluate.clustering(hits, runs, resamples=40_000)
    assert found.sd == pytest.approx(0.4 / np.sqrt(2))
    assert found.expected == pytest.approx(chance.pmf(range(7)) @ sd, abs=0.002)
    assert found.p == pytest.approx(chance.cdf(1) + chance.sf(4), abs=0.006)
    widest, none = 0.4 / np.sqrt(2), 0.0
    assert (found.low, found.high) == pytest.approx((found.sd - widest, found.sd - none)), "5:1 is the 97.5th"


def test_the_counts_of_runs_are_the_hypergeometric_distributions():
    hits, runs = np.r_[np.ones(5), np.zeros(5), np.ones(1), np.zeros(9)], np.repeat([4, 7], 10)
    table = evaluate.hits_of_runs(hits, runs, resamples=40_000)
    assert table["hits"].tolist() == list(range(11))
    assert table["runs"].tolist() == [0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    assert np.allclose(table["expected"], 2 * hypergeom(20, 6, 10).pmf(range(11)), atol=0.01)
    assert evaluate.hits_of_runs([1, 0, 1], [0, 0, 0])["runs"].tolist() == [0, 0, 1, 0]


def simulated(spread: float, trials: int = 150) -> float:
    """How often 8 runs of 10 pictures with a share of hits of .3 on average are found to cluster.

    spread: the intraclass correlation of a beta distribution of the runs' shares, 0 for independent pictures.
    """
    rng, found = np.random.default_rng(1), 0
    for _ in range(trials):
        size = (1 - spread) / spread if spread else 0
        shares = rng.beta(0.3 * size, 0.7 * size, 8) if spread else np.full(8, 0.3)
        found += evaluate.clustering(rng.random(80) < shares[RUNS], RUNS, resamples=400).low > 0
    return found / trials


def test_independent_pictures_are_seldom_found_to_cluster():
    assert simulated(0.0) <= 0.06


def test_runs_that_work_or_do_not_are_found():
    assert simulated(0.4) >= 0.8


def test_hits_that_are_spread_evenly_lie_nearer_than_chance():
    even = evaluate.clustering(np.tile(np.arange(10) < 3, 8), RUNS)
    assert even.sd == 0 and even.high < 0 and even.p == 1


@pytest.mark.parametrize(
    ("hits", "runs", "message"),
    [
        ([1, 0], [0, 0], "hits are of one run, expected two at least"),
        ([1, 0], [0], r"hits have shape \(2,\) and runs \(1,\), expected \(n,\) of both"),
        ([], [], r"hits have shape \(0,\)"),
        ([0.5, 0], [0, 1], "hits hold a value other than 0 and 1"),
        ([np.nan, 0], [0, 1], "hits hold a value other than 0 and 1"),
    ],
)
def test_what_is_no_hit_is_refused(hits, runs, message):
    with pytest.raises(ValueError, match=message):
        evaluate.clustering(hits, runs)


def scores(hits: np.ndarray, method: str = "m") -> pd.DataFrame:
    """Hits of 8 runs of 10 pictures of as many sequences, in a direction and within alike."""
    about = {"joint": "left_foot", "method": method, "run": RUNS, "sequence": np.tile(np.arange(10), 8)}
    return pd.DataFrame({**about, "in_direction": hits.astype(float), "within": hits.astype(float)})


def test_a_verdict_on_clustering_is_in_percent_points():
    works = scores(RUNS < 3)
    row = evaluate.clustered({"m": works}, "by run", "left_foot", "m", ["within"]).iloc[0]
    alone = evaluate.clustering(works["within"], RUNS)
    assert (row["id"], row["verdict"], row["method"], row["joint"]) == ("by run", HOLDS, "m", "left_foot")
    assert (row["runs"], row["n"], row["p"]) == (8, 80, alone.p) and row["p"] < 0.001
    assert row["difference"] == pytest.approx(
        100 * (np.std([1, 1, 1, 0, 0, 0, 0, 0], ddof=1) - alone.expected)
    )
    assert row["low"] == pytest.approx(100 * alone.low) and row["measure"] == "within 1/48 of the frame"
    mixed = np.random.default_rng(3).permutation(np.arange(80) < 24)
    both = evaluate.clustered({"m": works, "mixed": scores(mixed)}, "", "left_foot", "m", ["within"])
    assert both["verdict"].tolist() == [HOLDS, OPEN] and both["method"].tolist() == ["m", "mixed"]
    assert both["p"].iloc[0] == pytest.approx(2 * row["p"]), "Holm's correction of two parts"


def test_hits_do_not_cluster_where_the_runs_lie_nearer_than_the_papers():
    """Of independent pictures the interval is below .247, the spread of the paper's runs of twenty labels."""
    mixed = scores(np.random.default_rng(3).permutation(np.arange(80) < 24))
    asked = ({"m": mixed}, "", "left_foot", "m", ["in_direction"])
    assert evaluate.clustered(*asked, {"m": 20})["verdict"].tolist() == [FAILS]
    assert evaluate.clustered(*asked, {"m": 7})["verdict"].tolist() == [OPEN], "of 7 the paper says nothing"
    works = scores(RUNS < 3)
    assert evaluate.clustered({"m": works}, *asked[1:], {"m": 20})["verdict"].tolist() == [HOLDS]


def test_the_spread_of_the_papers_runs_is_what_its_ten_pictures_leave():
    """26.25 % +- 18.06 of ten pictures: .1806^2 - .2625 x .7375 / 10 = .1151^2."""
    assert paper_spread("left_foot", 5, "in_direction") == pytest.approx(0.1151, abs=1e-4)
    assert paper_spread("left_elbow", 20, "within") is None and paper_spread("left_foot", 7, "within") is None


@pytest.mark.parametrize("size", [1.0, 30.0])
def test_the_spread_of_runs_is_in_its_interval(size):
    """Beta shares of mean .4 have a variance of .24 / (size + 1); 95 % of the intervals are to hold it."""
    rng, spread = np.random.default_rng(2), np.sqrt(0.24 / (size + 1))
    found = [
        evaluate.spread_of_runs(rng.binomial(40, rng.beta(0.4 * size, 0.6 * size, 10)), 40) for _ in range(40)
    ]
    assert np.mean([low <= spread <= high for _, low, high in found]) >= 0.88
    assert np.mean([one for one, *_ in found]) == pytest.approx(spread, rel=0.15)


def test_the_share_of_lucky_runs_is_that_of_independent_pictures_where_these_are():
    """2,000 runs of 5 pictures with a share of .6 hit all in .6^5; runs that differ in nothing say so."""
    hits = np.random.default_rng(0).binomial(5, 0.6, 2000)
    share, low, high = evaluate.share_of_lucky(hits, 5)
    assert low < 0.6**5 < high and share == pytest.approx((hits == 5).mean(), abs=0.01)


def test_runs_that_work_or_do_not_are_lucky_more_often():
    """Beta(.5, .5) shares: all of 10 are hit in B(10.5, .5) / B(.5, .5) = .176 of the runs."""
    rng = np.random.default_rng(1)
    share, low, high = evaluate.share_of_lucky(rng.binomial(10, rng.beta(0.5, 0.5, 300)), 10)
    assert low < 0.176 < high and high - low < 0.12 and low < share < high


def test_a_few_runs_without_a_hit_leave_it_open():
    share, low, high = evaluate.share_of_lucky([0, 0, 0], 10)
    assert low < 0.001 < high and share < 0.01
    with pytest.raises(ValueError, match="expected 0 to 10 of two runs at least"):
        evaluate.share_of_lucky([11, 0], 10)


TEST = config.profile("smoke").test


@pytest.fixture(scope="module")
def learned(tiny_sd):
    generator = torch.Generator().manual_seed(0)
    base, one, two = (torch.randn(n, tiny_sd.context_width, generator=generator) for n in (5, 3, 3))
    return [Appended(base, tokens, mode="readout") for tokens in (one, two, one)]


def test_correlations_are_numpys_over_pixels(tiny_sd, learned):
    images = torch.rand(
        2, 3, tiny_sd.image_size, tiny_sd.image_size, generator=torch.Generator().manual_seed(1)
    )
    found = map_correlations(tiny_sd, learned, images, TEST)
    maps = [reading.read_appended(tiny_sd, one, images, TEST) for one in learned[:2]]
    known = [np.corrcoef(a.flatten(), b.flatten())[0, 1] for a, b in zip(*maps, strict=True)]
    assert found.shape == (3, 3) and found[0, 1] == pytest.approx(np.mean(known), abs=1e-4)
    assert torch.allclose(found.diagonal(), torch.ones(3), atol=1e-5) and found[0, 2] > 0.9999


def test_cosines_are_of_tokens_in_their_order(learned):
    found = token_cosines(learned)
    by_hand = torch.nn.functional.cosine_similarity(learned[0].tokens, learned[1].tokens, dim=1).mean()
    assert found[0, 1] == pytest.approx(float(by_hand), abs=1e-6) and found[0, 2] == pytest.approx(
        1, abs=1e-6
    )
