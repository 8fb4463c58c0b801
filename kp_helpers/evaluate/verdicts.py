"""Verdicts on claims by one rule, fixed before the runs: a row for every pair and measure that a claim asks
of.

A claim is decided by exact hits and by the area under the PCK curve (`scores.PRIMARY`); the p of all
its parts, which are asked in one call, are corrected for their number (Holm).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.stats import norm

from kp_helpers import intervals
from kp_helpers.evaluate.measures import ALL, Measure
from kp_helpers.evaluate.scores import PRIMARY, Paired, mean_interval, paired
from kp_helpers.evaluate.spread import clustering, spread_of_runs
from kp_helpers.metrics.paper import FAILS, HOLDS, OPEN, UNTESTABLE, paper_spread

BETTER, WORSE, NO_BETTER = "better than", "worse than", "no better than"
SIDES = (BETTER, WORSE, NO_BETTER)
MARGIN = 5.0
"""Percent points of area under the PCK curve within which two methods are no different."""
LEVEL, POWER = 0.05, 0.8
COLUMNS = (
    *("id", "verdict", "joint", "method", "side", "against", "measure"),
    *("difference", "low", "high", "p", "runs", "n", "needed", "why"),
)
"""Of all that is returned here. id: the claim's. p: corrected. needed: about how many pictures, in as many
more runs, would decide a claim that cannot be told. why: it is not testable.
"""


@dataclass(frozen=True)
class _Asked:
    """A part of a claim with what was found of it by each measure, and p as `_corrected` gives them."""

    method: str
    side: str
    against: str
    found: Mapping[str, Paired]
    different: Mapping[str, float]
    below: float = np.nan


def judged(
    scores: pd.DataFrame,
    claim: str,
    parts: Iterable[tuple[str, str, str]],
    *,
    floor: str | None = None,
    measures: Mapping[str, Measure] = PRIMARY,
) -> pd.DataFrame:
    """The parts (method, side, other) of a claim: the method is one of `SIDES` the other.

    Better holds where a measure's difference is above zero (corrected p below .05) and the interval of no
    other lies below it; it does not hold where that is so the other way round, or where the last measure's
    is within `MARGIN` by two one-sided tests. Worse is the same, mirrored. No better holds where the last
    measure's difference is below `MARGIN` (one-sided, corrected) and no measure before it is better; it
    does not hold where one is, or the last is better and not below the margin. All else cannot be told.

    scores: of one joint, as `score` returns them. floor: a method that looks at no picture; where the pair's
    better method does not beat it, differences between methods say nothing and the claim is not testable.
    ValueError where a pair has no picture in common.
    """
    found = []
    for method, side, other in parts:
        if side not in SIDES:
            raise ValueError(f"side is {side!r}, expected one of {', '.join(map(repr, SIDES))}")
        found.append(((method, side, other), _found(scores, method, other, measures)))
    rows = []
    for one in _corrected(found, list(measures)[-1]):
        verdict, why = _verdict(one), ""
        if floor and not _above(scores, one, floor, measures):
            verdict, why = UNTESTABLE, f"neither is shown to beat {floor}"
        for column, pair in one.found.items():
            numbers = {**pair.row(), "p": _p(one, column)}
            about = {"method": one.method, "side": one.side, "against": one.against}
            about |= {"joint": scores["joint"].iloc[0], "measure": measures[column].name, "why": why}
            if verdict == OPEN:
                numbers["needed"] = _needed(one.side, pair, column == list(one.found)[-1])
            rows.append({"id": claim, "verdict": verdict, **about, **numbers})
    return pd.DataFrame(rows, columns=COLUMNS)


def ordered(
    scores: pd.DataFrame, claim: str, method: str, joints: Sequence[str], ceiling: str, least: float = 30.0
) -> pd.DataFrame:
    """The parts of the claim that a method finds each joint better than the next, in other pictures each.

    Not testable where `ceiling`, a fit with many labels, finds one of the pair in less than `least` percent
    of the pictures: then the features do not hold it.
    """
    of = {joint: scores[scores["joint"] == joint] for joint in joints}
    pairs = [
        ((first, BETTER, second), {c: _apart(of[first], of[second], method, c) for c in PRIMARY})
        for first, second in pairwise(joints)
    ]
    rows = []
    for one in _corrected(pairs, list(PRIMARY)[-1]):
        verdict, why = _verdict(one), ""
        for joint in (one.method, one.against):
            reach = 100 * of[joint].loc[of[joint]["method"] == ceiling, "within_square"].mean()
            if not reach >= least:
                verdict = UNTESTABLE
                why = f"{ceiling} finds {joint.replace('_', ' ')} in {reach:.0f} %"
        for column, pair in one.found.items():
            about = {"joint": one.method, "method": method, "side": BETTER, "why": why}
            about |= {"against": one.against.replace("_", " ")}
            about |= {"measure": PRIMARY[column].name, **pair.row(), "p": _p(one, column)}
            if verdict == OPEN:
                about["needed"] = _needed(BETTER, pair, False)
            rows.append({"id": claim, "verdict": verdict, **about})
    return pd.DataFrame(rows, columns=COLUMNS)


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

    It holds where the whole 95 % interval does, does not hold where none of it does, and cannot be told
    otherwise. difference is the share minus the goal, in percent points. There is no p: no test asks this.
    """
    if side not in ("at least", "below"):
        raise ValueError(f"side is {side!r}, expected 'at least' or 'below'")
    rows = _own(scores, joint, method, column)
    share = mean_interval(rows, column, ALL[column])
    low, high = (share.low, share.high) if share else (np.nan, np.nan)
    holds, fails = (low >= goal, high < goal) if side == "at least" else (high < goal, low >= goal)
    numbers = {"difference": 100 * rows[column].mean() - goal, "low": low - goal, "high": high - goal}
    found = HOLDS if holds else FAILS if fails else OPEN
    about = {"joint": joint, "method": method, "side": side, "against": f"{goal:g} %"}
    if found == OPEN and share:
        half, wanted = (high - low) / 2, norm.ppf(1 - LEVEL / 2)
        about["needed"] = _cases(len(rows), half / wanted, numbers["difference"], LEVEL / 2)
    return decided(claim, found, rows, measure=ALL[column].name, **about, **numbers)


