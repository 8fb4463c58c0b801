"""What misses sit on: by a mask that was painted by hand, and by the figures world's own."""

import json

import numpy as np
import pytest
from PIL import Image

from kp_helpers import evaluate
from kp_helpers.data import DataError, KeypointSample, ThreeDPW
from kp_helpers.evaluate import Found
from kp_helpers.figures.export import export

SEGMENTS = [
    {"number": 0, "label": "sky", "entity": "backdrop", "colour": "blue"},
    {"number": 1, "label": "grass", "entity": "ground", "colour": "green"},
    {"number": 2, "label": "ball", "entity": "thing 0", "colour": "red"},
    {"number": 3, "label": "skin", "entity": "person 1", "colour": "pink"},
    {"number": 4, "label": "hair", "entity": "person 1", "colour": "black"},
    {"number": 5, "label": "hair", "entity": "person 0", "colour": "black"},
    {"number": 6, "label": "shirt", "entity": "person 1", "colour": "blue"},
]
"""Segment k covers the columns 10 k to 10 k + 9 of a frame of 80 x 40; columns 70 to 79 have none."""
SKELETON = {
    "head": (30.0, 10.0),
    "right_hand": (39.0, 30.0),
    "left_foot": (75.0, 39.0),
    "right_foot": (61.0, 20.0),
}


@pytest.fixture
def sample(tmp_path) -> KeypointSample:
    """Person 1 in frame 1 of a sequence, in the layout of the figures world."""
    path = tmp_path / "masks" / "walk_000" / "image_00001.png"
    path.parent.mkdir(parents=True)
    Image.fromarray(np.tile(np.arange(80, dtype=np.uint8) // 10, (40, 1))).save(path)
    truth = tmp_path / "truth" / "walk_000.json"
    truth.parent.mkdir()
    truth.write_text(json.dumps([{}, {"segments": SEGMENTS}]))
    return KeypointSample(
        name="walk_000/00001/1",
        image_path=None,
        frame_size=(80, 40),
        joints={"left_foot": SKELETON["left_foot"]},
        visible={"left_foot": True},
        box=(20.0, 0.0, 79.0, 40.0),
        skeleton=SKELETON,
        masks=path,
        sequence="walk_000",
        frame=1,
        person=1,
    )


def shares(sample: KeypointSample, *points) -> dict[str, tuple]:
    found = [Found(sample, "left_foot", point, "m", run) for run, point in enumerate(points)]
    return {one.measure: (one.value, one.n) for one in evaluate.misses(found)}


@pytest.mark.parametrize(
    ("point", "place"),
    [
        ((5.0, 5.0), "misses on the ground or the backdrop"),
        ((15.0, 5.0), "misses on the ground or the backdrop"),
        ((29.99, 5.0), "misses on a thing"),
        ((31.0, 12.0), "misses on the person's own head"),  # skin, nearest to the head
        ((38.0, 28.0), "misses on the rest of the person"),  # skin, nearest to the hand
        ((45.0, 39.0), "misses on the person's own head"),  # hair
        ((55.0, 5.0), "misses on another person"),
        ((65.0, 5.0), "misses on the rest of the person"),
        ((-0.1, 5.0), "misses outside the frame"),
        ((5.0, 40.0), "misses outside the frame"),
    ],
)
def test_a_miss_sits_on_what_the_mask_says(sample, point, place):
    found = shares(sample, point)
    assert found.pop("misses that hit the other side") == (0.0, 1)
    assert found.pop(place) == (100.0, 1)
    assert set(found.values()) == {(0.0, 1)}


def test_hits_are_no_misses(sample):
    """A hit 1 pixel off, a miss on the other foot, a miss on the ball."""
    found = shares(sample, (74.0, 39.0), (61.0, 20.0), (25.0, 5.0))
    assert found["misses that hit the other side"] == (50.0, 2)
    assert found["misses on a thing"] == found["misses on the rest of the person"] == (50.0, 2)


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        (None, "walk_000.json: no such file, expected the table of the segments in "),
        ("[{}", "walk_000.json: frame 1 has no table of segments"),
        ("[{}, {}]", "walk_000.json: frame 1 has no table of segments"),
        ('[{}, {"segments": [7]}]', "walk_000.json: frame 1 has no table of segments"),
        ('[{}, {"segments": []}]', "image_00001.png: holds segment 2, expected one of "),
    ],
)
def test_a_damaged_table_is_named(sample, truth, message):
    path = sample.masks.parents[2] / "truth" / "walk_000.json"
    path.unlink() if truth is None else path.write_text(truth)
    with pytest.raises(DataError, match=message):
        shares(sample, (25.0, 5.0))


def test_a_damaged_mask_is_named(sample):
    Image.fromarray(np.zeros((4, 8), np.uint8)).save(sample.masks)
    with pytest.raises(DataError, match=r"image_00001.png: has shape .4, 8., expected .40, 80. as the frame"):
        shares(sample, (25.0, 5.0))
    sample.masks.write_bytes(b"")
    with pytest.raises(DataError, match="image_00001.png: cannot be read .*, expected a mask as PNG"):
        shares(sample, (25.0, 5.0))


def test_the_figures_world_is_read(tmp_path):
    """Joints that the renderer calls visible lie on their own person, so misses there do too."""
    export(tmp_path / "world", sequences=3, frames=1)
    found = []
    for joint in ("left_foot", "head"):
        for one in ThreeDPW(tmp_path / "world", "test", (joint,)):
            truth = json.loads((tmp_path / "world" / "truth" / f"{one.sequence}.json").read_text())[one.frame]
            seen = [
                name
                for name, visible in zip(one.skeleton, truth["visible"][one.person], strict=True)
                if visible
            ]
            found += [Found(one, joint, one.skeleton[name], "m") for name in seen if one.visible[joint]]
    by_place = {(one.joint, one.measure): one for one in evaluate.misses(found)}
    joints = {one.joint for one in found}
    assert joints
    for joint in joints:
        on = [
            by_place[joint, f"misses on the {place}"] for place in ("person's own head", "rest of the person")
        ]
        assert on[0].n > 5 and on[0].value + on[1].value == pytest.approx(100)
