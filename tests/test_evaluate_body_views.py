"""How a person stands, from joints that were put where they are."""

import dataclasses
from pathlib import Path

import pytest

from kp_helpers.data import KeypointSample
from kp_helpers.evaluate import Found, body_view, by_body_view
from kp_helpers.geometry import Square

FACING = {"left_hip": (60.0, 50.0), "right_hip": (40.0, 50.0)}
TURNED = {"left_hip": (40.0, 50.0), "right_hip": (60.0, 50.0)}
APART = {"left_ankle": (65.0, 90.0), "right_ankle": (35.0, 90.0)}


def sample(skeleton: dict, visible: bool = True) -> KeypointSample:
    return KeypointSample(
        name="s/0/0",
        image_path=Path("none"),
        frame_size=(100, 100),
        joints={"left_ankle": skeleton.get("left_ankle", (65.0, 90.0))},
        visible={"left_ankle": visible},
        box=(30.0, 10.0, 70.0, 95.0),
        skeleton=skeleton,
    )


@pytest.mark.parametrize(
    ("skeleton", "view"),
    [
        (FACING | APART, "front view"),
        (TURNED, "back view"),
        (TURNED | APART, "crossed legs"),
        (APART, ""),
        ({**FACING, "left_hip": (float("nan"), 1.0)}, ""),
    ],
)
def test_left_and_right_tell_the_view(skeleton, view):
    assert body_view(sample(skeleton)) == view


def test_predictions_are_scored_by_view():
    """In a square of 100 pixels the tolerance is 5: on the own ankle, on the other, and between the two."""
    one, square = sample(FACING | APART), Square(0.0, 0.0, 100.0, 100.0)
    places = [(62.0, 91.0), (37.0, 92.0), (48.0, 90.0)]
    found = [Found(one, "left_ankle", at, "m", run, square) for run, at in enumerate(places)]
    hidden = dataclasses.replace(found[0], sample=sample(FACING | APART, visible=False))
    rows = by_body_view([hidden, *found])
    assert list(rows["body_view"]) == ["front view"] * 3
    assert list(rows["within_square"]) == [1, 0, 0] and list(rows["other_side"]) == [0, 1, 0]
