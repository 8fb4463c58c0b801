"""The labeler: the file it writes, read by others; what is undone, refused and told; clicks on its page."""

import json
import math
import os

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO

from kp_helpers.data import DataError, ImageFolder
from kp_helpers.widgets import KeypointLabeler, LabelSession
from kp_helpers.widgets.label_session import Mark
from kp_helpers.widgets.labeler import side_of

JOINTS = ("head", "left_foot", "right_foot")
MARKUP = "<img src=x onerror=alert(1)> $a$.png"


@pytest.fixture
def folder(tmp_path):
    """Three pictures of 40 x 30 pixels, of which one is turned by its EXIF tag, and one that is none."""
    pictures = tmp_path / "pictures"
    (pictures / "more").mkdir(parents=True)
    grey = Image.fromarray(np.full((30, 40, 3), 128, np.uint8))
    grey.save(pictures / "a.png")
    grey.save(pictures / "more" / "b.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    grey.save(pictures / "turned.jpg", exif=turned)
    (pictures / "broken.jpg").write_text("<html>")
    return pictures


@pytest.fixture
def session(folder, tmp_path):
    return LabelSession(folder, JOINTS, tmp_path / "labels.json")


def label_all(session, at=((1.5, 2.0), (3.0, 20.0), (10.0, 20.0))):
    for x, y in at:
        session.place(x, y)


def test_the_file_is_what_pycocotools_and_the_loader_read(session, folder, tmp_path):
    session.place(1.5, 2.0)
    session.state = "hidden"
    session.place(3.0, 20.0)
    session.set_absent()
    coco = COCO(session.path)
    (own,) = coco.loadAnns(coco.getAnnIds(imgIds=[1], catIds=coco.getCatIds(catNms=["person"])))
    assert own["keypoints"] == [1.5, 2.0, 2, 3.0, 20.0, 1, 0, 0, 0] and own["num_keypoints"] == 2
    assert coco.loadCats(own["category_id"])[0]["keypoints"] == list(JOINTS)
    shape = {"width": 40, "height": 30, "upright": True}
    assert coco.loadImgs(1)[0] == {"id": 1, "file_name": "a.png"} | shape
    assert own["bbox"] == [1.5, 2.0, 1.5, 18.0] and own["area"] == pytest.approx(0.53 * 1.5 * 18)
    session.move(1)
    label_all(session)
    first, second = session.samples()
    assert first.joints["head"] == (1.5, 2.0) and first.joints["left_foot"] == (3.0, 20.0)
    assert not first.visible["right_foot"] and first.image_path == folder / "a.png"
    assert second.joints["right_foot"] == (10.0, 20.0)


def test_a_turned_picture_is_labelled_upright(session):
    session.move(1)
    session.move(1)
    assert session.picture == "turned.jpg" and session.size == (30, 40)
    label_all(session, [(5.0, 35.0)] * 3)
    (sample,) = session.samples()
    assert sample.joints["head"] == (5.0, 35.0)
    assert sample.frame_size == (30, 40) and sample.image().shape == (3, 40, 30)
    (again,) = ImageFolder(session.folder, session.path)
    assert again.frame_size == (30, 40), "the file itself says so"


def test_the_next_undecided_joint_is_at_hand_also_when_it_is_opened_again(session):
    session.joint, session.state = "left_foot", "hidden"
    session.place(1, 1)
    assert (session.joint, session.state) == ("right_foot", "visible"), "hidden holds for one"
    session.place(2, 2)
    assert session.joint == "head"
    again = LabelSession(session.folder, JOINTS, session.path)
    assert (again.picture, again.joint) == ("a.png", "head") and again.marks()["left_foot"].state == "hidden"
    session.place(3, 3)
    with pytest.raises(DataError, match="a.png: all joints are decided; choose the one that is to be moved"):
        session.place(4, 4)
    assert session.is_done("a.png") and session.marks()["head"].point == (3, 3)
    session.joint = "head"
    session.place(4, 4)
    assert session.joint is None and session.marks()["head"].point == (4, 4)
    assert LabelSession(session.folder, JOINTS, session.path).picture == "more/b.png"


def test_undo_goes_back_through_pictures_to_the_empty_file(session):
    label_all(session)
    session.joint = "head"
    session.place(9, 9)
    session.move(1)
    session.set_absent()
    for _ in range(2):
        session.undo()
    assert session.picture == "a.png" and session.marks()["head"].point == (1.5, 2.0)
    for _ in range(3):
        session.undo()
    assert not session.marks() and not any(
        json.loads(session.path.read_text())["annotations"][0]["keypoints"]
    )
    with pytest.raises(DataError, match="nothing was decided here yet"):
        session.undo()


@pytest.mark.parametrize("x, y, told", [(math.nan, 1, "x is nan"), (-1, 1, "x is -1"), (1, 30, "y is 30")])
def test_a_typed_position_outside_the_picture_is_refused(session, x, y, told):
    with pytest.raises(DataError, match=f"{told}, expected 0 to below"):
        session.place(x, y)
    assert not session.path.exists() and not session.marks()


def test_pictures_of_a_kind_that_is_not_read_are_told(folder, tmp_path):
    (folder / "c.HEIC").touch()
    told = LabelSession(folder, JOINTS, tmp_path / "labels.json").skipped
    assert told[-1] == "1 pictures as .heic, which is not read"


def test_an_unreadable_picture_is_named_and_skipped(session, folder):
    assert session.pictures == ["a.png", "more/b.png", "turned.jpg"]
    assert len(session.skipped) == 1 and "broken.jpg: 6 bytes that are no image" in session.skipped[0]
    damaged = (folder / "more" / "b.png").read_bytes()
    (folder / "more" / "b.png").write_bytes(damaged[:45] + b"\0\0\0" + damaged[48:])
    session.move(1)
    assert session.picture == "turned.jpg" and "b.png: damaged" in session.skipped[1]
    (folder / "a.png").unlink()
    session.move(-1)
    assert session.picture == "turned.jpg" and session.pictures == ["turned.jpg"]


@pytest.mark.parametrize("joints", [(), ("a", "a"), ("",), (1,)])
def test_what_cannot_be_labelled_says_why(folder, tmp_path, joints):
    with pytest.raises(DataError, match="expected a list of different names"):
        LabelSession(folder, joints, tmp_path / "labels.json")
    with pytest.raises(DataError, match="none: no such folder of images"):
        LabelSession(folder / "none", JOINTS, tmp_path / "labels.json")
    for name in ("a.png", "more/b.png", "turned.jpg"):
        (folder / name).unlink()
    with pytest.raises(DataError, match="no picture can be read:\n.*broken.jpg: 6 bytes that are no image"):
        LabelSession(folder, JOINTS, tmp_path / "labels.json")


def test_the_second_of_two_holders_is_told_and_loses_nothing(session):
    other = LabelSession(session.folder, JOINTS, session.path)
    session.place(1, 1)
    before = session.path.read_bytes()
    with pytest.raises(DataError, match="was changed by someone else.* nothing was written; reload"):
        other.place(2, 2)
    assert session.path.read_bytes() == before and not other.marks()
    other.reload()
    assert other.marks() == {"head": Mark("visible", (1, 1))} and other.joint == "left_foot"
    other.place(2, 2)
    session.path.unlink()
    with pytest.raises(DataError):
        other.place(3, 3)


def test_what_else_the_file_holds_stays(folder, tmp_path):
    """Another person, a box of another program, keys and joints that the labeler does not know."""
    mine = {"id": 7, "image_id": 3, "category_id": 2, "keypoints": [5, 6, 1], "bbox": [0, 0, 9, 9], "x": 1}
    other = {**mine, "id": 8, "keypoints": [1, 1, 2]}
    ball = {"id": 9, "image_id": 3, "category_id": 1, "bbox": [1, 1, 2, 2]}
    content = {
        "info": {"year": 2026},
        "images": [{"id": 3, "file_name": "more\\b.png", "licence": 4}, {"id": 5, "file_name": "c.jpg"}],
        "categories": [{"id": 1, "name": "ball"}, {"id": 2, "name": "dog", "keypoints": ["tail"]}],
        "annotations": [mine, other, ball],
    }
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(content))
    session = LabelSession(folder, ("tail", "nose"), path)
    assert session.marks("more/b.png") == {"tail": Mark("hidden", (5, 6))} and session.picture == "a.png"
    session.set_absent()
    session.move(1)
    session.place(7, 8)
    written = json.loads(path.read_text())
    assert written["info"] == content["info"] and written["images"][:2] == content["images"]
    assert written["images"][2]["id"] == 6
    first, second, third, _ = written["annotations"]
    assert first["keypoints"] == [5, 6, 1, 7, 8, 2] and second["keypoints"] == [1, 1, 2, 0, 0, 0]
    assert first["bbox"] == [0, 0, 9, 9] and first["x"] == 1 and third == ball


