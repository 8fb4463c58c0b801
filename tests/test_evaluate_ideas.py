"""Choosing among ideas: by hand on a few numbers, the choice is plain."""

import pandas as pd
import pytest

from kp_helpers.evaluate import (
    Idea,
    candidates,
    combined,
    differences,
    gains,
    greedy,
    over_joints,
    report,
)
from kp_helpers.evaluate.measures import ALL

IDEAS = [
    Idea("a", "objective", {"objective": "cross_entropy"}),
    Idea("b", "objective", {"objective": "mse"}),
    Idea("c", "start", {"init": "base"}, {"views": 2}),
    Idea("d", "reading", test={"window": 3.0}),
]
HITS = {"paper": "0000 0101", "a": "0100 0101", "b": "1100 0101", "c": "0000 1111", "d": "0000 0100"}
"""Method -> hits of two joints, each in two runs of two pictures."""


def scores() -> pd.DataFrame:
    rows = []
    for method, text in HITS.items():
        for joint, hits in zip(("head", "neck"), text.split(), strict=True):
            for place, hit in enumerate(hits):
                about = {"joint": joint, "method": method, "run": place // 2, "sequence": f"s{place % 2}"}
                rows.append({**about, "within": float(hit), "within_square": float(hit)})
    return pd.DataFrame(rows)


def test_gains_are_the_mean_differences_over_joints():
    found = gains(scores(), "paper", IDEAS)
    assert dict(zip(found["idea"], found["difference"], strict=True)) == {
        **{"b": 25.0, "c": 25.0, "a": 12.5},
        "d": -12.5,
    }
    assert (
        found["difference"].is_monotonic_decreasing and (found["n"] == 8).all() and (found["runs"] == 2).all()
    )
    assert (found["low"] <= found["difference"]).all()


def test_the_mean_over_joints_is_the_mean_of_their_means():
    (one,) = report(over_joints(scores())[lambda rows: rows["method"] == "c"], {"within": ALL["within"]})
    assert (one.joint, one.value, one.n) == ("all joints", 50.0, 8)


def test_a_prediction_counts_as_one_however_many_share_its_sequence():
    """The second joint is hidden in the first picture of a run: that picture has one prediction, not two."""
    unseen = pd.Series([False, False, False, False, True, False, True, False] * len(HITS))
    pooled = over_joints(scores()[~unseen])
    hits = {"within": ALL["within"]}
    shares = {one.method: one for one in report(pooled, hits)}
    assert {name: one.value for name, one in shares.items()} == pytest.approx(
        {"paper": 200 / 6, "a": 50.0, "b": 400 / 6, "c": 200 / 6, "d": 100 / 6}
    )
    for name, one in shares.items():
        low, high = one.interval
        assert low == 0 or high == 100 or (low + high) / 2 == pytest.approx(one.value), name
    (row,) = differences(pooled, "b", ["paper"], hits).itertuples()
    assert row.difference == pytest.approx(shares["b"].value - shares["paper"].value) and row.n == 6


def test_an_idea_is_a_candidate_if_it_gains_and_none_above_it_changes_the_same():
    assert [idea.name for idea in candidates(gains(scores(), "paper", IDEAS), IDEAS)] == ["b", "c"]


def test_greedy_keeps_what_raises_the_value():
    values = {"b": 50.0, "bc": 40.0, "bd": 51.0}
    steps = list(greedy([IDEAS[1], IDEAS[2], IDEAS[3]], lambda own: values["".join(one.name for one in own)]))
    assert [("".join(i.name for i in own), value, kept) for own, value, kept in steps] == [
        ("b", 50.0, True),
        ("bc", 40.0, False),
        ("bd", 51.0, True),
    ]


def test_ideas_are_put_together_unless_they_contradict():
    found = combined("both", [IDEAS[0], IDEAS[2], IDEAS[3]])
    assert found.name == "both" and found.appended == {"objective": "cross_entropy", "init": "base"}
    assert found.test == {"views": 2, "window": 3.0}
    with pytest.raises(ValueError, match="both: 'b' changes 'objective', as an idea before it does"):
        combined("both", IDEAS[:2])
    levels = [
        Idea(name, "level", reading={setting: 2})
        for name, setting in (("t", "timestep"), ("f", "finest_layers"))
    ]
    assert combined("both", levels).reading == {"timestep": 2, "finest_layers": 2}
    with pytest.raises(ValueError, match="both: 't' changes 'timestep', as an idea before it does"):
        combined("both", [*levels, levels[0]])
