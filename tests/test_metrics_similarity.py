"""OKS against pycocotools, and against its formula."""

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from kp_helpers import metrics

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
