"""Verdicts on claims come from the saved rows alone, by the claim's id, the best run first."""

import pytest
from helpers.results_folder import TARGET, hit, save, verdict

from kp_helpers import evaluate
from kp_helpers.results.answers import ABSENT, VERDICTS, answer, combined
from kp_helpers.results.claims import Claim
from kp_helpers.results.gathered import FAILS, HOLDS, OPEN, UNTESTABLE, read_runs

CLAIM = Claim(id="cauchy", list="paper", title="t", notebook=TARGET, figure="hits")


def found(claim: Claim, root):
    runs, damaged = read_runs(root)
    assert not damaged
    return answer(claim, runs)


def test_the_words_are_those_of_the_notebooks():
    assert VERDICTS == (evaluate.HOLDS, evaluate.FAILS, evaluate.OPEN, evaluate.UNTESTABLE, ABSENT)


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([], ABSENT),
        ([HOLDS, HOLDS], HOLDS),
        ([HOLDS, OPEN], OPEN),
        ([HOLDS, OPEN, FAILS], FAILS),
        ([UNTESTABLE, UNTESTABLE], UNTESTABLE),
        ([HOLDS, UNTESTABLE], OPEN),
    ],
)
def test_parts_make_one_verdict(verdicts, expected):
    assert combined(verdicts) == expected


def test_a_claim_without_a_run_or_without_its_rows_is_not_measured(tmp_path):
    assert found(CLAIM, tmp_path).verdict == ABSENT
    save(tmp_path, TARGET, "quick", verdicts=[verdict("Cauchy", HOLDS), verdict("sigma", HOLDS)])
    save(tmp_path, "05_ablation_embedding_size", "quick", verdicts=[verdict("cauchy", HOLDS)])
    one = found(CLAIM, tmp_path)
    assert (one.verdict, one.run, one.rows, one.figure) == (ABSENT, None, (), "")


def test_the_rows_are_found_by_the_id(tmp_path):
    rows = [
        verdict("sigma", FAILS),
        verdict("cauchy", HOLDS, 1.5, -2.0, 5.0, 0.25),
        verdict("cauchy", HOLDS, n=4),
    ]
    save(tmp_path, TARGET, "quick", verdicts=rows, figures=["hits"])
    one = found(CLAIM, tmp_path)
    assert (one.verdict, one.figure) == (HOLDS, "figures/hits.png")
    first, second = one.rows
    assert (first.row, first.difference, first.low, first.high, first.p) == (2, 1.5, -2.0, 5.0, 0.25)
    assert (second.row, second.n, second.difference, second.low) == (3, 4, None, None)


def test_real_data_come_first_then_more_cases_then_the_papers_mode(tmp_path):
    rows, few, many = [verdict("cauchy", OPEN)], [hit("x", 1.0, n=20)], [hit("x", 1.0)]
    save(tmp_path, TARGET, "a_few", verdicts=rows, metrics=few)
    save(tmp_path, TARGET, "b_fast", verdicts=rows, metrics=many)
    save(tmp_path, TARGET, "c_coupled", verdicts=rows, metrics=many, mode="coupled")
    save(tmp_path, TARGET, "d_real", verdicts=[verdict("cauchy", FAILS)], metrics=few, kind="3DPW")
    one = found(CLAIM, tmp_path)
    assert (one.run.name, one.verdict) == ("d_real", FAILS)
    assert [(other.run.name, other.verdict) for other in one.others] == [
        ("c_coupled", OPEN),
        ("b_fast", OPEN),
        ("a_few", OPEN),
    ]


def test_the_cases_that_count_are_those_behind_the_claim(tmp_path):
    broad, deep = [verdict("cauchy", OPEN, n=80)], [verdict("cauchy", HOLDS, n=800)]
    save(tmp_path, TARGET, "broad", verdicts=broad, metrics=[hit("x", 1.0, n=9000)])
    save(tmp_path, TARGET, "deep", verdicts=deep, metrics=[hit("x", 1.0, n=800)])
    assert found(CLAIM, tmp_path).run.name == "deep"
