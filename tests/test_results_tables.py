"""Rows of plain text: each is the run's own number; more labelled pictures have rows of their own."""

from dataclasses import replace

from helpers.results_folder import PROTOCOL, hit, save, verdict

from kp_helpers.results.answers import Answer
from kp_helpers.results.claims import Claim
from kp_helpers.results.gathered import FAILS, HOLDS, Run, Verdict, read_runs
from kp_helpers.results.known import AREA, DISC
from kp_helpers.results.tables import amount, headline, hits


def run(root, **content) -> Run:
    save(root, PROTOCOL, "quick", **content)
    return read_runs(root)[0][0]


def test_hits_by_joint_and_number_of_labelled_pictures(tmp_path):
    quoted = {"paper": 17.5, "paper_sd": 15.86, "source": "a, b, 5 images"}
    twenty = {"n": 40, "train_images": 20}
    rows = [
        hit(f"left_foot, appended, x mode: {DISC}", 31.25, **quoted),
        hit(f"left_foot, nearest neighbour: {DISC}", 20.0),
        hit(f"left_foot, appended, x mode: {AREA}", 5.0, interval=None),
        hit(f"left_foot, appended, x mode, training images 20: {DISC}", 40.0, **twenty),
        hit(f"left_foot, nearest neighbour, training images 20: {DISC}", 10.0, **twenty),
        hit("left_foot, appended, x mode: in a meaningful direction", 9.0),
        replace(hit(f"head, appended, x mode: {DISC}", 0.0), value=None, n=0),
    ]
    found = hits(run(tmp_path, metrics=rows))
    methods = ("with the appended embedding", "control: nearest neighbour")
    assert found.head == ("joint", "labels", "measure", *methods, "paper's, on 3DPW", "n")
    assert found.rows == (
        ("left foot", "5", "exact hits", "31 [10, 50]", "20 [10, 50]", "17.5 ± 15.9 (5 images)", "80"),
        ("left foot", "5", "AUC", "5", "", "", "80"),
        ("left foot", "20", "exact hits", "40 [10, 50]", "10 [10, 50]", "", "40"),
        ("head", "5", "exact hits", "no cases", "", "", "0"),
    )


def test_the_headline_is_the_row_that_the_verdict_hangs_on(tmp_path):
    rows = [
        verdict("x", FAILS, 50.0, 45.0, 55.0, 0.001),
        verdict("x", HOLDS, 9.0, 8.0, 10.0, 0.001, measure=AREA),
        verdict("x", HOLDS, 2.0, 1.0, 3.0, 0.04, measure=AREA),
        verdict("x", HOLDS, 1.0, 0.5, 3.0, 0.09, measure=DISC),
        verdict("x", FAILS, 50.0, 45.0, 55.0, 0.04),
    ]
    found, claim = run(tmp_path, verdicts=rows).verdicts, Claim(id="x", list="kit", title="t")
    assert headline(Answer(claim=claim, verdict=HOLDS, rows=found)) == found[2], "the least sure"
    assert headline(Answer(claim=claim, verdict=FAILS, rows=found)) == found[0], "the surest"
    assert headline(Answer(claim=claim)) is None


def test_an_amount_has_the_numbers_that_there_are():
    empty = dict.fromkeys(("difference", "low", "high", "p", "runs", "n", "needed"))
    row = {"row": 1, "id": "", "verdict": "", "text": "", "measure": "", "why": "", **empty}
    assert amount(Verdict(**row)) == ""
    assert amount(Verdict(**{**row, "n": 40.0})) == "n 40"
    full = {"difference": 5.0, "low": -1.0, "high": 11.04, "p": 0.031, "runs": 8.0, "n": 80.0}
    full |= {"measure": "hits", "needed": 144.0, "why": "of x"}
    expected = "+5.0 [-1.0, +11.0], p 0.03, n 80 in 8 runs, hits, 144 pictures would decide, of x"
    assert amount(Verdict(**{**row, **full})) == expected
