"""Verdicts on claims come from the saved rows alone, by exact text, the best run first."""

import pytest
from helpers.results_folder import TARGET, hit, save, verdict

from kp_helpers import evaluate
from kp_helpers.results.answers import ABSENT, VERDICTS, answer, combined
from kp_helpers.results.claims import Claim
from kp_helpers.results.gathered import FAILS, HOLDS, OPEN, read_runs

CLAIM = Claim(group="g", name="cauchy", title="t", notebook=TARGET, texts=("a", "b"), figure="hits")
GRID = Claim(group="g", name="widths", title="t", notebook=TARGET, texts=("a", "b", "c"), grid=True)


def found(claim: Claim, root):
    runs, damaged = read_runs(root)
    assert not damaged
    return answer(claim, runs)


def test_the_words_are_those_of_the_notebooks():
    assert VERDICTS == (evaluate.HOLDS, evaluate.FAILS, evaluate.OPEN, ABSENT)


@pytest.mark.parametrize(
    ("verdicts", "missing", "expected"),
    [
        ([], False, ABSENT),
        ([HOLDS, HOLDS], False, HOLDS),
        ([HOLDS, HOLDS], True, OPEN),
        ([HOLDS, OPEN], False, OPEN),
        ([HOLDS, OPEN, FAILS], True, FAILS),
    ],
)
def test_parts_make_one_verdict(verdicts, missing, expected):
    assert combined(verdicts, missing) == expected


def test_a_claim_without_a_run_or_without_its_rows_is_not_measured(tmp_path):
    assert found(CLAIM, tmp_path).verdict == ABSENT
    save(tmp_path, TARGET, "quick", verdicts=[verdict("A", HOLDS), verdict("a ", HOLDS)])
    save(tmp_path, "05_ablation_embedding_size", "quick", verdicts=[verdict("a", HOLDS)])
    one = found(CLAIM, tmp_path)
    assert (one.verdict, one.run, one.rows, one.figure) == (ABSENT, None, (), "")


def test_the_rows_are_found_by_their_text(tmp_path):
    rows = [verdict("other", FAILS), verdict("b", HOLDS, 1.5, -2.0, 5.0, 0.25), verdict("a", HOLDS, n=4)]
    save(tmp_path, TARGET, "quick", verdicts=rows, figures=["hits"])
    one = found(CLAIM, tmp_path)
    assert (one.verdict, one.missing, one.figure) == (HOLDS, (), "figures/hits.png")
    first, second = one.rows
    assert (first.row, first.difference, first.low, first.high, first.p) == (2, 1.5, -2.0, 5.0, 0.25)
    assert (second.row, second.n, second.difference, second.low) == (3, 4, None, None)


def test_a_part_that_has_no_row_leaves_the_claim_open_unless_the_grid_is_the_runs_own(tmp_path):
    save(tmp_path, TARGET, "quick", verdicts=[verdict("a", HOLDS)])
    assert (found(CLAIM, tmp_path).verdict, found(CLAIM, tmp_path).missing) == (OPEN, ("b",))
    assert (found(GRID, tmp_path).verdict, found(GRID, tmp_path).missing) == (HOLDS, ())


def test_real_data_come_first_then_more_cases_then_the_papers_mode(tmp_path):
    rows, few, many = [verdict("a", OPEN), verdict("b", OPEN)], [hit("x", 1.0, n=20)], [hit("x", 1.0)]
    save(tmp_path, TARGET, "a_few", verdicts=rows, metrics=few)
    save(tmp_path, TARGET, "b_fast", verdicts=rows, metrics=many)
    save(tmp_path, TARGET, "c_coupled", verdicts=rows, metrics=many, mode="coupled")
    save(tmp_path, TARGET, "d_real", verdicts=[verdict("a", FAILS)], metrics=few, kind="3DPW")
    one = found(CLAIM, tmp_path)
    assert (one.run.name, one.verdict) == ("d_real", FAILS)
    assert [(other.run.name, other.verdict) for other in one.others] == [
        ("c_coupled", OPEN),
        ("b_fast", OPEN),
        ("a_few", OPEN),
    ]


def test_the_cases_that_count_are_those_behind_the_claim(tmp_path):
    save(tmp_path, TARGET, "broad", verdicts=[verdict("a", OPEN, n=80)], metrics=[hit("x", 1.0, n=9000)])
    save(tmp_path, TARGET, "deep", verdicts=[verdict("a", HOLDS, n=800)], metrics=[hit("x", 1.0, n=800)])
    assert found(GRID, tmp_path).run.name == "deep"
