"""The paper's numbers, each beside one with as many labelled pictures, and the tables of deviations."""

import pytest
from helpers.results_folder import PROTOCOL, TARGET, WEIGHTS, hit, save

from kp_helpers.metrics.paper import AREA, EXACT, FAILS, HOLDS, MEASURES, OPEN
from kp_helpers.results.claims import ABSENT
from kp_helpers.results.paper_numbers import (
    CHOICES,
    Beside,
    beside_paper,
    both_modes,
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


COUPLED, READOUT = (f"left_foot, appended, {mode} mode" for mode in ("coupled", "readout"))


def difference(variant: str, value: float, low="", high="", measure=AREA) -> dict:
    return {"variant": variant, "measure": measure, "difference": value, "low": low, "high": high}


def effects(root) -> dict[str, tuple[str, str]]:
    return {row[1]: row[2:] for row in deviations(read_runs(root)[0]).rows}


def modes(root) -> list[tuple]:
    return list(both_modes(read_runs(root)[0]).rows)


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


def test_equal_settings_stand_in_one_row(tmp_path):
    coupled = [hit(f"{COUPLED}, cauchy 0.05: {EXACT}", 20.0, n=40), hit(f"{COUPLED}: mean error", 3.0)]
    control = hit(f"left_foot, mean position: {EXACT}", 1.0)
    save(tmp_path, TARGET, "a", metrics=[*coupled, control], mode="coupled")
    readout = [hit(f"{READOUT}, cauchy 0.05: {EXACT}", 30.0), hit(f"{READOUT}: mean error", 4.0)]
    save(tmp_path, TARGET, "b", metrics=readout)
    place = (TARGET, "left foot", "appended, cauchy 0.05", EXACT)
    assert modes(tmp_path) == [(*place, "20.0 ± 12.0 [10, 50]", "30.0 ± 12.0 [10, 50]", "40 and 80")]


def test_other_settings_data_and_notebooks_do_not(tmp_path):
    coupled, readout = [hit(f"{COUPLED}: {EXACT}", 20.0)], [hit(f"{READOUT}: {EXACT}", 30.0)]
    save(tmp_path, PROTOCOL, "coupled", metrics=coupled, mode="coupled")
    save(tmp_path, PROTOCOL, "more_labels", metrics=readout, train_images=20)
    save(tmp_path, PROTOCOL, "real", metrics=readout, kind="3DPW")
    save(tmp_path, TARGET, "ablation", metrics=readout)
    assert modes(tmp_path) == []


def test_of_several_in_readout_mode_the_largest_stands_there(tmp_path):
    save(tmp_path, PROTOCOL, "coupled", metrics=[hit(f"{COUPLED}: {EXACT}", 20.0)], mode="coupled")
    for name, n, value in (("a", 80, 1.0), ("b", 800, 2.0), ("c", 40, 3.0)):
        save(tmp_path, PROTOCOL, name, metrics=[hit(f"{READOUT}: {EXACT}", value, n=n)])
    assert [row[-2:] for row in modes(tmp_path)] == [("2.0 ± 12.0 [10, 50]", "80 and 800")]


def test_a_setting_that_only_the_newer_run_knows_is_not_compared(tmp_path):
    coupled, readout = [hit(f"{COUPLED}: {EXACT}", 20.0)], [hit(f"{READOUT}: {EXACT}", 30.0)]
    newer = {"restarts": 1, "reading": {"map_size": 64, "finest_layers": 0}}
    save(tmp_path, PROTOCOL, "coupled", metrics=coupled, mode="coupled", newer=newer)
    save(tmp_path, PROTOCOL, "finer", metrics=readout, newer={"reading": {"map_size": 128}})
    assert not modes(tmp_path)
    save(tmp_path, PROTOCOL, "older", metrics=readout, newer={"reading": {"map_size": 64}})
    assert len(modes(tmp_path)) == 1
