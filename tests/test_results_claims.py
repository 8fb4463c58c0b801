"""The list of claims and the verdicts of the committed runs know each other, and nothing is left over."""

from pathlib import Path

import pytest
from helpers.results_folder import TARGET, save, verdict

from kp_helpers.results.claims import CLAIMS, LISTS, PROTOCOL, WEIGHTS, list_of, read_claims
from kp_helpers.results.gathered import HOLDS, read_runs

ROOT = Path(__file__).parents[1]
NOTEBOOKS = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}


def disagreements(results: Path) -> list[str]:
    """What a committed run judged and no claim knows, and claims of its notebook that no such run judged."""
    runs = [run for run in read_runs(results)[0] if run.name.startswith("reference") and run.verdicts]
    known = {(claim.notebook, claim.id) for claim in CLAIMS}
    judged = {(run.notebook, row.id) for run in runs for row in run.verdicts}
    asked = {one for one in known if one[0] in {run.notebook for run in runs}}
    strays = [f"{notebook}: no claim has the id {one!r}" for notebook, one in sorted(judged - known)]
    return strays + [f"{notebook}: no run judges {one!r}" for notebook, one in sorted(asked - judged)]


def test_the_committed_runs_judge_the_claims_and_no_others():
    assert not disagreements(ROOT / "results")


def test_a_disagreement_is_found(tmp_path):
    save(tmp_path, TARGET, "reference", verdicts=[verdict("cauchy", HOLDS), verdict("sigma", HOLDS)])
    assert not disagreements(tmp_path)
    save(tmp_path, TARGET, "mine", verdicts=[verdict("another", HOLDS)])
    assert not disagreements(tmp_path), "a user's own run may ask what it likes"
    save(tmp_path, TARGET, "reference-b", verdicts=[verdict("Cauchy", HOLDS)])
    assert disagreements(tmp_path) == [f"{TARGET}: no claim has the id 'Cauchy'"]


def test_a_claim_that_is_lost_is_found(tmp_path):
    save(tmp_path, TARGET, "reference", verdicts=[verdict("cauchy", HOLDS)])
    assert disagreements(tmp_path) == [f"{TARGET}: no run judges 'sigma'"]


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
