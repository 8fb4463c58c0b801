"""Verdicts on goals: intervals that lie on one side of the goal, on the other, and across it."""

import numpy as np
import pandas as pd
import pytest

from kp_helpers.evaluate import FAILS, HOLDS, OPEN, reached


def scores(hits) -> pd.DataFrame:
    """Hits (runs, pictures) of one joint by one method."""
    rows = [
        {"joint": "head", "method": "m", "run": run, "sequence": f"s{n}", "within": 0.0, "within_square": hit}
        for run, row in enumerate(hits)
        for n, hit in enumerate(row)
    ]
    return pd.DataFrame(rows)


MOST = np.ones((10, 20))
MOST[:, 0] = 0.0


@pytest.mark.parametrize(
    ("goal", "side", "verdict"),
    [
        (50.0, "at least", HOLDS),
        (94.0, "at least", OPEN),
        (100.0, "at least", OPEN),
        (50.0, "below", FAILS),
        (94.0, "below", OPEN),
    ],
)
def test_a_goal_is_reached_by_the_whole_interval(goal, side, verdict):
    (row,) = reached(scores(MOST), "text", "head", "m", "within_square", goal, side).to_dict("records")
    assert row["verdict"] == verdict and row["claim"] == "text"
    assert row["difference"] == pytest.approx(95 - goal) and row["low"] < row["difference"] < row["high"]
    assert (row["runs"], row["n"]) == (10, 200) and np.isnan(row["p"])


def test_none_of_the_interval_is_no_success():
    few = scores(1 - MOST)
    assert reached(few, "t", "head", "m", "within_square", 75.0).iloc[0]["verdict"] == FAILS
    assert reached(few, "t", "head", "m", "within_square", 75.0, "below").iloc[0]["verdict"] == HOLDS


def test_what_cannot_be_asked_is_named():
    with pytest.raises(ValueError, match="neck, m: no picture has 'within_square'"):
        reached(scores(MOST), "t", "neck", "m", "within_square", 75.0)
    with pytest.raises(ValueError, match="side is 'above', expected one of 'at least', 'below'"):
        reached(scores(MOST), "t", "head", "m", "within_square", 75.0, "above")
