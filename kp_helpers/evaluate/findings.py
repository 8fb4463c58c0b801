"""Verdicts on what the runs of one method show by themselves: that hits are near zero, or come by run.

Each is a table of one row with the columns of `judged`, so that all verdicts make one table.
"""

import numpy as np
import pandas as pd

from kp_helpers.evaluate.ablation import verdict
from kp_helpers.evaluate.clustering import clustering
from kp_helpers.evaluate.measures import ALL
from kp_helpers.evaluate.scores import report


def near_zero(scores: pd.DataFrame, claim: str, joint: str, method: str, column: str) -> pd.DataFrame:
    """Whether a share of hits is "near zero" as `verdict` says; difference is the share in percent itself.

    scores: as `score` returns them. column: of `measures.ALL`. There is no p: no test asks this.
    """
    rows = _own(scores, joint, method, column)
    (share,) = report(rows, {column: ALL[column]})
    low, high = share.interval or (np.nan, np.nan)
    numbers = {"difference": share.value, "low": low, "high": high, "p": np.nan}
    return _row(claim, verdict(low, high, "near zero"), column, numbers, rows)


def clustered(scores: pd.DataFrame, claim: str, joint: str, method: str, column: str) -> pd.DataFrame:
    """Whether hits lie further apart over the runs than `clustering` expects, by its interval.

    difference: the standard deviation over runs minus that which is expected, in percent points.
    """
    rows = _own(scores, joint, method, column)
    found = clustering(rows[column], rows["run"])
    bounds = {"low": 100 * found.low, "high": 100 * found.high}
    numbers = {"difference": 100 * (found.sd - found.expected), **bounds, "p": found.p}
    return _row(claim, verdict(found.low, found.high, "higher"), column, numbers, rows)


def _own(scores: pd.DataFrame, joint: str, method: str, column: str) -> pd.DataFrame:
    rows = scores[(scores["joint"] == joint) & (scores["method"] == method)].dropna(subset=column)
    if rows.empty:
        raise ValueError(f"{joint}, {method}: no picture has {column!r}, expected scores of this method")
    return rows


def _row(claim: str, found: str, column: str, numbers: dict[str, float], rows: pd.DataFrame) -> pd.DataFrame:
    counts = {"runs": rows["run"].nunique(), "n": len(rows)}
    one = rows.iloc[0]
    about = {"joint": one["joint"], "method": one["method"], "measure": ALL[column].name}
    return pd.DataFrame([{"claim": claim, "verdict": found, **about, **numbers, **counts}])
