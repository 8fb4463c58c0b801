"""The search for pickles that break the reader."""

import os
import pickle

import pytest
from helpers import damaged_pickles
from helpers.damaged_pickles import KINDS
from helpers.threedpw_folder import python2_bytes, sequence_content

from kp_helpers.data import DataError


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "walk_00.pkl"
    path.write_bytes(python2_bytes(sequence_content("walk_00", frames=1)))
    return path


@pytest.mark.parametrize("write", [python2_bytes, lambda content: pickle.dumps(content, 4)])
def test_row_36_flipped_and_cut_pickles_load_or_are_refused(write, file):
    file.write_bytes(write(sequence_content("walk_00", frames=1)))
    outcomes = damaged_pickles.fuzz(file, 1000, seed=1)
    assert not [failure for outcome in outcomes.values() for failure in outcome.failures]
    assert sum(outcome.loaded + outcome.refused for outcome in outcomes.values()) == 1000
    assert outcomes["cut off"].loaded == 0 < outcomes["bits flipped"].loaded


def runs(data, name):
    os.system("true")
    raise DataError(name)


def crashes(data, name):
    raise RecursionError("too deep")


@pytest.mark.parametrize(("reader", "message"), [(runs, "the event os.system"), (crashes, "too deep")])
def test_what_runs_or_crashes_is_a_failure(reader, message, file, monkeypatch):
    originals = iter([damaged_pickles.loads] * 2)
    monkeypatch.setattr(damaged_pickles, "loads", lambda *given: next(originals, reader)(*given))
    outcomes = damaged_pickles.fuzz(file, 2 * len(KINDS))
    failures = [failure for outcome in outcomes.values() for failure in outcome.failures]
    assert len(failures) == 2 * len(KINDS) and all(message in failure for failure in failures)
