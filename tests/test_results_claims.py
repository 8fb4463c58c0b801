"""The list of claims and the verdicts of the committed runs know each other, and nothing is left over."""

from pathlib import Path

import pytest
from helpers.results_folder import TARGET, save, verdict

from kp_helpers.results.claims import CLAIMS, PROTOCOL, WEIGHTS, read_claims
from kp_helpers.results.gathered import HOLDS, read_runs

ROOT = Path(__file__).parents[1]
NOTEBOOKS = {path.stem for path in (ROOT / "notebooks").glob("*.ipynb")}


def disagreements(results: Path) -> list[str]:
    """What a committed run judged and no claim knows, and claims of its notebook that no such run judged."""
    runs = [run for run in read_runs(results)[0] if run.name.startswith("reference") and run.verdicts]
    known = {(claim.notebook, text) for claim in CLAIMS for text in claim.texts}
    judged = {(run.notebook, row.claim) for run in runs for row in run.verdicts}
    found = [f"{notebook}: no claim says {text!r}" for notebook, text in sorted(judged - known)]
    for claim in CLAIMS:
        there = [text for text in claim.texts if (claim.notebook, text) in judged]
        lost = not there if claim.grid else len(there) < len(claim.texts)
        if lost and not claim.whole and claim.notebook in {run.notebook for run in runs}:
            found.append(f"{claim.notebook}: no run judges all of claim {claim.name!r}")
    return found


def test_the_committed_runs_judge_the_claims_and_no_others():
    assert not disagreements(ROOT / "results")


def test_a_disagreement_is_found(tmp_path):
    cauchy = next(claim for claim in CLAIMS if claim.name == "cauchy")
    widths = next(claim for claim in CLAIMS if claim.name == "widths")
    rows = [verdict(text, HOLDS) for text in (*cauchy.texts, widths.texts[0])]
    save(tmp_path, TARGET, "reference-quick", verdicts=rows)
    assert not disagreements(tmp_path)
    save(tmp_path, TARGET, "mine", verdicts=[verdict("another", HOLDS)])
    assert not disagreements(tmp_path), "a user's own run may ask what it likes"
    save(tmp_path, TARGET, "reference-b", verdicts=[verdict(cauchy.texts[0] + ".", HOLDS)])
    assert disagreements(tmp_path) == [f"{TARGET}: no claim says '{cauchy.texts[0]}.'"]


def test_a_claim_that_is_lost_is_found(tmp_path):
    save(
        tmp_path,
        TARGET,
        "reference-quick",
        verdicts=[verdict("a Cauchy of the same sigma is not better", HOLDS)],
    )
    assert disagreements(tmp_path) == [
        f"{TARGET}: no run judges all of claim 'cauchy'",
        f"{TARGET}: no run judges all of claim 'widths'",
    ]


def test_every_claim_is_named_once_and_asked_by_a_notebook():
    assert len({claim.name for claim in CLAIMS}) == len(CLAIMS)
    texts = [(claim.notebook, text) for claim in CLAIMS for text in claim.texts]
    assert len(set(texts)) == len(texts)
    for claim in CLAIMS:
        assert bool(claim.notebook) == bool(claim.texts) == bool(claim.figure)
        assert claim.notebook in NOTEBOOKS | {""}, claim.name
    assert {PROTOCOL, WEIGHTS} <= NOTEBOOKS


@pytest.mark.parametrize(
    ("text", "message"),
    [('name = "a"\ntitel = "b"', "titel"), ('group = "a"\nname = "b"', "missing 1 required .* 'title'")],
)
def test_a_claim_with_a_wrong_or_missing_field_is_refused(text, message, tmp_path):
    (tmp_path / "claims.toml").write_text(f"[[claims]]\n{text}\n")
    with pytest.raises(TypeError, match=message):
        read_claims(tmp_path / "claims.toml")