def clustered(
    parts: Mapping[str, pd.DataFrame],
    claim: str,
    joint: str,
    method: str,
    columns: Sequence[str],
    images: Mapping[str, int] | None = None,
) -> pd.DataFrame:
    """Whether hits cluster by run.

    It holds where they lie further apart over the runs than `clustering` expects, by its one-sided p below
    .025 after Holm; it does not hold where they lie nearer than that, or where the 95 % interval of the runs'
    hit probabilities' spread (`spread_of_runs`) lies below the paper's.
    parts: the name of each part's rows -> its scores; each is asked by all columns. images: the name -> its
    number of labelled pictures, where the paper has such a number. difference: the standard deviation over
    runs minus that which is expected, in percent points.
    """
    asked = [(name, _own(scores, joint, method, c), c) for name, scores in parts.items() for c in columns]
    found = [clustering(rows[column], rows["run"]) for _, rows, column in asked]
    corrected = _holm([one.p for one in found])
    about = {"joint": joint, "side": "spread wider over runs than", "against": "chance"}
    verdicts = []
    for (name, rows, column), one, p in zip(asked, found, corrected, strict=True):
        papers = paper_spread(joint, (images or {}).get(name, 0), column)
        nearer = one.high < 0 or _narrower(rows, column, papers)
        verdict = HOLDS if p < LEVEL / 2 else FAILS if nearer else OPEN
        numbers = {"difference": one.sd - one.expected, "low": one.low, "high": one.high}
        numbers = {key: 100 * value for key, value in numbers.items()} | {"p": p}
        row = decided(claim, verdict, rows, measure=ALL[column].name, method=name, **about, **numbers)
        verdicts.append(row)
    return pd.concat(verdicts, ignore_index=True) if verdicts else pd.DataFrame(columns=COLUMNS)


def _narrower(rows: pd.DataFrame, column: str, papers: float | None) -> bool:
    """Whether the runs' hit probabilities certainly lie nearer to each other than the paper's."""
    of_runs = rows.groupby("run")[column].agg(["sum", "size"])
    if papers is None or of_runs["size"].nunique() > 1:
        return False
    return spread_of_runs(of_runs["sum"], int(of_runs["size"].iloc[0]))[2] < papers


def by_sign(low: float, high: float) -> str:
    """That something is above zero, by its 95 % interval."""
    return HOLDS if low > 0 else FAILS if high < 0 else OPEN


def decided(claim: str, verdict: str, rows: pd.DataFrame, **more) -> pd.DataFrame:
    """A row on `score`'s rows by a rule of its own; more: any of `COLUMNS`."""
    given = {"id": claim, "verdict": verdict, "runs": rows["run"].nunique(), "n": len(rows), **more}
    return pd.DataFrame([given], columns=COLUMNS)


def _found(
    scores: pd.DataFrame, method: str, other: str, measures: Mapping[str, Measure]
) -> dict[str, Paired]:
    found = {column: paired(scores, method, other, column, one) for column, one in measures.items()}
    found = {column: pair for column, pair in found.items() if pair}
    if not found:
        raise ValueError(f"judged: {method!r} and {other!r} have no picture in common, expected one at least")
    return found


