"""The claims, and verdicts on them: from the saved rows alone, by the claim's id, the best run first."""

from pathlib import Path

import pytest
from helpers.results_folder import TARGET, hit, save, verdict

from kp_helpers.metrics.paper import FAILS, HOLDS, OPEN, UNTESTABLE
from kp_helpers.results.claims import (
    ABSENT,
    CLAIMS,
    LISTS,
    PROTOCOL,
    WEIGHTS,
    Answer,
    Claim,
    answer,
    combined,
    list_of,
    read_claims,
)
from kp_helpers.results.runs import read_runs

ROOT = Path(__file__).parents[1]
NOTEBOOKS = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}
CLAIM = Claim(id="cauchy", list="paper", title="t", notebook=TARGET, figure="hits")


def disagreements(results: Path) -> list[str]:
    """What a committed run judged and no claim knows, and claims of its notebook that no such run judged."""
    runs = [run for run in read_runs(results)[0] if run.name.startswith("reference") and run.verdicts]
    known = {(claim.notebook, claim.id) for claim in CLAIMS}
    judged = {(run.notebook, row.id) for run in runs for row in run.verdicts}
    asked = {pair for pair in known if pair[0] in {run.notebook for run in runs}}
    strays = [f"{notebook}: no claim has the id {claim!r}" for notebook, claim in sorted(judged - known)]
    return strays + [f"{notebook}: no run judges {claim!r}" for notebook, claim in sorted(asked - judged)]


def on_claim(root: Path) -> Answer:
    runs, damaged = read_runs(root)
    assert not damaged
    return answer(CLAIM, runs)


def test_the_committed_runs_judge_the_claims_and_no_others():
    assert not disagreements(ROOT / "results")


def test_a_disagreement_and_a_claim_that_is_lost_are_found(tmp_path):
    save(tmp_path, TARGET, "reference", verdicts=[verdict("cauchy", HOLDS)])
    save(tmp_path, TARGET, "mine", verdicts=[verdict("another", HOLDS)])
    assert disagreements(tmp_path) == [f"{TARGET}: no run judges 'sigma'"]
    save(tmp_path, TARGET, "reference-b", verdicts=[verdict("Cauchy", HOLDS), verdict("sigma", HOLDS)])
    assert disagreements(tmp_path) == [f"{TARGET}: no claim has the id 'Cauchy'"]


def test_every_claim_is_named_once_in_a_list_and_asked_by_a_notebook():
    assert len({claim.id for claim in CLAIMS}) == len(CLAIMS)
    assert list(dict.fromkeys(claim.list for claim in CLAIMS)) == list(LISTS), "the lists are not mixed"
    for claim in CLAIMS:
        assert bool(claim.notebook) == bool(claim.figure)
        assert claim.notebook in NOTEBOOKS | {""}, claim.id
    assert {PROTOCOL, WEIGHTS} <= NOTEBOOKS


def test_a_claim_is_looked_up_with_its_notebook():
    assert list_of(TARGET, "cauchy") == "paper"
    with pytest.raises(ValueError, match=f"{PROTOCOL} decides 'cauchy', expected the id of a claim of this"):
        list_of(PROTOCOL, "cauchy")


@pytest.mark.parametrize(
    ("text", "message"),
    [('id = "a"\ntitel = "b"', "titel"), ('list = "a"\nid = "b"', "missing 1 required .* 'title'")],
)
def test_a_claim_with_a_wrong_or_missing_field_is_refused(text, message, tmp_path):
    (tmp_path / "claims.toml").write_text(f"[[claims]]\n{text}\n")
    with pytest.raises(TypeError, match=message):
        read_claims(tmp_path / "claims.toml")


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
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
    assert on_claim(tmp_path).verdict == ABSENT
    save(tmp_path, TARGET, "quick", verdicts=[verdict("Cauchy", HOLDS), verdict("sigma", HOLDS)])
    save(tmp_path, "05_ablation_embedding_size", "quick", verdicts=[verdict("cauchy", HOLDS)])
    assert on_claim(tmp_path) == Answer(claim=CLAIM) and not on_claim(tmp_path).figure


def test_the_rows_are_found_by_the_id(tmp_path):
    rows = [
        verdict("sigma", FAILS),
        verdict("cauchy", HOLDS, 1.5, -2.0, 5.0, 0.25),
        verdict("cauchy", HOLDS, n=4),
    ]
    save(tmp_path, TARGET, "quick", verdicts=rows, figures=["hits"])
    one = on_claim(tmp_path)
    assert (one.verdict, one.figure) == (HOLDS, "figures/hits.png")
    first, second = one.rows
    assert (first.row, first.difference, first.low, first.high, first.p) == (2, 1.5, -2.0, 5.0, 0.25)
    assert (second.row, second.n, second.difference, second.low) == (3, 4, None, None)


def test_real_data_come_first_then_more_cases_of_the_claim_then_the_papers_mode(tmp_path):
    rows, few, many = [verdict("cauchy", OPEN)], [hit("x", 1.0, n=20)], [hit("x", 1.0)]
    save(tmp_path, TARGET, "a_few", verdicts=rows, metrics=few)
    save(tmp_path, TARGET, "b_fast", verdicts=rows, metrics=many)
    save(tmp_path, TARGET, "c_coupled", verdicts=rows, metrics=many, mode="coupled")
    save(tmp_path, TARGET, "d_deep", verdicts=[verdict("cauchy", HOLDS, n=800)], metrics=few)
    save(tmp_path, TARGET, "e_real", verdicts=[verdict("cauchy", FAILS)], metrics=few, kind="3DPW")
    best = on_claim(tmp_path)
    assert (best.run.name, best.verdict) == ("e_real", FAILS)
    others = [other.run.name for other in best.others]
    assert others == ["d_deep", "c_coupled", "b_fast", "a_few"] and best.others[0].verdict == HOLDS
