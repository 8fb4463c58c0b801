"""COCO's JSON: read back by pycocotools, by the kit, and refused where it does not fit together."""

import copy
import json
import math

import pytest
from helpers.threedpw_folder import write_threedpw
from pycocotools.coco import COCO

from kp_helpers.data import DataError, ImageFolder, ThreeDPW
from kp_helpers.data.coco import read_coco, write_coco
from kp_helpers.data.labels import write_table

NAMES = ["nose", "left_foot"]


def content() -> dict:
    """Two images; the first shows two people and a crowd, the second nobody."""
    person = {"image_id": 7, "category_id": 1, "keypoints": [1, 2, 2, 3.5, 4, 1], "bbox": [0, 0, 9, 8]}
    return {
        "images": [
            {"id": 7, "file_name": "a/b.jpg", "width": 40, "height": 30},
            {"id": 8, "file_name": "c.jpg"},
        ],
        "categories": [{"id": 1, "name": "person", "keypoints": NAMES}, {"id": 2, "name": "ball"}],
        "annotations": [
            {"id": 1, **person},
            {"id": 2, **person, "iscrowd": 1},
            {"id": 3, **person, "keypoints": [0, 0, 0, 5, 6, 2], "bbox": [0, 0, 0, 0]},
            {"id": 4, "image_id": 7, "category_id": 2, "bbox": [1, 1, 2, 2]},
        ],
    }


def written(tmp_path, value):
    path = tmp_path / "labels.json"
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


def test_people_come_with_their_points_and_boxes(tmp_path):
    names, (first, second), left_out = read_coco(written(tmp_path, content()))
    assert names == tuple(NAMES)
    assert (first.image, first.person, first.size, first.box) == ("a/b.jpg", 0, (40, 30), (0, 0, 9, 8))
    assert first.points == {"nose": (1, 2), "left_foot": (3.5, 4)}
    assert (second.person, second.box, second.points["left_foot"]) == (1, None, (5, 6))
    assert all(map(math.isnan, second.points["nose"])), "v = 0 is not labelled"
    assert left_out == {"of a crowd": 1, "without keypoints": 1, "images without a label": 1}


def test_row_88_a_joint_at_the_corner_is_the_place_of_one_that_is_not_labelled(tmp_path):
    whole = content()
    whole["annotations"][0]["keypoints"] = [0, 0, 2, 3.5, 0, 1]
    _, (first, _), left_out = read_coco(written(tmp_path, whole))
    assert all(map(math.isnan, first.points["nose"])) and first.points["left_foot"] == (3.5, 0)
    assert left_out["joints said to be seen at (0, 0)"] == 1


def test_people_without_a_joint_and_sizes_of_zero_say_nothing(tmp_path):
    whole = content()
    whole["annotations"][0]["keypoints"] = [0, 0, 0, 0, 0, 0]
    whole["images"][0] |= {"width": 0, "height": 0}
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(whole), encoding="utf-8-sig")  # as Windows writes it
    _, (only,), left_out = read_coco(path)
    assert (only.person, only.size) == (1, None) and left_out["people without a labelled joint"] == 1
    assert left_out["images without a label"] == 1


