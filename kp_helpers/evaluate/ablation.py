"""What an ablation found: variants beside the default one, and verdicts on claims by a fixed rule."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pandas as pd

from kp_helpers.config import Profile
from kp_helpers.evaluate.controls import MEAN
from kp_helpers.evaluate.measures import ALL
from kp_helpers.evaluate.protocol import appended_name
from kp_helpers.evaluate.scores import MEASURES, Measured, differences, listed, report, summarise
from kp_helpers.evaluate.tables import table

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
    return f"{row.difference:+.1f} [{row.low:.0f}, {row.high:.0f}], p {row.p:.2f}"