def test_a_file_that_is_no_coco_is_refused_and_kept(folder, tmp_path):
    path = tmp_path / "labels.json"
    content = {"images": [{"id": 1, "file_name": "a.png"}], "categories": [{"id": 1, "keypoints": ["head"]}]}
    absent = {"id": 1, "image_id": 1, "category_id": 1, "keypoints": [0, 0, 0], "absent": 3}
    for text, told in [
        ("{", "is no JSON"),
        ("[]", r"it is \[\]: Input should be a valid dictionary"),
        (json.dumps({**content, "annotations": [absent]}), r"annotations\[0\]: absent is no list"),
    ]:
        path.write_text(text)
        with pytest.raises(DataError, match=told):
            LabelSession(folder, JOINTS, path)
        assert path.read_text() == text
    with pytest.raises(DataError, match="labels.csv: ends in '.csv', expected .json"):
        LabelSession(folder, JOINTS, tmp_path / "labels.csv")


def test_a_file_that_cannot_be_written_leaves_all_as_it_was(session, monkeypatch):
    session.place(1, 1)
    before = session.path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DataError, match=r"labels.json: cannot be written \(No space left on device\)"):
        session.place(2, 2)
    monkeypatch.undo()
    assert session.path.read_bytes() == before and list(session.marks()) == ["head"]
    assert [path.name for path in session.path.parent.iterdir() if path.is_file()] == ["labels.json"]
    session.place(2, 2)