def changed(*keys_and_value):
    *keys, last, value = keys_and_value
    whole = content()
    place = whole
    for key in keys:
        place = place[key]
    place[last] = value
    return whole


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ([], r"it is \[\]: Input should be a valid dictionary"),
        ({}, "has no images, expected it"),
        (changed("annotations", {}), "annotations is {}: Input should be a valid list"),
        (changed("images", 1, "id", 7), "images have 1 different ids, expected 2"),
        (changed("images", 1, "id", "8"), r"images\[1\].id is '8': Input should be a valid integer"),
        (changed("images", 0, "file_name", "../x.jpg"), "file_name is '../x.jpg', expected the path of an"),
        (changed("images", 0, "file_name", None), "file_name is 'None'"),
        (changed("annotations", 0, "image_id", 9), r"annotations\[0\]: image_id is '9', expected the id"),
        (changed("annotations", 0, "category_id", [1]), r"annotations\[0\]: category_id is '\[1\]'"),
        (
            changed("annotations", 0, "keypoints", [1, 2, 2]),
            r"annotations\[0\]: 3 keypoints, expected 6: x",
        ),
        (
            changed("annotations", 0, "keypoints", [1, 2, 2, 1, "2", 2]),
            r"keypoints\[4\] is '2': Input",
        ),
        (changed("annotations", 0, "keypoints", [1, 2, 2, 1, 10**400, 2]), r"keypoints\[4\] is 1000"),
        (
            changed("annotations", 0, "keypoints", [1, 2, 0.98, 3, 4, 2]),
            "third number of 'nose' is 0.98, which looks like a score of a prediction; expected 0, 1 or 2",
        ),
        (
            changed("annotations", 0, "keypoints", [1, 2, 2, 3, 4, -1]),
            "number of 'left_foot' is -1; expected",
        ),
        (changed("annotations", 0, "bbox", [1, 2, 3]), "bbox is .1.0, 2.0, 3.0., expected x, y, width, h"),
        (changed("annotations", 0, "bbox", [1, 2, -3, 4]), "bbox is .*, expected a box with a width"),
        (changed("categories", 0, "keypoints", ["a", "a"]), "expected 6: x, y and v of different names"),
    ],
)
def test_what_does_not_fit_together_is_named(value, message, tmp_path):
    with pytest.raises(DataError, match=f"labels.json: ?.*{message}"):
        read_coco(written(tmp_path, value))


@pytest.fixture
def samples(tmp_path):
    return ThreeDPW(write_threedpw(tmp_path, people=2), "test", ("head", "left_foot"))


@pytest.mark.parametrize(("write", "suffix"), [(write_coco, "json"), (write_table, "csv")])
def test_what_is_written_comes_back(samples, write, suffix, tmp_path):
    """Predictions two pixels off, one of them missing, through the loader of folders."""
    points = [{name: (x + 2, y) for name, (x, y) in sample.joints.items()} for sample in samples]
    points[3]["head"] = (math.nan, 1.0)
    path = write(tmp_path / f"found.{suffix}", samples, points, tmp_path / "imageFiles")
    back = ImageFolder(tmp_path / "imageFiles", path)
    assert len(back) == len(samples) and back.joints == ("head", "left_foot")
    by_name = {(sample.image_path, sample.person): sample for sample in back}
    for sample, own in zip(samples, points, strict=True):
        same = by_name[sample.image_path, sample.person]
        assert same.box == pytest.approx(sample.box) and same.frame_size == sample.frame_size
        assert same.joints["left_foot"] == own["left_foot"]
        assert same.visible["head"] == (own is not points[3] and 0 <= own["head"][0] < 64)


def test_pycocotools_reads_it_as_labels_and_as_results(samples, tmp_path, capsys):
    scores = [{"head": number / 100, "left_foot": number / 50} for number in range(len(samples))]
    points = [sample.joints for sample in samples]
    path = write_coco(tmp_path / "found.json", samples, points, tmp_path, scores)
    truth = COCO(str(path))
    results = truth.loadRes(copy.deepcopy(truth.dataset["annotations"]))  # it changes what it is given
    assert len(truth.imgs) == 6 and len(results.anns) == len(samples) == 12
    for annotation, sample, score in zip(truth.anns.values(), samples, scores, strict=True):
        assert truth.imgs[annotation["image_id"]]["file_name"] == str(sample.image_path.relative_to(tmp_path))
        assert annotation["keypoints"][:2] == pytest.approx(sample.joints["head"])
        x0, y0, x1, y1 = sample.box
        assert annotation["area"] == pytest.approx(0.53 * (x1 - x0) * (y1 - y0))
        assert annotation["score"] == pytest.approx(0.75 * score["left_foot"])
        assert annotation["keypoint_scores"] == list(score.values()) and annotation["num_keypoints"] == 2


def test_images_outside_the_folder_cannot_be_named(samples, tmp_path):
    with pytest.raises(DataError, match="image_00000.jpg: is not within .*masks"):
        write_coco(tmp_path / "found.json", samples, [s.joints for s in samples], tmp_path / "masks")
    assert not (tmp_path / "found.json").exists()
