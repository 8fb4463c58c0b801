"""Settings and measures as tables, and what to call the data that a number was measured on."""

from collections.abc import Iterable

import pandas as pd
from pydantic import BaseModel

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


def data_name(kind: str) -> str:
    """The data set's name in titles; numbers on figures are never called 3DPW's."""
    return {"figures": "the figures world"}.get(kind, kind)
