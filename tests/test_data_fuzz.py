"""The search for pickles that break the reader: short here, 20,000 by its command."""

import os
import pickle

import pytest
from helpers.threedpw_folder import python2_bytes, sequence_content

from kp_helpers.data import DataError, fuzz
from kp_helpers.data.__main__ import main
from kp_helpers.data.fuzz import KINDS


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "walk_00.pkl"
    path.write_bytes(python2_bytes(sequence_content("walk_00", frames=1)))
    return path


@pytest.mark.parametrize("write", [python2_bytes, lambda content: pickle.dumps(content, 4)])
def test_row_36_flipped_and_cut_pickles_load_or_are_refused(write, file):
    file.write_bytes(write(sequence_content("walk_00", frames=1)))
    outcomes = fuzz.fuzz(file, 1000, seed=1)
    assert not [failure for outcome in outcomes.values() for failure in outcome.failures]
    assert sum(outcome.loaded + outcome.refused for outcome in outcomes.values()) == 1000
    assert outcomes["cut off"].loaded == 0 < outcomes["bits flipped"].loaded


def test_the_same_seed_damages_in_the_same_way(file):
    assert fuzz.fuzz(file, 100, seed=1) == fuzz.fuzz(file, 100, seed=1) != fuzz.fuzz(file, 100, seed=2)


def runs(data, name):
    os.system("true")
    raise DataError(name)


def crashes(data, name):
    raise RecursionError("too deep")


@pytest.mark.parametrize(("reader", "message"), [(runs, "the event os.system"), (crashes, "too deep")])
def test_what_runs_or_crashes_is_a_failure(reader, message, file, monkeypatch, capsys):
    originals = iter([fuzz.loads] * 2)
    monkeypatch.setattr(fuzz, "loads", lambda *given: next(originals, reader)(*given))
    assert main(["fuzz", str(file), "--count", str(2 * len(KINDS))]) == 1
    shown = capsys.readouterr()
    assert message in shown.err and "10 failures" in shown.out


def test_the_command_counts_and_succeeds(file, capsys):
    assert main(["fuzz", str(file), "--count", "50"]) == 0
    assert "0 failures" in capsys.readouterr().out


def test_a_file_that_is_no_pickle_is_named(tmp_path, capsys):
    (tmp_path / "a.pkl").write_bytes(b"<html>")
    assert main(["fuzz", str(tmp_path / "a.pkl")]) == 1
    assert "a.pkl: damaged" in capsys.readouterr().err
