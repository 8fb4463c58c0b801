"""One prediction set under every measure, each number worked out by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t

from kp_helpers import evaluate
from kp_helpers.data import KeypointSample
from kp_helpers.evaluate import Found
from kp_helpers.geometry import Square
from kp_helpers.results import Metric

SKELETON = {
    "left_foot": (100.0, 200.0),
    "left_knee": (100.0, 150.0),
    "right_foot": (160.0, 200.0),
    "left_shoulder": (90.0, 90.0),
    "right_hip": (120.0, 150.0),  # a torso of sqrt(30^2 + 60^2) = 67.08
    "head": (100.0, 60.0),
    "neck": (100.0, 75.0),  # a head of 30 x 30, whose diagonal x 0.6 is 25.46
}
POINTS = ((103.0, 204.0), (100.0, 188.0), (130.0, 200.0), (160.0, 200.0))
"""5 pixels off; 12 up the leg; 30 to the side; on the other foot, 60 off. Two runs of two images."""
ERRORS = np.array([5.0, 12.0, 30.0, 60.0])


def sample(number: int, **changes) -> KeypointSample:
    """A person of 480 x 270 in a box of 150 x 170 pixels; 1/48 of the long side is 10 pixels."""
    fields = {
        "name": f"s{number}/0/0",
        "image_path": None,
        "frame_size": (480, 270),
        "joints": {"left_foot": SKELETON["left_foot"]},
        "visible": {"left_foot": True},
        "box": (50.0, 50.0, 200.0, 220.0),
        "skeleton": SKELETON,
        "sequence": f"s{number}",
    }
    return KeypointSample(**{**fields, **changes})


def predictions(method: str = "appended, full mode", points=POINTS, **changes) -> list[Found]:
    places = zip(points, ((0, 0), (0, 1), (1, 0), (1, 1)), strict=True)
    return [
        Found(sample(image, **changes), "left_foot", point, method, run) for point, (run, image) in places
    ]


def measured(found: list[Found]) -> dict[str, Metric]:
    return {one.measure: one for one in evaluate.report(evaluate.score(found))}


def test_every_measure_by_hand():
    similarity = np.exp(-(ERRORS**2) / (2 * 0.53 * 150 * 170 * (2 * 0.068) ** 2))
    above = [sum(0.2 * i / 20 * 170 > error for i in range(20)) / 20 for error in ERRORS]
    assert above == [0.85, 0.6, 0.1, 0.0]
    expected = {
        "in a meaningful direction": 50,
        "within 1/48 of the frame": 25,
        "within 40 pixels of the frame": 75,
        "PCK@0.05 of the box": 25,  # 8.5 pixels
        "PCK@0.1 of the box": 50,  # 17
        "PCK@0.2 of the box": 75,  # 34
        "PCK@0.05 of the torso": 0,  # 3.4
        "PCK@0.1 of the torso": 25,  # 6.7
        "PCK@0.2 of the torso": 50,  # 13.4
        "PCKh@0.5": 50,  # 12.7
        "AUC of PCK to 0.2 of the box": 100 * np.mean(above),
        "mean OKS": 100 * similarity.mean(),  # .951, .750, .165, .001
        "OKS of 0.5 or more": 50,
        "OKS of 0.75 or more": 25,  # the second is .7497
        "misses that hit the other side": 100 / 3,
        "mean error": 100 * ERRORS.mean() / 480,
        "mean error over the box": 100 * ERRORS.mean() / 170,
        "mean error over the torso": 100 * ERRORS.mean() / np.hypot(30, 60),
    }
    found = measured(predictions())
    assert {name: one.value for name, one in found.items()} == pytest.approx(expected)
    assert {one.n for name, one in found.items() if "misses" not in name} == {4}
    assert found["misses that hit the other side"].n == 3
    assert found["in a meaningful direction"].threshold == "5/32"


def test_hits_by_the_square_and_on_the_other_side_by_hand():
    """A square of 300 pixels has a tolerance of 15: on the joint, at 16 pixels, on the other side, and at the
    joint where both lie within the tolerance.
    """
    x, y = sample(0).joints["left_foot"]
    square = Square(x - 100, y - 120, 300.0, 300.0)
    places = [((x + 40, y), (x + 14, y)), ((x + 40, y), (x + 16, y)), ((x + 40, y), (x + 39, y))]
    places += [((x + 10, y), (x + 4, y)), ((x + 10, y), (x + 6, y))]
    found = [
        Found(sample(n, skeleton={"right_foot": other}), "left_foot", at, "m", n, square)
        for n, (other, at) in enumerate(places)
    ]
    rows = evaluate.score(found)
    assert list(rows["within_square"]) == [1, 0, 0, 1, 1]
    assert list(rows["other_side"]) == [0, 0, 1, 0, 1], "nearer to the other side's, and within the tolerance"
    alone = evaluate.score([Found(sample(0, skeleton={}), "left_foot", (x, y), "m", 0, square)])
    assert alone["within_square"].item() == 1 and alone["other_side"].isna().item()
    unknown = evaluate.score([Found(sample(0), "left_foot", (x, y), "m")])
    assert unknown[["within_square", "other_side"]].isna().all(axis=None), "nobody knows the square"


def test_spread_and_interval_by_hand():
    """Two runs of two images each: the residual sums of runs, images and cells, written out."""
    error = measured(predictions())["mean error"]
    values = 100 * ERRORS.reshape(2, 2) / 480
    assert error.sd == pytest.approx(values.mean(axis=1).std(ddof=1))
    rest = values - values.mean()
    of_runs, of_images = 2 * (rest.sum(axis=1) ** 2).sum(), 2 * (rest.sum(axis=0) ** 2).sum()
    of_cells = 4 / 3 * (rest**2).sum()
    half = np.sqrt(max(of_runs + of_images - of_cells, of_cells)) / 4 * t.ppf(0.975, df=1)
    low, high = error.interval
    assert high - values.mean() == pytest.approx(half) and low == 0
    assert measured(predictions())["PCK@0.2 of the box"].interval == (0, 100)


def test_what_is_unknown_leaves_its_denominator():
    found = predictions()
    found[0] = predictions(skeleton={})[0]
    found[1] = predictions(box=(50.0, 50.0, 200.0, 50.0))[1]
    by_name = measured(found)
    counts = {name: one.n for name, one in by_name.items()}
    assert counts["within 1/48 of the frame"] == 4
    assert (
        counts["in a meaningful direction"] == counts["PCKh@0.5"] == counts["mean error over the torso"] == 3
    )
    assert counts["mean OKS"] == counts["AUC of PCK to 0.2 of the box"] == 3
    nothing = measured(predictions(skeleton={}, joints={"left_foot": (100.0, 200.0)}, sequence=""))
    assert {"mean error", "mean OKS"} < nothing.keys() and "in a meaningful direction" not in nothing
    assert nothing["mean error"].interval is not None, "without sequences each image counts"


@pytest.mark.parametrize(
    "changes", [{"joints": {"left_foot": (np.nan, 1.0)}}, {"points": [(np.inf, 1.0)] * 4}]
)
def test_points_that_are_not_finite_are_refused(changes):
    with pytest.raises(ValueError, match="s0/0/0, left_foot: predicted .* expected two finite points"):
        evaluate.score(predictions(**changes))


def test_no_visible_joint_is_no_case():
    hidden = predictions(visible={"left_foot": False})
    assert evaluate.report(evaluate.score(hidden)) == [] and evaluate.table([]).empty
    assert evaluate.directions(hidden).empty and evaluate.surroundings(hidden).empty
    hits = measured(predictions(points=[SKELETON["left_foot"]] * 4))["misses that hit the other side"]
    assert (hits.value, hits.n, hits.interval) == (None, 0, None)


def test_the_curve_over_the_half_angle_by_hand():
    """The second lies straight up the leg, the third and fourth lie at 90 degrees; all are within reach."""
    curve = evaluate.directions(predictions(), (0, 89, 90, 180)).set_index("half_angle")
    assert curve["value"].to_dict() == {0.0: 50.0, 89.0: 50.0, 90.0: 100.0, 180.0: 100.0}
    assert (curve["n"] == 4).all() and (curve["low"] <= curve["value"]).all()
    assert evaluate.directions(
        [Found(sample(0, joints=SKELETON, visible={"neck": True}), "neck", (1, 1), "m")]
    ).empty


def test_differences_are_between_the_same_pictures():
    """The other method is 10 pixels worse on each run's first image, and has no second image in run 1."""
    other = [(100.0, 215.0), POINTS[1], (140.0, 200.0), POINTS[3]]
    found = predictions() + predictions("base token", other)[:3]
    rows = evaluate.differences(evaluate.score(found), "appended, full mode", ["base token"])
    row = rows.set_index("measure").loc["mean error"]
    assert row["difference"] == pytest.approx(100 * (-10 + 0 - 10) / 3 / 480)
    assert (row["runs"], row["n"]) == (2, 3) and 0.1 < row["p"] < 1
    assert row["low"] < row["difference"] < row["high"]
    row = rows.set_index("measure").loc["in a meaningful direction"]
    assert row["difference"] == pytest.approx(100 / 3), "one hit more of three"
    assert (row["low"], row["high"]) == (-100, 100), "two images say nothing, and no share moves further"
    same = evaluate.differences(
        evaluate.score(predictions() + predictions("b")), "appended, full mode", ["b"]
    )
    assert same["low"].isna().all() and same["p"].isna().all()
    assert evaluate.differences(evaluate.score(predictions()), "appended, full mode", ["none"]).empty


def test_numbers_are_listed_one_a_row():
    rows = evaluate.listed(measured(predictions()).values())
    assert list(rows.columns[:4]) == ["joint", "method", "measure", "threshold"]
    row = rows[rows["measure"] == "within 1/48 of the frame"].iloc[0]
    assert (row["value"], row["n"], row["low"], row["unit"]) == (25.0, 4, 0.0, "%")
    assert isinstance(rows, pd.DataFrame) and len(rows) == 18
