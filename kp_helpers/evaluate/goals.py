"""Verdicts on goals: whether a share reaches a number that was named beforehand.

A table of one row with the columns of `judged`, so that all verdicts make one table.
"""

import numpy as np
import pandas as pd

from kp_helpers.evaluate.ablation import FAILS, HOLDS, OPEN
from kp_helpers.evaluate.measures import ALL
from kp_helpers.evaluate.scores import report

SIDES = ("at least", "below")


def reached(
    scores: pd.DataFrame,
    claim: str,
    joint: str,
    method: str,
    column: str,
    goal: float,
    side: str = "at least",
) -> pd.DataFrame:
    """Whether a method's share of a joint is "at least" or "below" a goal in percent.

    scores: as `score` returns them. column: of `measures.ALL`. It holds where the whole 95 % interval does,
    does not hold where none of it does, and cannot be told otherwise. difference is the share minus the goal
    with its interval, in percent points. There is no p: no test asks this.
    """
    if side not in SIDES:
        raise ValueError(f"side is {side!r}, expected one of {', '.join(map(repr, SIDES))}")
    rows = scores[(scores["joint"] == joint) & (scores["method"] == method)].dropna(subset=column)
    if rows.empty:
        raise ValueError(f"{joint}, {method}: no picture has {column!r}, expected scores of this method")
    (share,) = report(rows, {column: ALL[column]})
    low, high = share.interval or (np.nan, np.nan)
    holds, fails = (low >= goal, high < goal) if side == "at least" else (high < goal, low >= goal)
    about = {"joint": joint, "method": method, "measure": share.measure}
    numbers = {"difference": share.value - goal, "low": low - goal, "high": high - goal, "p": np.nan}
    counts = {"runs": rows["run"].nunique(), "n": share.n}
    verdict = HOLDS if holds else FAILS if fails else OPEN
    return pd.DataFrame([{"claim": claim, "verdict": verdict, **about, **numbers, **counts}])
