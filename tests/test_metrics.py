"""Measures against numbers that were made by hand on a frame of 1920 x 1080, OKS against pycocotools."""

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from kp_helpers import metrics
from kp_helpers.metrics import Score

FRAME = (1920, 1080)
TRUE = (1000.0, 500.0)
UP = [(1000.0, 300.0)]  # the limb's other end lies above


def test_forty_pixels_are_a_forty_eighth_of_the_long_side():
    predicted = [(1040.0, 500.0), (1040.01, 500.0), (1024.0, 532.0), (1000.0, 541.0)]
    assert metrics.within(predicted, TRUE, FRAME).tolist() == [True, False, True, False]
    assert metrics.within(predicted, TRUE, (1080, 1920)).tolist() == [True, False, True, False]
    assert not metrics.within((1011.0, 500.0), TRUE, (480, 270)), (
        "a quarter of the size has a tolerance of 10"
    )


def test_pixels_of_the_frame_are_the_same_in_every_frame():
    assert metrics.within_pixels([(1040, 500), (1040.01, 500)], TRUE).tolist() == [True, False]
    assert metrics.within_pixels([(1005, 500), (1005, 500)], TRUE, [5, 4]).tolist() == [True, False]


@pytest.mark.parametrize(
    ("predicted", "hit"),
    [
        ((1000, 201), True),  # 299 straight up the limb
        ((1000, 199), False),  # 301
        ((1000, 540), True),  # 40 the wrong way: the disc
        ((1000, 541), False),
        ((1100, 400), True),  # 45 degrees
        ((1101, 400), False),
        ((900, 400), True),
        ((1213, 288), False),  # 45.1 degrees
        ((1000, 500), True),
    ],
)
def test_the_meaningful_direction_is_a_sector_and_a_disc(predicted, hit):
    assert metrics.in_direction(predicted, TRUE, UP, FRAME, reach=300 / 1920) == hit


def test_a_wider_or_second_sector_takes_in_more():
    assert metrics.in_direction((1150, 400), TRUE, UP, FRAME, reach=5 / 32, half_angle=60)
    assert not metrics.in_direction((1100, 500), TRUE, UP, FRAME, reach=5 / 48)
    assert metrics.in_direction((1100, 500), TRUE, [*UP, (1200, 500)], FRAME, reach=5 / 48)
    assert not metrics.in_direction((1100, 500), TRUE, [TRUE], FRAME, reach=5 / 48), "a limb without length"
    assert metrics.in_direction((1100, 500), TRUE, UP, FRAME, reach=5 / 32, half_angle=180)


def test_degrees_off_the_nearest_limb():
    points = [(1000, 400), (1050, 450), (1100, 500), (1000, 600), TRUE]
    assert metrics.off_axis(points, TRUE, UP) == pytest.approx([0, 45, 90, 180, np.nan], nan_ok=True)
    assert metrics.off_axis((1100, 500), TRUE, [*UP, (1100, 600)]) == pytest.approx(45)
    assert metrics.off_axis((1100, 500), TRUE, [(np.nan, np.nan), *UP]) == pytest.approx(90)
    assert np.isnan(metrics.off_axis((1100, 500), TRUE, [TRUE]))


def test_a_curve_over_the_half_angle():
    curve = metrics.in_direction((1100, 400), TRUE, UP, FRAME, reach=5 / 32, half_angle=[0, 44.9, 45, 180])
    assert curve.tolist() == [False, False, True, True]


def test_directions_of_many_frames_at_once():
    hits = metrics.in_direction(
        [(1000, 250), (10, 0)], [TRUE, (0, 0)], [UP, [(0, 9)]], [FRAME, (480, 270)], reach=5 / 32
    )
    assert hits.tolist() == [True, True]


def test_pck_is_strict():
    norm = metrics.box_side((100, 100, 300, 200))
    assert norm == 200
    assert metrics.pck([(1020, 500), (1019.9, 500)], TRUE, norm, 0.1).tolist() == [False, True]
    assert metrics.normalised_error((1030, 540), TRUE, 200) == pytest.approx(0.25)  # 50 / 200


def test_lengths_of_a_person():
    assert metrics.torso_length((100, 100), (130, 140)) == 50
    assert metrics.box_area((100, 100, 300, 200)) == pytest.approx(200 * 100 * 0.53)
    head = metrics.head_box((100, 50), (100, 65))
    assert head.tolist() == [85, 35, 115, 65]
    assert metrics.head_size(head) == pytest.approx(0.6 * np.sqrt(30**2 + 30**2))


def test_the_area_under_the_curve_counts_thresholds():
    """Thresholds 0, 5, ... 95 for errors of 0, 12 and 100: 19, 17 and none of them are above."""
    points = [TRUE, (1012, 500), (1100, 500)]
    assert metrics.auc(points, TRUE, 1.0, 100).tolist() == [19 / 20, 17 / 20, 0]
    assert metrics.auc(points, TRUE, 200.0, 0.5).tolist() == [19 / 20, 17 / 20, 0]


def test_means_leave_out_what_is_not_visible():
    assert metrics.mean([True, False, True, True], [1, 1, 1, 0]) == Score(pytest.approx(2 / 3), 3)
    assert metrics.mean([np.nan, 3.0], [0, 1]) == Score(3.0, 1)
    assert metrics.mean([1.0], [0]) == Score(None, 0)
    with pytest.raises(ValueError, match="a visible joint has a value that is not finite"):
        metrics.mean([np.nan, 1.0])


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match="predicted has shape .3,., expected .*, 2. as .x, y. in pixels"):
        metrics.within((1, 2, 3), TRUE, FRAME)
    with pytest.raises(ValueError, match="a normalising length is 0.0, expected all to be above 0"):
        metrics.pck(TRUE, TRUE, [200, 0], 0.1)
    with pytest.raises(ValueError, match="box has shape .2,., expected .*, 4. as .x0, y0, x1, y1."):
        metrics.box_side((1, 2))


