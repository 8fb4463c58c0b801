"""What misses sit on: by a mask that was painted by hand, and by the figures world's own."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from kp_helpers import evaluate
from kp_helpers.data import DataError, KeypointSample, ThreeDPW
from kp_helpers.evaluate import Found, Framed
from kp_helpers.figures.export import export
from kp_helpers.geometry import Square
from kp_helpers.metrics import Metric

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
DISTINCT = "misses on the head, a hand, a foot or a thing"
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


def misses(found: list[Found]) -> list[Metric]:
    return evaluate.report(evaluate.surroundings(found), evaluate.MISSES)


def shares(sample: KeypointSample, *points) -> dict[str, tuple]:
    found = [Found(sample, "left_foot", point, "m", run) for run, point in enumerate(points)]
    return {one.measure: (one.value, one.n) for one in misses(found)}


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
    stands_out = place in ("misses on a thing", "misses on the person's own head")
    assert found.pop(DISTINCT) == (100.0 * stands_out, 1)
    assert found.pop(place) == (100.0, 1)
    assert set(found.values()) == {(0.0, 1)}


@pytest.mark.parametrize(
    ("point", "distinct"),
    [
        ((39.0, 31.6), 1),  # a hand: 1/48 of the frame is 1.67 pixels
        ((39.0, 31.7), 0),
        ((61.0, 20.0), 0),  # the other foot, which `mirror` tells
        ((60.0, 5.0), 0),  # a knee, see below
        ((30.0, 8.4), 1),  # the head, by its joint
        ((72.0, 39.0), 0),  # no end but the foot itself is near
    ],
)
def test_without_masks_the_ends_of_limbs_stand_out(sample, point, distinct):
    bare = replace(sample, masks=None, skeleton={**SKELETON, "left_knee": (60.0, 5.0)})
    row = evaluate.surroundings([Found(bare, "left_foot", point, "m")]).iloc[0]
    assert (row["distinct"], row["place"]) == (distinct, "") and np.isnan(row["thing"])
    assert row["within"] == 0


def test_a_hit_has_no_surroundings(sample):
    row = evaluate.surroundings([Found(sample, "left_foot", (75.0, 39.0), "m")]).iloc[0]
    assert row["place"] == "" and row[[*evaluate.MISSES][1:]].isna().all()


def test_random_points_give_the_level_of_chance(sample):
    """Of a square on columns 0 to 40, the ball has a quarter and the person's skin another."""
    square, picture = Square(0.0, 0.0, 40.0, 40.0), torch.zeros(1, 3, 8, 8)
    anywhere = Framed((sample,), (square,), picture)
    points = [p for run in range(80) for p in evaluate.random_points(anywhere, "left_foot", run, 0)]
    found = {one.measure: one for one in evaluate.report(evaluate.surroundings(points), evaluate.MISSES)}
    assert found["misses on a thing"].value == pytest.approx(25, abs=4) and len(points) == 2000
    assert found["misses on the ground or the backdrop"].value == pytest.approx(50, abs=4)
    nearer = np.mean([_nearer_the_head(x + 0.5, y + 0.5) for x in range(30, 40) for y in range(40)])
    assert found["misses on the person's own head"].value == pytest.approx(25 * nearer, abs=4)
    own = found["misses on the head, a hand, a foot or a thing"].value
    assert own == pytest.approx(25 + 25 * nearer, abs=4), "and a hand's few pixels"


def _nearer_the_head(*point: float) -> bool:
    others = [at for name, at in SKELETON.items() if name != "head"]
    distances = [np.hypot(*np.subtract(at, point)) for at in (SKELETON["head"], *others)]
    return int(np.argmin(distances)) == 0


def test_what_misses_share_is_compared_with_chance(sample):
    """Method m misses on the ball in both runs; n hits in run 1, so only run 0 has a pair."""
    ball, grass, foot = (25.0, 5.0), (15.0, 5.0), (75.0, 39.0)
    places = {("m", 0): ball, ("m", 1): ball, ("n", 0): grass, ("n", 1): foot}
    found = [Found(sample, "left_foot", at, method, run) for (method, run), at in places.items()]
    rows = evaluate.differences(evaluate.surroundings(found), "m", ["n"], evaluate.MISSES)
    row = rows.set_index("measure").loc["misses on a thing"]
    assert (row["difference"], row["runs"], row["n"]) == (100, 1, 1)


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
    by_place = {(one.joint, one.measure): one for one in misses(found)}
    joints = {one.joint for one in found}
    assert joints
    for joint in joints:
        on = [
            by_place[joint, f"misses on the {place}"] for place in ("person's own head", "rest of the person")
        ]
        assert on[0].n > 5 and on[0].value + on[1].value == pytest.approx(100)


def test_points_on_the_person_are_on_the_person(sample):
    """Person 1 is the columns 30 to 49 and 60 to 69; the square shows the columns 20 to 59."""
    test = Framed((sample,), (Square(20.0, 0.0, 40.0, 40.0),), torch.zeros(1, 3, 8, 8))
    found = evaluate.points_on_person(test, "left_foot", 3, 0)
    columns = np.array([one.point[0] for one in found])
    assert len(found) == 25 and {one.method for one in found} == {evaluate.ON_PERSON}
    assert ((columns > 30) & (columns < 50)).all() and len(set(columns)) > 5
    assert [one.point for one in found] != [
        one.point for one in evaluate.points_on_person(test, "left_foot", 4, 0)
    ]
    unknown = Framed((replace(sample, masks=None),), test.squares, test.images)
    columns = np.array([one.point[0] for one in evaluate.points_on_person(unknown, "left_foot", 3, 0)])
    assert (columns < 30).any() and ((columns >= 20) & (columns <= 60)).all()


def test_the_other_sides_joint_is_not_what_is_distinct(sample):
    """Where the masks show no thing, only the joints count: the other foot is told by `mirror` alone."""
    unmasked = replace(sample, masks=None)
    on_foot, on_head = shares(unmasked, SKELETON["right_foot"]), shares(unmasked, SKELETON["head"])
    assert on_foot[DISTINCT][0] == 0 and on_foot["misses that hit the other side"][0] == 100
    assert on_head[DISTINCT][0] == 100
