"""Variants beside a default one, as tables and as curves."""

import numpy as np
import pandas as pd
import pytest

from kp_helpers import config, evaluate


def scores(**hits) -> pd.DataFrame:
    """method -> hits (runs, images), 0 or 1; both kinds of hits are the same and a miss is 0.1 off."""
    rows = [
        {"joint": "left_foot", "method": method, "run": run, "image": f"{image}", "sequence": f"{image}"}
        | {"in_direction": hit, "within": hit, "auc": hit, "error": 0.1 * (1 - hit)}
        for method, table in hits.items()
        for run, own in enumerate(table)
        for image, hit in enumerate(own)
    ]
    return pd.DataFrame(rows).assign(mirror=np.nan, other_side=np.nan)


NONE, ALL = np.zeros((3, 6)), np.ones((3, 6))
MOST = ALL.copy()
MOST[0, 0] = 0


def test_variants_are_compared_with_the_default_by_hand():
    rows = evaluate.against(scores(default=NONE, better=MOST), "default")
    hits = rows[rows["measure"] == "in a meaningful direction"].iloc[0]
    assert (hits["variant"], hits["against"]) == ("better", "default")
    assert hits["difference"] == pytest.approx(100 * 17 / 18)
    assert (hits["runs"], hits["n"]) == (3, 18) and 0 < hits["p"] < 0.01
    assert rows[rows["measure"] == "mean error"].iloc[0]["difference"] == pytest.approx(-100 * 0.1 * 17 / 18)
    assert evaluate.against(scores(default=NONE), "default").empty


def test_the_table_has_a_row_a_variant():
    table = evaluate.variants_table(scores(default=NONE, better=MOST), "default")
    assert list(table.index) == ["default", "better"] and table.loc["default", "minus default"] == ""
    assert table.loc["better", "within 1/48 of the frame"].startswith("94.4 ± 9.6 [")
    assert (
        table.loc["better", "minus default"].startswith("+94.4 [")
        and "p < .01" in table.loc["better"].iloc[-1]
    )


def test_the_paper_is_quoted_for_the_variants_named_alone():
    settings = config.profile("quick")
    given = scores(default=NONE, twenty=MOST).assign(mirror=0.0)
    found = {
        m.method: m
        for m in evaluate.measured_variants(given, settings, {"default": 5, "twenty": 20})
        if m.measure == "within 1/48 of the frame"
    }
    assert {name: m.paper for name, m in found.items()} == {
        "appended, readout mode, default": 17.5,
        "appended, readout mode, twenty": 14.0,
    }
    alone = evaluate.measured_variants(given, settings, {"default": 5})
    assert {m.paper for m in alone if "twenty" in m.method} == {None}


def test_hits_over_a_setting_are_in_its_order():
    rows = evaluate.over(scores(b=NONE, a=MOST), {"a": ("line", 1), "b": ("line", 2)}, "steps")
    assert rows["method"].tolist() == 3 * ["a"] + 3 * ["b"] and rows["steps"].tolist() == 3 * [1] + 3 * [2]
    assert set(rows["panel"]) == {one.name for one in evaluate.SHOWN.values()}
