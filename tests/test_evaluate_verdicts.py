"""The rule of the verdicts: on differences that are planted, and beside the same numbers by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm

from kp_helpers import intervals
from kp_helpers.evaluate import (
    ALL,
    BETTER,
    FAILS,
    HOLDS,
    MEAN,
    NO_BETTER,
    OPEN,
    PRIMARY,
    UNTESTABLE,
    WORSE,
    by_sign,
    decided,
    judged,
    ordered,
    reached,
)
from kp_helpers.intervals import holm


def scores(
    joint: str = "left_foot", runs: int = 10, pictures: int = 40, seed: int = 0, noise: float = 0.02, **given
) -> pd.DataFrame:
    """method -> (share of exact hits, mean area); what is hard about a picture is shared by all methods."""
    rng, rows = np.random.default_rng(seed), []
    hard = rng.random((runs, pictures))
    for method, (hits, area) in given.items():
        apart = rng.normal(0, noise, (runs, pictures))
        for run in range(runs):
            for n in range(pictures):
                about = {"joint": joint, "method": method, "run": run, "sequence": f"s{n}", "image": f"s{n}"}
                hit = float(hard[run, n] < hits)
                value = float(np.clip(area + 0.2 * (0.5 - hard[run, n]) + apart[run, n], 0, 1))
                rows.append({**about, "within": hit, "within_square": hit, "auc": value})
    return pd.DataFrame(rows)


def verdict(found: pd.DataFrame) -> str:
    (word,) = set(found["verdict"])
    return word


BASE = {"a": (0.4, 0.5), MEAN: (0.05, 0.2)}


@pytest.mark.parametrize(
    ("other", "better", "worse", "no_better"),
    [
        ((0.2, 0.35), HOLDS, FAILS, HOLDS),
        ((0.6, 0.65), FAILS, HOLDS, FAILS),
        ((0.4, 0.5), FAILS, FAILS, HOLDS),
        ((0.2, 0.65), OPEN, OPEN, FAILS),
        ((0.4, 0.65), FAILS, HOLDS, FAILS),
        ((0.55, 0.5), FAILS, HOLDS, FAILS),
    ],
)
def test_a_pair_is_decided_by_both_measures(other, better, worse, no_better):
    """Better and worse are asked of a, "no better" of b; in the fourth the measures disagree."""
    own = scores(**BASE, b=other)
    assert verdict(judged(own, "x", [("a", BETTER, "b")])) == better
    assert verdict(judged(own, "x", [("a", WORSE, "b")])) == worse
    assert verdict(judged(own, "x", [("b", NO_BETTER, "a")])) == no_better


def test_the_numbers_are_those_of_the_paired_interval_with_holms_p():
    own = scores(**BASE, b=(0.36, 0.49), c=(0.3, 0.4))
    found = judged(own, "x", [("a", BETTER, "b"), ("a", BETTER, "c")])
    table = {m: own[own["method"] == m].pivot(index="run", columns="sequence", values="auc") for m in "abc"}
    hits = {m: own[own["method"] == m].pivot(index="run", columns="sequence", values="within") for m in "abc"}
    alone = [intervals.paired(100 * t["a"], 100 * t[m]) for m in "bc" for t in (hits, table)]
    assert found["measure"].tolist() == 2 * [one.name for one in PRIMARY.values()]
    assert np.allclose(found["difference"], [one.value for one in alone])
    assert np.allclose(found[["low", "high"]], [(one.low, one.high) for one in alone])
    assert np.allclose(found["p"], holm([one.p() for one in alone]))
    assert (found["runs"] == 10).all() and (found["n"] == 400).all() and (found["id"] == "x").all()


def test_parts_with_other_sides_are_corrected_together():
    own = scores(**BASE, b=(0.36, 0.49), c=(0.3, 0.4))
    apart = [judged(own, "x", [part]) for part in (("b", WORSE, "a"), ("c", NO_BETTER, "a"))]
    together = judged(own, "x", [("b", WORSE, "a"), ("c", NO_BETTER, "a")])
    raw = []
    for other in "bc":
        for column in PRIMARY:
            of = {
                m: own[own["method"] == m].pivot(index="run", columns="sequence", values=column)
                for m in "abc"
            }
            raw.append(intervals.paired(100 * of[other], 100 * of["a"]).p())
    assert np.allclose(together["p"].iloc[:3], holm(raw)[:3])
    assert together["p"].iloc[3] == apart[1]["p"].iloc[1], "one part alone asks for the margin"


def test_no_better_is_a_test_against_the_margin():
    own = scores(**BASE, b=(0.4, 0.53))
    found = judged(own, "x", [("b", NO_BETTER, "a")])
    tables = [own[own["method"] == m].pivot(index="run", columns="sequence", values="auc") for m in "ba"]
    alone = intervals.paired(*(100 * table for table in tables))
    assert found["p"].iloc[-1] == pytest.approx(alone.p(5.0, "less")) and verdict(found) == HOLDS
    assert 0 < alone.low < 5, "better, and by less than the margin: no difference that counts"


def test_what_cannot_be_told_says_how_many_pictures_would_tell():
    own = scores(runs=4, pictures=6, noise=0.2, **BASE, b=(0.4, 0.47))
    found = judged(own, "x", [("a", BETTER, "b")])
    assert verdict(found) == OPEN
    tables = [own[own["method"] == m].pivot(index="run", columns="sequence", values="auc") for m in "ab"]
    alone = intervals.paired(*(100 * table for table in tables))
    times = ((norm.ppf(0.975) + norm.ppf(0.8)) * alone.error / alone.value) ** 2
    assert found["needed"].iloc[-1] == np.ceil(24 * times)
    told = judged(scores(**BASE, b=(0.1, 0.2)), "x", [("a", BETTER, "b")])
    assert verdict(told) == HOLDS and told["needed"].isna().all()


def test_methods_that_do_not_beat_the_floor_are_not_tested():
    own = scores(a=(0.05, 0.2), b=(0.05, 0.2), **{MEAN: (0.05, 0.2)})
    found = judged(own, "x", [("a", NO_BETTER, "b")], floor=MEAN)
    assert verdict(found) == UNTESTABLE and set(found["why"]) == {f"neither is shown to beat {MEAN}"}
    assert verdict(judged(own, "x", [("a", NO_BETTER, "b")])) == HOLDS
    beside = scores(**BASE, b=(0.05, 0.2))
    assert verdict(judged(beside, "x", [("b", WORSE, "a")], floor=MEAN)) == HOLDS, "one of the two beats it"
    assert verdict(judged(beside, "x", [("a", BETTER, MEAN)], floor=MEAN)) == HOLDS


def test_pairs_that_never_differ_have_no_p():
    own = scores(a=(1.0, 0.5))
    own = pd.concat([own, own.assign(method="b")])
    found = judged(own, "x", [("a", BETTER, "b")])
    assert verdict(found) == OPEN and found[["low", "high", "p", "needed"]].isna().all(axis=None)


def test_what_cannot_be_asked_is_named():
    own = scores(**BASE)
    with pytest.raises(ValueError, match="side is 'up', expected one of 'better than', 'worse than'"):
        judged(own, "x", [("a", "up", MEAN)])
    with pytest.raises(ValueError, match="'a' and 'c' have no picture in common"):
        judged(own, "x", [("a", BETTER, "c")])
    assert judged(own, "x", []).empty


def joints(elbow: float = 0.5) -> pd.DataFrame:
    shares = {"left_foot": 0.7, "head": 0.4, "left_elbow": 0.1}
    ridge = {"left_foot": 0.8, "head": 0.9, "left_elbow": elbow}
    parts = [
        scores(joint, seed=n, m=(share, share), ridge=(ridge[joint], 0.5))
        for n, (joint, share) in enumerate(shares.items())
    ]
    return pd.concat(parts)


def test_an_order_of_joints_is_asked_of_other_pictures_each():
    own, order = joints(), ["left_foot", "head", "left_elbow"]
    found = ordered(own, "x", "m", order, "ridge")
    assert set(found["verdict"]) == {HOLDS} and found["against"].tolist() == 2 * ["head"] + 2 * ["left elbow"]
    means = [
        intervals.two_way(
            100
            * own[(own.joint == j) & (own.method == "m")].pivot(index="run", columns="sequence", values="auc")
        )
        for j in order[:2]
    ]
    half = np.hypot(means[0].error, means[1].error)
    row = found.iloc[1]
    assert row["difference"] == pytest.approx(means[0].value - means[1].value)
    assert (row["high"] - row["low"]) / 2 == pytest.approx(
        half * (means[0].high - means[0].value) / means[0].error
    )
    assert set(ordered(own, "x", "m", order[::-1], "ridge")["verdict"]) == {FAILS}


def test_an_order_is_not_asked_of_joints_that_the_features_do_not_hold():
    found = ordered(joints(elbow=0.2), "x", "m", ["left_foot", "head", "left_elbow"], "ridge")
    assert found["verdict"].tolist() == [HOLDS, HOLDS, UNTESTABLE, UNTESTABLE]
    assert found["why"].iloc[-1].startswith("ridge finds left elbow in 2")


@pytest.mark.parametrize(
    ("goal", "side", "expected"),
    [
        (50.0, "at least", HOLDS),
        (94.0, "at least", OPEN),
        (100.0, "at least", OPEN),
        (50.0, "below", FAILS),
        (94.0, "below", OPEN),
    ],
)
def test_a_goal_is_reached_by_the_whole_interval(goal, side, expected):
    """All runs miss one of twenty pictures."""
    own = scores(m=(1.0, 0.5), pictures=20)
    own.loc[own["sequence"] == "s0", "within_square"] = 0.0
    (row,) = reached(own, "x", "left_foot", "m", "within_square", goal, side).to_dict("records")
    assert (row["id"], row["verdict"]) == ("x", expected) and (row["runs"], row["n"]) == (10, 200)
    assert row["difference"] == pytest.approx(95 - goal) and row["low"] < row["difference"] < row["high"]
    assert np.isnan(row["p"]) and (row["needed"] > 0) == (expected == OPEN)


def test_no_hit_of_sixty_sequences_is_near_zero():
    """Wilson's interval of 0 of 60 ends at z^2 / (60 + z^2), 6 %."""
    own = scores(m=(0.0, 0.1), pictures=60)
    row = reached(own, "x", "left_foot", "m", "within", 10, "below").iloc[0]
    assert row["verdict"] == HOLDS and row["high"] + 10 == pytest.approx(100 * 3.8415 / 63.8415, abs=0.01)
    assert reached(own, "x", "left_foot", "m", "within", 5, "below").iloc[0]["verdict"] == OPEN
    with pytest.raises(ValueError, match="neck, m: no picture has 'within'"):
        reached(own, "x", "neck", "m", "within", 5)
    with pytest.raises(ValueError, match="side is 'above', expected 'at least' or 'below'"):
        reached(own, "x", "left_foot", "m", "within", 5, "above")


def test_rows_by_a_rule_of_their_own_have_the_same_columns():
    own = scores(**BASE)
    row = decided("x", by_sign(1, 2), own, difference=1.5, measure=ALL["auc"].name)
    assert list(row) == list(judged(own, "x", [("a", BETTER, MEAN)]))
    assert (row["n"].item(), row["runs"].item(), row["verdict"].item()) == (800, 10, HOLDS)
    assert [by_sign(-2, -1), by_sign(-1, 1), by_sign(np.nan, np.nan)] == [FAILS, OPEN, OPEN]
