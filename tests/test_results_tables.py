"""Rows of plain text: each is the run's own number; more labelled pictures have rows of their own."""

from dataclasses import replace

from helpers.results_folder import PROTOCOL, hit, save, verdict

from kp_helpers.metrics.paper import AREA, EXACT, FAILS, HOLDS
from kp_helpers.results.claims import Answer, Claim
from kp_helpers.results.runs import Run, Verdict, read_runs
from kp_helpers.results.tables import amount, hits, short


def run(root, **content) -> Run:
    save(root, PROTOCOL, "quick", **content)
    return read_runs(root)[0][0]


def test_hits_by_joint_and_number_of_labelled_pictures(tmp_path):
    quoted = {"paper": 17.5, "paper_sd": 15.86, "source": "a, b, 5 images"}
    twenty = {"n": 40, "train_images": 20}
    rows = [
        hit(f"left_foot, appended, x mode: {EXACT}", 31.25, **quoted),
        hit(f"left_foot, nearest neighbour: {EXACT}", 20.0),
        hit(f"left_foot, appended, x mode: {AREA}", 5.0, interval=None),
        hit(f"left_foot, appended, x mode, training images 20: {EXACT}", 40.0, **twenty),
        hit(f"left_foot, nearest neighbour, training images 20: {EXACT}", 10.0, **twenty),
        hit("left_foot, appended, x mode: in a meaningful direction", 9.0),
        replace(hit(f"head, appended, x mode: {EXACT}", 0.0), value=None, n=0),
    ]
    table = hits(run(tmp_path, metrics=rows))
    methods = ("with the appended embedding", "control: nearest neighbour")
    assert table.head == ("joint", "labels", "measure", *methods, "paper's, on 3DPW", "n")
    assert table.rows == (
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
        verdict("x", HOLDS, 1.0, 0.5, 3.0, 0.09, measure=EXACT),
        verdict("x", FAILS, 50.0, 45.0, 55.0, 0.04),
    ]
    verdicts = run(tmp_path, verdicts=rows).verdicts
    claim = Claim(id="x", list="kit", title="t")
    assert Answer(claim=claim, verdict=HOLDS, rows=verdicts).headline == verdicts[2], "the least sure"
    assert Answer(claim=claim, verdict=FAILS, rows=verdicts).headline == verdicts[0], "the surest"
    assert Answer(claim=claim).headline is None


def test_an_amount_has_the_numbers_that_there_are():
    empty = dict.fromkeys(("difference", "low", "high", "p", "runs", "n", "needed"))
    row = {"row": 1, "id": "", "verdict": "", "text": "", "measure": "", "why": "", **empty}
    assert amount(Verdict(**row)) == ""
    assert amount(Verdict(**{**row, "n": 40.0})) == "n 40"
    full = {"difference": 5.0, "low": -1.0, "high": 11.04, "p": 0.031, "runs": 8.0, "n": 80.0}
    full |= {"measure": "hits", "needed": 144.0, "why": "of x"}
    expected = "+5.0 [-1.0, +11.0], p 0.03, n 80 in 8 runs, hits, 144 pictures would decide, of x"
    assert amount(Verdict(**{**row, **full})) == expected


def test_a_mode_is_named_where_it_is_what_is_compared():
    one = "left foot: appended, coupled mode better than random embedding"
    assert short(one) == "left foot: appended better than random embedding"
    both = "left foot: appended, readout mode no better than appended, coupled mode"
    assert short(both) == "left foot: readout mode no better than coupled mode"
