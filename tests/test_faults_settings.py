"""Fault 47, named by its row: results that would lie elsewhere. Wrong settings, 44 to 46: test_config."""

import pytest

from kp_helpers.results import ResultsError, RunFolder


@pytest.mark.parametrize("name", ["..", "../elsewhere", "/tmp/elsewhere", "a/../../b"])
def test_47_no_result_lies_outside_its_root(name, tmp_path):
    for names in ((name, "quick"), ("08_evaluate_3dpw", name)):
        with pytest.raises(ResultsError, match="is '.*', expected letters, digits"):
            RunFolder(tmp_path / "results", *names)
    assert not [path for path in tmp_path.rglob("*") if path.is_file() or path.name == "elsewhere"]