@pytest.mark.parametrize(
    ("joint", "other"),
    [
        ("left_foot", "right_foot"),
        ("Left Ankle", "Right Ankle"),
        ("Left-ankle", "Right-ankle"),
        ("l_ankle", "r_ankle"),
        ("LShoulder", "RShoulder"),
        ("leftKnee", "rightKnee"),
        ("AnkleLeft", "AnkleRight"),
        ("hip-l", "hip-r"),
        ("RIGHT_EYE", "LEFT_EYE"),
        ("R.Wrist", "L.Wrist"),
    ],
)
def test_the_other_side_in_the_spellings_that_people_use(joint, other):
    assert metrics.mirrored(joint) == other and metrics.mirrored(other) == joint


@pytest.mark.parametrize("joint", ["head", "neck", "pelvis", "lip", "Lip", "rib", "Leye", "left"])
def test_a_name_that_says_no_side_is_of_the_middle(joint):
    assert metrics.mirrored(joint) is None


def test_every_joint_with_a_sector_has_its_limbs():
    assert set(metrics.SECTOR) == set(metrics.LIMB_ENDS)


JOINTS = ("left_foot", "right_foot", "head", "left_ankle", "left_elbow")
SIGMAS = [metrics.sigma(joint) for joint in JOINTS]


def people(count: int = 12) -> tuple[np.ndarray, ...]:
    """Predicted and true points (count, 5, 2), boxes (count, 4), and visibility with one joint at least."""
    rng = np.random.default_rng(0)
    true = rng.uniform(100, 300, (count, len(JOINTS), 2))
    predicted = true + rng.normal(0, 1, true.shape) * rng.choice([1, 10, 50], (count, 1, 1))
    boxes = np.concatenate([true.min(axis=1) - 5, true.max(axis=1) + 5], axis=-1)
    visible = rng.random((count, len(JOINTS))) < 0.6
    visible[:, 0] |= ~visible.any(axis=1)
    return predicted, true, boxes, visible


def by_pycocotools(predicted, true, areas, visible) -> list[float]:
    """COCO's similarity of one prediction a picture, with our sigmas."""
    category = {"id": 1, "name": "person", "keypoints": list(JOINTS), "skeleton": []}
    annotations, results = [], []
    for number, (points, area) in enumerate(zip(true, areas, strict=True), 1):
        marked = np.concatenate([points, 2.0 * visible[number - 1][:, None]], axis=-1)
        about = {"image_id": number, "category_id": 1}
        box = {"bbox": [0, 0, 1, 1], "area": float(area), "iscrowd": 0}
        labelled = {"id": number, "num_keypoints": int(visible[number - 1].sum())}
        annotations.append({**about, **box, **labelled, "keypoints": marked.ravel().tolist()})
        found = np.concatenate([predicted[number - 1], np.ones((len(JOINTS), 1))], axis=-1)
        results.append({**about, "keypoints": found.ravel().tolist(), "score": 1.0})
    coco = COCO()
    images = [{"id": row["id"]} for row in annotations]
    coco.dataset = {"info": {}, "images": images, "annotations": annotations, "categories": [category]}
    coco.createIndex()
    evaluation = COCOeval(coco, coco.loadRes(results), "keypoints")
    evaluation.params.kpt_oks_sigmas = np.array(SIGMAS)
    evaluation.evaluate()
    return [float(evaluation.ious[row["id"], 1][0, 0]) for row in annotations]


def test_the_similarity_is_that_of_pycocotools():
    predicted, true, boxes, visible = people()
    areas = metrics.box_area(boxes)
    ours = metrics.oks(predicted, true, areas, SIGMAS, visible)
    assert ours == pytest.approx(by_pycocotools(predicted, true, areas, visible), abs=1e-12)
    assert ours.min() < 0.2 and ours.max() > 0.8, "the cases must span the measure"


def test_what_cannot_be_seen_does_not_count():
    points, true = [(0, 0), (9, 9)], [(0, 0), (np.nan, np.nan)]
    assert metrics.oks(points, true, 100, [0.1, 0.1], [True, False]) == 1
    assert np.isnan(metrics.oks(points, true, 100, [0.1, 0.1], [False, False]))
    with pytest.raises(ValueError, match="a person's area is 0.0, expected all to be above 0 square pixels"):
        metrics.oks(points, true, 0, [0.1, 0.1])


def test_sigmas_are_cocos_where_it_has_the_joint():
    """pycocotools holds COCO's seventeen, and both sides of a joint have one."""
    theirs = COCOeval(iouType="keypoints").params.kpt_oks_sigmas
    names = ("nose", "eye", "eye", "ear", "ear", "shoulder", "shoulder", "elbow", "elbow", "wrist", "wrist")
    names += ("hip", "hip", "knee", "knee", "ankle", "ankle")
    assert [metrics.sigma(f"left_{name}") for name in names] == pytest.approx(theirs.tolist())
    assert (metrics.sigma("right_foot"), metrics.sigma("head"), metrics.sigma("neck")) == (0.068, 0.026, None)