def _apart(first: pd.DataFrame, second: pd.DataFrame, method: str, column: str) -> Paired:
    """A method's mean on one set of pictures minus that on another, which share none."""
    rows = [one[one["method"] == method].dropna(subset=column) for one in (first, second)]
    means = [mean_interval(one, column, PRIMARY[column]) for one in rows]
    difference = 100 * (rows[0][column].mean() - rows[1][column].mean())
    interval = intervals.apart(*means) if all(means) else None
    return Paired(difference, interval, min(one["run"].nunique() for one in rows), min(map(len, rows)))


def _corrected(asked: Sequence[tuple[tuple[str, str, str], dict[str, Paired]]], last: str) -> list[_Asked]:
    """With p of a difference from zero, over all parts and measures, and of being below the margin, over all
    parts that ask for it. Where all pairs of pictures differ by the same there is none.
    """
    places = [(n, column) for n, (_, found) in enumerate(asked) for column in found]
    zero = _holm([_tested(asked[n][1][column], 0.0, "two-sided") for n, column in places])
    below = [side == NO_BETTER and last in found for (_, side, _), found in asked]
    margin = _holm(
        [
            _tested(found[last], MARGIN, "less") if counts else np.nan
            for (_, found), counts in zip(asked, below, strict=True)
        ]
    )
    of = [
        {c: p for (n, c), p in zip(places, zero, strict=True) if n == number} for number in range(len(asked))
    ]
    return [_Asked(*part, found, of[n], margin[n]) for n, (part, found) in enumerate(asked)]


def _tested(pair: Paired, null: float, side: str) -> float:
    return pair.interval.p(null, side) if pair.interval else np.nan


def _holm(ps: Sequence[float]) -> np.ndarray:
    """Corrected p values; one that is NaN stays so and is not counted."""
    ps = np.asarray(ps, float)
    known = np.isfinite(ps)
    ps[known] = intervals.holm(ps[known]) if known.any() else ps[known]
    return ps


def _verdict(one: _Asked) -> str:
    if one.side == NO_BETTER:
        return _no_better(one)
    sign = 1 if one.side == BETTER else -1
    if _shown(one, sign):
        return HOLDS
    last = list(one.found.values())[-1].interval
    same = last is not None and intervals.equivalence(last, MARGIN) < LEVEL
    return FAILS if _shown(one, -sign) or same else OPEN


def _shown(one: _Asked, sign: int) -> bool:
    """Whether a measure differs to that side and no other lies on the opposite one."""
    toward = [sign * pair.difference > 0 and one.different[c] < LEVEL for c, pair in one.found.items()]
    ends = [pair.interval for pair in one.found.values() if pair.interval]
    opposed = any(end.high < 0 if sign > 0 else end.low > 0 for end in ends)
    return any(toward) and not opposed


def _no_better(one: _Asked) -> str:
    better = [pair.difference > 0 and one.different[column] < LEVEL for column, pair in one.found.items()]
    below = one.below < LEVEL
    if any(better[:-1]) or (better[-1] and not below):
        return FAILS
    return HOLDS if below else OPEN


def _above(scores: pd.DataFrame, one: _Asked, floor: str, measures: Mapping[str, Measure]) -> bool:
    """Whether one of a pair beats the floor in a measure, by the interval of the difference."""
    pairs = [_found(scores, name, floor, measures) for name in {one.method, one.against} - {floor}]
    return any(pair.interval and pair.interval.low > 0 for found in pairs for pair in found.values())


def _p(one: _Asked, column: str) -> float:
    return one.below if one.side == NO_BETTER and column == list(one.found)[-1] else one.different[column]


def _needed(side: str, pair: Paired, last: bool) -> float:
    """n times the square of how many times narrower the interval had to be for a power of .8, at the
    difference that was found; NaN where that is none.
    """
    if not pair.interval:
        return np.nan
    distance, tail = abs(pair.difference), LEVEL / 2
    if side == NO_BETTER:
        if not last:
            return np.nan
        if pair.difference < MARGIN:
            distance, tail = MARGIN - pair.difference, LEVEL
    return _cases(pair.n, pair.interval.error, distance, tail)


def _cases(n: int, error: float, distance: float, tail: float) -> float:
    """How many cases tell a distance with the power, where n of them leave a standard error."""
    wanted = norm.ppf(1 - tail) + norm.ppf(POWER)
    return np.ceil(n * (wanted * error / distance) ** 2) if distance else np.nan


def _own(scores: pd.DataFrame, joint: str, method: str, column: str) -> pd.DataFrame:
    rows = scores[(scores["joint"] == joint) & (scores["method"] == method)].dropna(subset=column)
    if rows.empty:
        raise ValueError(f"{joint}, {method}: no picture has {column!r}, expected scores of this method")
    return rows
