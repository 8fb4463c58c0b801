"""The paper's numbers, each beside one with as many labelled pictures, and the tables of deviations."""

import pytest
from helpers.results_folder import PROTOCOL, WEIGHTS, hit, save

from kp_helpers.metrics.paper import AREA, EXACT, FAILS, HOLDS, MEASURES, OPEN
from kp_helpers.results.claims import ABSENT
from kp_helpers.results.paper_numbers import (
    CHOICES,
    Beside,
    beside_paper,
    deviations,
    read_choices,
)
from kp_helpers.results.runs import read_runs

DIRECTION = MEASURES["in_direction"]
QUOTED = {"paper": 26.25, "paper_sd": 18.06, "source": "paper's, on 3DPW, 5 training images"}
NAME = f"left_foot, appended, readout mode: {DIRECTION}"


def foot(root, images: int = 5) -> Beside:
    (number,) = [
        one
        for one in beside_paper(read_runs(root)[0])
        if (one.joint, one.train_images, one.measure) == ("left_foot", images, DIRECTION)
    ]
    return number


def test_on_figures_it_cannot_be_told_whether_a_number_is_met(tmp_path):
    assert (foot(tmp_path).verdict, foot(tmp_path).value, foot(tmp_path).sd) == (ABSENT, 26.25, 18.06)
    save(tmp_path, PROTOCOL, "quick", metrics=[hit(NAME, 31.25, **QUOTED)])
    number = foot(tmp_path)
    assert (number.verdict, number.run.name, number.row.value) == (OPEN, "quick", 31.25)


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [((10.0, 30.0), HOLDS), ((27.0, 40.0), FAILS), ((1.0, 26.0), FAILS), (None, OPEN)],
)
def test_on_3dpw_it_holds_where_the_interval_has_it(interval, verdict, tmp_path):
    save(tmp_path, PROTOCOL, "a", metrics=[hit(NAME, 31.25, n=800, **QUOTED)])
    save(tmp_path, PROTOCOL, "b", metrics=[hit(NAME, 20.0, interval=interval, **QUOTED)], kind="3DPW")
    assert (foot(tmp_path).verdict, foot(tmp_path).run.name) == (verdict, "b")


def test_another_number_of_labelled_pictures_is_another_number(tmp_path):
    save(tmp_path, PROTOCOL, "quick", metrics=[hit(NAME, 31.25, **QUOTED)])
    assert foot(tmp_path, 20).verdict == ABSENT
    quoted = {**QUOTED, "source": "paper's, on 3DPW, 20 training images", "train_images": 20}
    variant = f"left_foot, appended, readout mode, training images 20: {DIRECTION}"
    save(tmp_path, WEIGHTS, "quick", metrics=[hit(NAME, 1.0, **QUOTED), hit(variant, 2.0, **quoted)])
    assert foot(tmp_path, 20).row.value == 2.0
    save(tmp_path, PROTOCOL, "twenty", metrics=[hit(NAME, 3.0, **quoted)])
    assert foot(tmp_path, 20).row.value == 3.0, "the protocol before the ablation"


def test_methods_and_variants_that_the_paper_does_not_quote_are_left_out(tmp_path):
    rows = [hit(f"left_foot, base token: {DIRECTION}", 1.0, **QUOTED), hit(NAME, 2.0)]
    save(tmp_path, PROTOCOL, "quick", metrics=rows)
    assert foot(tmp_path).verdict == ABSENT


def test_of_two_runs_that_with_more_cases_of_this_number(tmp_path):
    save(tmp_path, PROTOCOL, "broad", metrics=[hit(NAME, 1.0, **QUOTED), hit("other", 2.0, n=9000)])
    save(tmp_path, PROTOCOL, "deep", metrics=[hit(NAME, 3.0, n=800, **QUOTED)])
    assert foot(tmp_path).run.name == "deep"


def difference(variant: str, value: float, low="", high="", measure=AREA) -> dict:
    return {"variant": variant, "measure": measure, "difference": value, "low": low, "high": high}


def effects(root) -> dict[str, tuple[str, str]]:
    return {row[1]: row[2:] for row in deviations(read_runs(root)[0]).rows}


def test_without_runs_nothing_is_measured(tmp_path):
    assert set(effects(tmp_path).values()) == {("not measured", "")}
    assert len(effects(tmp_path)) == len(CHOICES)


def test_the_effect_is_that_of_the_best_run_with_such_variants(tmp_path):
    rows = [
        difference("learning rate 0.01", -12.5, -25.0, -0.4),
        difference("learning rate 1.0", 2.5),
        difference("learning rate 1.0", 9.9, measure=EXACT),
        difference("steps 1", -30.0),
    ]
    save(tmp_path, WEIGHTS, "quick", differences=rows)
    other = [difference("steps 1", -1.0, -2.0, 0.0)]
    save(tmp_path, WEIGHTS, "larger", differences=other, metrics=[hit("x", 1.0)])
    effect, where = effects(tmp_path)["0.1 with Adam, found by trial"]
    assert effect == "learning rate 0.01 -12.5 [-25, -0]; learning rate 1.0 +2.5"
    assert where.endswith(f"({WEIGHTS}/quick/differences.csv)")


def test_a_field_that_no_choice_has_is_refused(tmp_path):
    (tmp_path / "s.toml").write_text('[[choices]]\nopen = "a"\nchoise = "b"\n')
    with pytest.raises(TypeError, match="choise"):
        read_choices(tmp_path / "s.toml")
