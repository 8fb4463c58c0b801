"""Rows of plain text: each is the run's own number; more labelled pictures have rows of their own."""

from dataclasses import replace

from helpers.results_folder import PROTOCOL, hit, save

from kp_helpers.results.gathered import Run, Verdict, read_runs
from kp_helpers.results.tables import amount, decided, hits

DIRECTION, DISC = "in a meaningful direction", "within 1/48 of the frame"


def run(root, **content) -> Run:
    save(root, PROTOCOL, "quick", **content)
    return read_runs(root)[0][0]


def test_hits_by_joint_and_number_of_labelled_pictures(tmp_path):
    rows = [
        hit(
            f"left_foot, appended, x mode: {DIRECTION}",
            31.25,
            paper=26.25,
            paper_sd=18.06,
            source="a, b, 5 images",
        ),
        hit(f"left_foot, nearest neighbour: {DIRECTION}", 20.0),
        hit(f"left_foot, appended, x mode: {DISC}", 5.0, interval=None),
        hit(f"left_foot, appended, x mode, training images 20: {DIRECTION}", 40.0, n=40, train_images=20),
        hit(f"left_foot, nearest neighbour, training images 20: {DIRECTION}", 10.0, n=40, train_images=20),
        hit("left_foot, appended, x mode: mean error", 9.0),
        replace(hit(f"head, appended, x mode: {DIRECTION}", 0.0), value=None, n=0),
    ]
    found = hits(run(tmp_path, metrics=rows))
    methods = ("with the appended embedding", "control: nearest neighbour")
    assert found.head == ("joint", "labelled pictures", "hit", *methods, "paper's, on 3DPW", "n")
    ours = "31.2 ± 12.0 [10, 50]", "20.0 ± 12.0 [10, 50]"
    assert found.rows == (
        ("left foot", "5", DIRECTION, *ours, "26.2 ± 18.1 (5 images)", "80"),
        ("left foot", "5", DISC, "5.0 ± 12.0", "", "", "80"),
        ("left foot", "20", DIRECTION, "40.0 ± 12.0 [10, 50]", "10.0 ± 12.0 [10, 50]", "", "40"),
        ("head", "5", DIRECTION, "no cases", "", "", "0"),
    )


def test_what_is_decided_leaves_out_zero_and_is_about_the_appended_embedding(tmp_path):
    row = {"joint": "left_foot", "against": "a", "measure": DISC, "difference": 5.0, "low": 1.0, "high": 9.0}
    rows = [row, {**row, "low": -1.0}, {**row, "low": None, "high": None}, {**row, "measure": "mean error"}]
    rows += [{**row, "against": "b", "low": -9.0, "high": -1.0, "difference": -5.0}]
    words = [
        "left foot against a, within 1/48 of the frame: +5.0 points [1, 9]",
        "left foot against b, within 1/48 of the frame: -5.0 points [-9, -1]",
    ]
    assert decided(run(tmp_path / "older", differences=rows)) == words
    named = [{**one, "variant": "appended, x mode"} for one in rows] + [{**row, "variant": "base token"}]
    assert decided(run(tmp_path / "newer", differences=named)) == words
    assert decided(run(tmp_path / "without")) == []


def test_an_amount_has_the_numbers_that_there_are():
    empty = dict.fromkeys(("difference", "low", "high", "p", "runs", "n", "needed"))
    row = {"row": 1, "id": "", "verdict": "", "text": "", "measure": "", "why": "", **empty}
    assert amount(Verdict(**row)) == ""
    assert amount(Verdict(**{**row, "n": 40.0})) == "n 40"
    full = {"difference": 5.0, "low": -1.0, "high": 11.04, "p": 0.031, "runs": 8.0, "n": 80.0}
    full |= {"measure": "hits", "needed": 144.0, "why": "of x"}
    expected = "+5.0 [-1.0, +11.0], p 0.03, n 80 in 8 runs, hits, 144 pictures would decide, of x"
    assert amount(Verdict(**{**row, **full})) == expected
