"""Runs of both modes stand side by side where they differ in nothing else."""

from helpers.results_folder import PROTOCOL, TARGET, hit, save

from kp_helpers.results.gathered import read_runs
from kp_helpers.results.modes import both_modes

COUPLED, READOUT = (f"left_foot, appended, {mode} mode" for mode in ("coupled", "readout"))
DISC = "within 1/48 of the frame"


def rows(root) -> list[tuple]:
    return list(both_modes(read_runs(root)[0]).rows)


def test_equal_settings_stand_in_one_row(tmp_path):
    found = [hit(f"{COUPLED}, cauchy 0.05: {DISC}", 20.0, n=40), hit(f"{COUPLED}: mean error", 3.0)]
    save(
        tmp_path, TARGET, "a", metrics=[*found, hit(f"left_foot, mean position: {DISC}", 1.0)], mode="coupled"
    )
    other = [hit(f"{READOUT}, cauchy 0.05: {DISC}", 30.0), hit(f"{READOUT}: mean error", 4.0)]
    save(tmp_path, TARGET, "b", metrics=other)
    assert rows(tmp_path) == [
        (
            TARGET,
            "left foot",
            "appended, cauchy 0.05",
            DISC,
            "20.0 ± 12.0 [10, 50]",
            "30.0 ± 12.0 [10, 50]",
            "40 and 80",
        )
    ]


def test_other_settings_data_and_notebooks_do_not(tmp_path):
    own, other = [hit(f"{COUPLED}: {DISC}", 20.0)], [hit(f"{READOUT}: {DISC}", 30.0)]
    save(tmp_path, PROTOCOL, "coupled", metrics=own, mode="coupled")
    save(tmp_path, PROTOCOL, "more_labels", metrics=other, train_images=20)
    save(tmp_path, PROTOCOL, "real", metrics=other, kind="3DPW")
    save(tmp_path, TARGET, "ablation", metrics=other)
    assert rows(tmp_path) == []


def test_of_two_in_readout_mode_the_larger_one_stands_there(tmp_path):
    save(tmp_path, PROTOCOL, "coupled", metrics=[hit(f"{COUPLED}: {DISC}", 20.0)], mode="coupled")
    for name, n, value in (("a", 80, 1.0), ("b", 800, 2.0), ("c", 40, 3.0)):
        save(tmp_path, PROTOCOL, name, metrics=[hit(f"{READOUT}: {DISC}", value, n=n)])
    assert [row[-2:] for row in rows(tmp_path)] == [("2.0 ± 12.0 [10, 50]", "80 and 800")]


def test_a_setting_that_only_the_newer_run_knows_is_not_compared(tmp_path):
    own, other = [hit(f"{COUPLED}: {DISC}", 20.0)], [hit(f"{READOUT}: {DISC}", 30.0)]
    reading = {"map_size": 64, "finest_layers": 0}
    save(
        tmp_path, PROTOCOL, "coupled", metrics=own, mode="coupled", newer={"restarts": 1, "reading": reading}
    )
    save(tmp_path, PROTOCOL, "finer", metrics=other, newer={"reading": {"map_size": 128}})
    assert not rows(tmp_path)
    save(tmp_path, PROTOCOL, "older", metrics=other, newer={"reading": {"map_size": 64}})
    assert len(rows(tmp_path)) == 1
