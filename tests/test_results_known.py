"""The paper's numbers, each beside a number with as many labelled pictures, or beside none."""

import pytest
from helpers.results_folder import PROTOCOL, WEIGHTS, hit, save

from kp_helpers.evaluate import ALL, MEASURES, PAPER
from kp_helpers.results.answers import ABSENT
from kp_helpers.results.gathered import FAILS, HOLDS, OPEN, read_runs
from kp_helpers.results.known import AREA, DIRECTION, DISC, KNOWN, Known, beside

FOOT = Known(joint="left_foot", train_images=5, measure=DIRECTION, value=26.25, sd=18.06)
TWENTY = Known(joint="left_foot", train_images=20, measure=DIRECTION, value=21.0, sd=27.89)
QUOTED = {"paper": 26.25, "paper_sd": 18.06, "source": "paper's, on 3DPW, 5 training images"}
NAME = f"left_foot, appended, readout mode: {DIRECTION}"


def found(known: Known, root):
    return beside(known, read_runs(root)[0])


def test_they_are_those_that_the_notebooks_quote():
    quoted = {
        (joint, images, MEASURES[column], *value)
        for (joint, images), hits in PAPER.items()
        for column, value in hits.items()
    }
    assert {(k.joint, k.train_images, k.measure, k.value, k.sd) for k in KNOWN} == quoted
    assert (*MEASURES.values(), ALL["auc"].name) == (DIRECTION, DISC, AREA)


def test_on_figures_it_cannot_be_told_whether_a_number_is_met(tmp_path):
    assert found(FOOT, tmp_path).verdict == ABSENT
    save(tmp_path, PROTOCOL, "quick", metrics=[hit(NAME, 31.25, **QUOTED)])
    one = found(FOOT, tmp_path)
    assert (one.verdict, one.run.name, one.row["value"]) == (OPEN, "quick", 31.25)


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [((10.0, 30.0), HOLDS), ((27.0, 40.0), FAILS), ((1.0, 26.0), FAILS), (None, OPEN)],
)
def test_on_3dpw_it_holds_where_the_interval_has_it(interval, verdict, tmp_path):
    save(tmp_path, PROTOCOL, "a", metrics=[hit(NAME, 31.25, n=800, **QUOTED)])
    save(tmp_path, PROTOCOL, "b", metrics=[hit(NAME, 20.0, interval=interval, **QUOTED)], kind="3DPW")
    assert (found(FOOT, tmp_path).verdict, found(FOOT, tmp_path).run.name) == (verdict, "b")


def test_another_number_of_labelled_pictures_is_another_number(tmp_path):
    quoted = {**QUOTED, "source": "paper's, on 3DPW, 20 training images"}
    save(tmp_path, PROTOCOL, "quick", metrics=[hit(NAME, 31.25, **quoted)])
    assert found(TWENTY, tmp_path).verdict == ABSENT
    quoted["train_images"] = 20
    variant = f"left_foot, appended, readout mode, training images 20: {DIRECTION}"
    save(tmp_path, WEIGHTS, "quick", metrics=[hit(NAME, 1.0, **QUOTED), hit(variant, 2.0, **quoted)])
    assert found(TWENTY, tmp_path).row["value"] == 2.0
    save(tmp_path, PROTOCOL, "twenty", metrics=[hit(NAME, 3.0, **quoted)])
    assert found(TWENTY, tmp_path).row["value"] == 3.0, "the protocol before the ablation"


def test_methods_and_variants_that_the_paper_does_not_quote_are_left_out(tmp_path):
    rows = [hit(f"left_foot, base token: {DIRECTION}", 1.0, **QUOTED), hit(NAME, 2.0)]
    save(tmp_path, PROTOCOL, "quick", metrics=rows)
    assert found(FOOT, tmp_path).verdict == ABSENT


def test_of_two_runs_that_with_more_cases_of_this_number(tmp_path):
    save(tmp_path, PROTOCOL, "broad", metrics=[hit(NAME, 1.0, **QUOTED), hit("other", 2.0, n=9000)])
    save(tmp_path, PROTOCOL, "deep", metrics=[hit(NAME, 3.0, n=800, **QUOTED)])
    assert found(FOOT, tmp_path).run.name == "deep"