def test_samples_need_every_joint_once(session):
    with pytest.raises(DataError, match="labels.json: holds no position of head, left_foot, right_foot yet"):
        session.samples()
    label_all(session, [(1, 1), (2, 2)])
    session.set_absent()
    with pytest.raises(DataError, match="holds no position of right_foot yet; label some pictures first"):
        session.samples()


# The controls, as a page would use them


@pytest.fixture
def labeler(folder, tmp_path):
    (folder / "a.png").rename(folder / MARKUP)
    shown = KeypointLabeler(folder, JOINTS, tmp_path / "labels.json")
    shown.canvas.draw()
    return shown


def press(labeler, x, y, **more):
    """The message that ipympl's page sends for a click at (x, y) of the picture."""
    across, up = labeler.canvas.figure.axes[0].transData.transform((x, y))
    down = labeler.canvas.figure.bbox.height - up
    message = {"type": "button_press", "x": across, "y": down, "button": 0, "buttons": 1, "modifiers": []}
    labeler.canvas._handle_message(labeler.canvas, {**message, "guiEvent": {}, **more}, [])


def key(labeler, name):
    message = {"type": "key_press", "key": f"k{name}", "guiEvent": {}}
    labeler.canvas._handle_message(labeler.canvas, message, [])


def test_clicks_and_keys_label_two_pictures(labeler):
    press(labeler, 10, 10)
    key(labeler, "h")
    press(labeler, 12, 20)
    key(labeler, "a")
    key(labeler, "n")
    press(labeler, 20, 5)
    press(labeler, 21, 6)
    key(labeler, "u")
    key(labeler, "3")
    found = json.loads(labeler.session.path.read_text())["annotations"]
    assert [np.round(own["keypoints"], 1).tolist() for own in found] == [
        [10, 10, 2, 12, 20, 1, 0, 0, 0],
        [20, 5, 2, 0, 0, 0, 0, 0, 0],
    ]
    assert labeler.session.joint == labeler.joint.value == "right_foot"
    assert "picture 2 of 3, 1 done" in labeler.about.value


def test_the_labeler_goes_to_a_picture_by_its_name(labeler):
    second = labeler.session.pictures[1]
    labeler.go(second)
    assert labeler.session.picture == second and second in labeler.about.value
    labeler.go("nowhere.png")
    assert labeler.session.picture == second
    assert "nowhere.png: is no picture of" in labeler.message.value


def test_a_double_click_labels_one_joint(labeler):
    for _ in range(2):
        press(labeler, 10, 10)
    press(labeler, 10, 10, type="dblclick")
    assert list(labeler.session.marks()) == ["head"]


def test_typed_positions_and_buttons_do_the_same(labeler):
    buttons = labeler.buttons
    labeler.joint.value = "left_foot"
    labeler.state.value = "hidden"
    labeler.x.value, labeler.y.value = 4.5, 6.5
    buttons["set x, y"].click()
    assert labeler.session.marks() == {"left_foot": Mark("hidden", (4.5, 6.5))}
    labeler.x.value = math.nan
    buttons["set x, y"].click()
    assert "x is nan, expected 0 to below 40" in labeler.message.value and labeler.x.value == 0
    buttons["absent"].click()
    buttons["undo"].click()
    buttons["undo"].click()
    assert not labeler.session.marks()
    buttons["next"].click()
    assert labeler.session.picture == "more/b.png"


def test_names_with_markup_are_text(labeler):
    assert "<img" not in labeler.about.value and "&lt;img src=x onerror=alert(1)&gt;" in labeler.about.value
    labeler.session.skipped.append("<script>")
    labeler._do(lambda: None)
    assert "<script>" not in labeler.message.value


def test_without_a_kernel_a_picture_is_shown(labeler):
    press(labeler, 10, 10)
    key(labeler, "n")
    press(labeler, 12, 12)
    (labeler.session.folder / "more" / "b.png").unlink()
    shown = labeler._repr_mimebundle_()
    assert shown["image/png"].startswith(b"\x89PNG") and "application/vnd.jupyter.widget-view+json" in shown
    figure = labeler.figure()
    titles = [axis.get_title(loc="left") for axis in figure.axes if axis.images]
    assert titles == [MARKUP[-28:]], "as it stands, without the picture that was lost"
    assert {text.get_text() for text in figure.legends[0].get_texts()} > {"1 head", "2 left_foot"}
    assert figure.get_suptitle() == "2 of 3 pictures labelled"
    other = plt.figure()
    assert not isinstance(other.canvas, type(labeler.canvas)) and "ipympl" not in matplotlib.get_backend()
    plt.close(other)


@pytest.mark.parametrize("joint, side", [("left_foot", "left"), ("R-Knee", "right"), ("head", "")])
def test_the_side_is_in_the_name(joint, side):
    assert side_of(joint) == side
