"""Tables and curves of an ablation: every variant beside the default one, on the same pictures."""

from collections.abc import Mapping

import pandas as pd

from kp_helpers.config import Profile
from kp_helpers.evaluate.controls import MEAN
from kp_helpers.evaluate.measures import ALL
from kp_helpers.evaluate.protocol import appended_name
from kp_helpers.evaluate.scores import SHOWN, differences, listed, report, summarise, table
from kp_helpers.intervals import p_text
from kp_helpers.metrics import Metric


def against(scores: pd.DataFrame, default: str) -> pd.DataFrame:
    """Every variant minus the default one on the same pictures of the same runs: `differences`, by variant.

    The control "mean position" is among them. No p is corrected for how many there are.
    """
    others = [name for name in scores["method"].unique() if name != default]
    rows = [differences(scores, name, [default]).assign(variant=name) for name in others]
    return pd.concat(rows)[["variant", *rows[0].columns[:-1]]] if rows else pd.DataFrame()


def variants_table(scores: pd.DataFrame, default: str) -> pd.DataFrame:
    """The sweep as a person reads it, a row a variant: its numbers as in `table`, and its area under the PCK
    curve minus the default's in percent points, with interval and p.
    """
    measures = {**SHOWN, "error": ALL["error"]}
    rows = table(report(scores, measures)).droplevel("joint").T.rename_axis("variant")
    compared = against(scores, default)
    areas = compared[compared["measure"] == ALL["auc"].name] if len(compared) else compared
    texts = {row.variant: _difference(row) for row in areas.itertuples()}
    rows[f"minus {default}"] = [texts.get(name, "") for name in rows.index]
    return rows


def measured_variants(scores: pd.DataFrame, settings: Profile, quoted: Mapping[str, int]) -> list[Metric]:
    """What `results` keeps of a sweep: the protocol's numbers of each variant, named with the mode.

    quoted: the variants that the paper's numbers stand beside, with their numbers of training images.
    """
    measured = []
    for method, rows in scores.groupby("method", sort=False):
        name = method if method == MEAN else f"{appended_name(settings.appended)}, {method}"
        measured += summarise(rows.assign(method=name), quoted.get(method))
    return measured


def over(scores: pd.DataFrame, places: Mapping[str, tuple[str, float]], setting: str) -> pd.DataFrame:
    """`SHOWN` over a setting, as `display.curves` takes it; places: variant -> (its line, the setting)."""
    rows = listed(report(scores[scores["method"].isin(places)], SHOWN))
    lines, values = zip(*(places[method] for method in rows["method"]), strict=True)
    rows = rows.assign(panel=rows["measure"], line=lines, **{setting: values})
    columns = ["method", "panel", "line", setting, "value", "low", "high", "n"]
    return rows.sort_values(setting, kind="stable")[columns]


def _difference(row) -> str:
    return f"{row.difference:+.1f} [{row.low:.0f}, {row.high:.0f}], {p_text(row.p)}"
