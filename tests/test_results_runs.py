"""Runs are read back as they were written; one that cannot be is named and leaves the others."""

import json

import pytest
from helpers.results_folder import MACHINE, TARGET, hit, save, verdict

from kp_helpers.metrics.paper import HOLDS, UNTESTABLE
from kp_helpers.results.runs import read_runs, read_table


def test_what_a_run_says_of_itself(tmp_path):
    facts = {"machine": {**MACHINE, "gpu": "Some GPU"}, "minutes": 12.345}
    path = save(tmp_path, TARGET, "quick", metrics=[hit("x", 1.0)], **facts)
    save(tmp_path, TARGET, "silent")
    (run, other), damaged = read_runs(tmp_path)
    assert (damaged, run.place, run.folder) == ([], path, f"{TARGET}/quick")
    assert (run.data, run.model, run.mode) == ("figures", "figures", "readout")
    assert (run.size, run.minutes) == ("8 runs of 10 pictures", "12.3")
    assert run.machine == "2 x Some Processor, Some GPU"
    assert run.metrics[0].interval == (10.0, 50.0)
    assert (other.minutes, other.machine) == ("", "")


def test_a_run_by_a_plan_tells_its_bases_and_no_protocol(tmp_path):
    config = save(tmp_path, "11_unsupervised_benchmarks", "reference") / "config.json"
    content = json.loads(config.read_text())
    content["settings"]["plan"] = {"bases": 3, "test": 0}
    config.write_text(json.dumps(content))
    (run,), _ = read_runs(tmp_path)
    assert (run.size, run.mode) == ("3 bases, all pictures of each set", "")


@pytest.mark.parametrize(
    "change",
    [
        {"data": "figures"},
        {"settings": []},
        {"settings": {"protocol": 3}},
        {"minutes": "soon"},
        {"machine": ["fast"]},
        {"model": {}},
    ],
)
def test_a_config_that_says_nothing_sensible_is_damage(change, tmp_path):
    save(tmp_path, TARGET, "good")
    config = save(tmp_path, TARGET, "bad") / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **change}))
    runs, damaged = read_runs(tmp_path)
    assert [run.name for run in runs] == ["good"]
    assert len(damaged) == 1 and damaged[0].startswith(f"{TARGET}/bad: metrics.json, config.json or verdicts")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("verdict,", "word,", "columns expected but not found: ['verdict']"),
        (HOLDS, "maybe", "row 1 of verdicts.csv says 'maybe'"),
        ("80", "many", "could not convert string to float: 'many'"),
    ],
)
def test_a_table_of_verdicts_that_cannot_be_read_is_damage(old, new, sentence, tmp_path):
    table = save(tmp_path, TARGET, "bad", verdicts=[verdict("a", HOLDS)]) / "verdicts.csv"
    table.write_text(table.read_text().replace(old, new))
    runs, damaged = read_runs(tmp_path)
    assert not runs and f"{TARGET}/bad: " in damaged[0] and sentence in damaged[0]


def test_a_verdict_says_what_was_asked(tmp_path):
    rows = [verdict("found", HOLDS), verdict("found", UNTESTABLE, joint="", method="", why="no features")]
    save(tmp_path, TARGET, "a", verdicts=rows)
    first, second = read_runs(tmp_path)[0][0].verdicts
    assert (first.text, first.measure) == ("left foot: a better than b", "hits")
    assert (second.text, second.why) == ("better than b", "no features")


def test_cells_of_a_table(tmp_path):
    (tmp_path / "a.csv").write_text("variant,low\nx,\ny,nan\nNA,-1.5\n")
    rows = read_table(tmp_path / "a.csv", ("variant",), ("low",))
    assert [row["low"] for row in rows] == [None, None, -1.5] and rows[2]["variant"] == "NA"
    assert read_table(tmp_path / "none.csv", (), ()) == []
