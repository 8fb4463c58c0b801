"""The table of deviations: what was measured of each silence, and nothing where no run has."""

import pytest
from helpers.results_folder import WEIGHTS, hit, save

from kp_helpers.results.gathered import read_runs
from kp_helpers.results.known import AREA
from kp_helpers.results.silences import SILENCES, deviations, read_silences


def difference(variant: str, value: float, low="", high="", measure=AREA) -> dict:
    return {"variant": variant, "measure": measure, "difference": value, "low": low, "high": high}


def effects(root) -> dict[str, tuple[str, str]]:
    return {row[1]: row[2:] for row in deviations(read_runs(root)[0]).rows}


def test_without_runs_nothing_is_measured(tmp_path):
    assert set(effects(tmp_path).values()) == {("not measured", "")} and len(effects(tmp_path)) == len(
        SILENCES
    )


def test_the_effect_is_that_of_the_best_run_with_such_variants(tmp_path):
    rows = [
        difference("learning rate 0.01", -12.5, -25.0, -0.4),
        difference("learning rate 1.0", 2.5),
        difference("learning rate 1.0", 9.9, measure="within 1/48 of the frame"),
        difference("steps 1", -30.0),
    ]
    save(tmp_path, WEIGHTS, "quick", differences=rows)
    other = [difference("steps 1", -1.0, -2.0, 0.0)]
    save(tmp_path, WEIGHTS, "larger", differences=other, metrics=[hit("x", 1.0)])
    effect, where = effects(tmp_path)["0.1 with Adam, found by trial"]
    assert effect == "learning rate 0.01 -12.5 [-25, -0]; learning rate 1.0 +2.5"
    assert where.endswith(f"({WEIGHTS}/quick/differences.csv)")


def test_a_field_that_no_silence_has_is_refused(tmp_path):
    (tmp_path / "s.toml").write_text('[[silences]]\nopen = "a"\nchoise = "b"\n')
    with pytest.raises(TypeError, match="choise"):
        read_silences(tmp_path / "s.toml")
