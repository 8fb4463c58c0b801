"""Settings and measures as tables, and what to call the data that a number was measured on."""

from collections.abc import Iterable

import pandas as pd
from pydantic import BaseModel

from kp_helpers.intervals import p_text
from kp_helpers.results import Metric

pd.options.display.max_colwidth = 120  # the meaning of a setting is a sentence


def settings_table(settings: BaseModel) -> pd.DataFrame:
    """Every setting of a group with its value and what it means."""
    fields = type(settings).model_fields
    rows = {name: (str(getattr(settings, name)), field.description) for name, field in fields.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "meaning"])


def metrics_table(measured: Iterable[Metric]) -> pd.DataFrame:
    """What a run will save: name, value to three digits, unit and n."""
    rows = {m.name: ("no cases" if m.value is None else f"{m.value:.3g}", m.unit, m.n) for m in measured}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "unit", "n"])


def verdicts_table(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Rows of `evaluate.judged` as a person reads them."""
    rows = verdicts.reset_index(drop=True)
    table = rows[["id", "verdict", "joint"]].assign(
        asked=rows["method"] + " " + rows["side"] + " " + rows["against"],
        measure=rows["measure"],
        points=[f"{r.difference:+.1f} [{r.low:+.1f}, {r.high:+.1f}]" for r in rows.itertuples()],
        p=[p_text(p) if p == p else "" for p in rows["p"]],
        n=[f"{r.n:.0f} in {r.runs:.0f} runs" for r in rows.itertuples()],
    )
    return table.assign(needed=rows["needed"], why=rows["why"]).fillna("")
