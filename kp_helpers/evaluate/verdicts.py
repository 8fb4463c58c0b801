"""Verdicts on claims by fixed rules, from paired differences, shares and the spread over runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from kp_helpers.config import Profile
from kp_helpers.evaluate.controls import MEAN
from kp_helpers.evaluate.measures import ALL
from kp_helpers.evaluate.protocol import appended_name
from kp_helpers.evaluate.scores import MEASURES, Measured, differences, listed, report, summarise, table
from kp_helpers.intervals import p_text

HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be told"
"""The three verdicts."""
MARGIN = 10.0
"""Percent points that count as no gain: one picture of the ten that a run is tested on."""


def against(scores: pd.DataFrame, default: str) -> pd.DataFrame:
    """Every variant minus the default one on the same pictures of the same runs: `differences`, by variant.

    The control "mean position" is among them. No p is corrected for how many there are.
    """
    others = [name for name in scores["method"].unique() if name != default]
    rows = [differences(scores, name, [default]).assign(variant=name) for name in others]
    return pd.concat(rows)[["variant", *rows[0].columns[:-1]]] if rows else pd.DataFrame()


def judged(
    compared: pd.DataFrame,
    claims: Iterable[tuple[str, str, str, str]],
    measure: str = MEASURES["in_direction"],
) -> pd.DataFrame:
    """A verdict for each claim (sentence, variant, against, side as for `verdict`) by one measure.

    compared: rows of one joint of `against`, or of `differences` with a column variant. ValueError where a
    pair was not compared.
    """
    rows = []
    hits = compared[compared["measure"] == measure]
    for sentence, variant, other, side in claims:
        pair = hits[(hits["variant"] == variant) & (hits["against"] == other)]
        if pair.empty:
            raise ValueError(f"judged: {variant!r} was not compared with {other!r}, expected a row of them")
        row = pair.iloc[0]
        numbers = {name: row[name] for name in ("difference", "low", "high", "p", "runs", "n")}
        found = verdict(row["low"], row["high"], side)
        about = {"joint": row["joint"], "method": variant, "measure": measure}
        rows.append({"claim": sentence, "verdict": found, **about, **numbers})
    return pd.DataFrame(rows)


def verdict(low: float, high: float, side: str) -> str:
    """What the 95 % interval [low, high] of a paired difference or a share in percent says of a claim.

    That it is "higher" or "lower" holds where the whole interval lies on that side of zero, and does not hold
    where it lies on the other. That it is "not higher" holds where the interval ends below `MARGIN`, and does
    not hold where it begins above zero. That a share is "near zero" holds where its interval ends below
    `MARGIN`, and does not hold where it begins above. All else, NaN included, cannot be told.
    """
    holds = {"higher": low > 0, "lower": high < 0, "not higher": high < MARGIN and not low > 0}
    fails = {"higher": high < 0, "lower": low > 0, "not higher": low > 0}
    holds["near zero"], fails["near zero"] = high < MARGIN, low > MARGIN
    if side not in holds:
        raise ValueError(f"side is {side!r}, expected one of {', '.join(map(repr, holds))}")
    return HOLDS if holds[side] else FAILS if fails[side] else OPEN


def verdict_of_share(share: float) -> str:
    """The verdict on what a share of resamples shows: it holds from 97.5 % on, and does not up to 2.5 %."""
    return HOLDS if share >= 0.975 else FAILS if share <= 0.025 else OPEN


def variants_table(scores: pd.DataFrame, default: str) -> pd.DataFrame:
    """The sweep as a person reads it, a row a variant: its numbers as in `table`, and its hits in a direction
    minus the default's in percent points, with interval and p.
    """
    measures = {column: ALL[column] for column in (*MEASURES, "error")}
    rows = table(report(scores, measures)).droplevel("joint").T.rename_axis("variant")
    compared = against(scores, default)
    hits = compared[compared["measure"] == MEASURES["in_direction"]] if len(compared) else compared
    texts = {row.variant: _difference(row) for row in hits.itertuples()}
    rows[f"minus {default}"] = [texts.get(name, "") for name in rows.index]
    return rows


def measured_variants(scores: pd.DataFrame, settings: Profile, quoted: Mapping[str, int]) -> list[Measured]:
    """What `results` keeps of a sweep: the protocol's numbers of each variant, named with the mode.

    quoted: the variants that the paper's numbers stand beside, with their numbers of training images.
    """
    found = []
    for method, rows in scores.groupby("method", sort=False):
        name = method if method == MEAN else f"{appended_name(settings.appended)}, {method}"
        for one in summarise(rows.assign(method=name), quoted.get(method, 0)):
            found.append(one if method in quoted else replace(one, paper=None, paper_sd=None, source=""))
    return found


def over(scores: pd.DataFrame, places: Mapping[str, tuple[str, float]], setting: str) -> pd.DataFrame:
    """Hits over a setting, as `display.curves` takes them; places: variant -> (its line, the setting)."""
    measures = {column: ALL[column] for column in MEASURES}
    rows = listed(report(scores[scores["method"].isin(places)], measures))
    lines, values = zip(*(places[method] for method in rows["method"]), strict=True)
    rows = rows.assign(panel=rows["measure"], line=lines, **{setting: values})
    columns = ["method", "panel", "line", setting, "value", "low", "high", "n"]
    return rows.sort_values(setting, kind="stable")[columns]


def _difference(row) -> str:
    return f"{row.difference:+.1f} [{row.low:.0f}, {row.high:.0f}], {p_text(row.p)}"


@dataclass(frozen=True)
class Clustering:
    """The spread of hits over runs, in the unit of a share.

    sd: standard deviation (n - 1) of the runs' shares of hits. expected: its mean where hits fall on pictures
    of any run alike. low, high: the 95 % interval of sd - expected. p: how often such hits are spread as
    widely, one-sided.
    """

    sd: float
    expected: float
    low: float
    high: float
    p: float


def clustering(hits: ArrayLike, runs: ArrayLike, *, resamples: int = 10_000, seed: int = 0) -> Clustering:
    """A permutation test of hits (n,), 0 or 1, in runs (n,): all orders of the hits are equally likely where
    it does not matter which run a picture belongs to.

    Pictures may differ in how hard they are, since each run draws its own. The interval is what remains of sd
    when the middle 95 % of the permutations' are taken from it, so it leaves out zero where p < .025.
    ValueError for fewer than two runs, or for values that are no hits.
    """
    hits, member = _checked(hits, runs)
    if len(member) < 2:
        raise ValueError("hits are of one run, expected two at least: one has no spread")
    shares = _permuted(hits, member, resamples, seed) / member.sum(axis=1)
    by_chance = shares.std(axis=1, ddof=1)
    sd = float((member @ hits / member.sum(axis=1)).std(ddof=1))
    lowest, highest = np.quantile(by_chance, [0.025, 0.975])
    as_wide = (by_chance >= sd - 1e-12).sum()
    return Clustering(
        sd, float(by_chance.mean()), sd - highest, sd - lowest, float((1 + as_wide) / (1 + resamples))
    )


def hits_of_runs(hits: ArrayLike, runs: ArrayLike, *, resamples: int = 10_000, seed: int = 0) -> pd.DataFrame:
    """How many runs have 0, 1, 2, ... hits: columns hits, runs, and expected, as for `clustering`."""
    hits, member = _checked(hits, runs)
    most, own = int(member.sum(axis=1).max()), (member @ hits).astype(int)
    chance = _permuted(hits, member, resamples, seed).astype(int)
    expected = np.bincount(chance.ravel(), minlength=most + 1) / resamples
    counts = {"hits": range(most + 1), "runs": np.bincount(own, minlength=most + 1), "expected": expected}
    return pd.DataFrame(counts)


def _permuted(hits: np.ndarray, member: np.ndarray, resamples: int, seed: int) -> np.ndarray:
    """Hits of each run (resamples, R) where they fall on any picture alike."""
    orders = np.random.default_rng(seed).permuted(np.tile(hits, (resamples, 1)), axis=1)
    return orders @ member.T


def _checked(hits: ArrayLike, runs: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Hits (n,) as numbers, and which of them belong to each run, (R, n) of 0 and 1."""
    hits, runs = np.asarray(hits, float), np.asarray(runs)
    if hits.shape != runs.shape or hits.ndim != 1 or not len(hits):
        found = f"hits have shape {hits.shape} and runs {runs.shape}"
        raise ValueError(f"{found}, expected (n,) of both, one hit or miss at least")
    if not np.isin(hits, (0, 1)).all():
        raise ValueError("hits hold a value other than 0 and 1, expected misses and hits")
    return hits, (runs == np.unique(runs)[:, None]).astype(float)


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
