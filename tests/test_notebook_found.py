"""The sentences at the top of a notebook are those of the committed verdicts."""

import json
from pathlib import Path

from helpers.results_folder import TARGET, hit, save, verdict

from kp_helpers.metrics.paper import AREA, FAILS, HOLDS
from kp_helpers.results.claims import CLAIMS
from kp_helpers.results.found import answered

ROOT = Path(__file__).parents[1]


def test_each_claim_has_its_verdict_and_number(tmp_path):
    rows = [verdict("cauchy", HOLDS, -3.0, -5.0, -1.0, 0.001, measure=AREA), verdict("sigma", FAILS)]
    save(tmp_path, TARGET, "reference", verdicts=rows, metrics=[hit("x", 1.0)])
    save(tmp_path, TARGET, "mine", verdicts=[verdict("cauchy", FAILS)], metrics=[hit("x", 1.0, n=900)])
    text = answered(TARGET, tmp_path)[0]
    first, second = text.splitlines()[2:]
    assert first == (
        "- A Cauchy target is no better than the Gaussian: **holds**. left foot: a better than b: "
        "-3.0 [-5.0, -1.0], p < .01, n 80 in 8 runs, AUC."
    )
    assert "**does not hold**" in second and "(run `reference`)" in text
    assert "the synthetic figures world with the model figures, read-out mode" in text


def test_without_a_committed_run_that_is_said(tmp_path):
    save(tmp_path, TARGET, "mine", verdicts=[verdict("cauchy", FAILS)])
    assert answered(TARGET, tmp_path)[0] == "**Found here**: no committed run has asked it yet."


def test_every_notebook_that_decides_claims_begins_with_what_was_found():
    for notebook in {claim.notebook for claim in CLAIMS} - {""}:
        cells = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text())["cells"]
        assert f'found_here("{notebook}")' in "".join(cells[2]["source"]), notebook


def test_the_picture_is_the_one_that_its_claims_name(tmp_path):
    rows = [verdict("cauchy", HOLDS, -3.0, -5.0, -1.0, 0.001, measure=AREA)]
    run = save(tmp_path, TARGET, "reference", verdicts=rows, figures=("hits", "pull"))
    assert answered(TARGET, tmp_path)[1] == run / "figures" / "hits.png"
    assert answered("05_ablation_embedding_size", tmp_path)[1] is None
