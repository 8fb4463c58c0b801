"""A folder of one's own pictures, with and without labels."""

import json

import pytest
from PIL import Image

from kp_helpers.data import DataError, ImageFolder, draw, write_coco, write_table


@pytest.fixture
def folder(tmp_path):
    """Three images of different sizes, one of them in a folder below."""
    root = tmp_path / "pictures"
    (root / "more").mkdir(parents=True)
    for number, name in enumerate(("b.jpg", "a.png", "more/c.JPG")):
        Image.new("RGB", (40 + number, 30), (51 * number, 0, 0)).save(root / name, quality=95)
    (root / "notes.txt").write_text("")
    (root / "._b.jpg").write_bytes(b"")
    return root


def labelled(folder, rows: str, header: str = "image,keypoint,x,y"):
    path = folder.parent / "labels.csv"
    path.write_text(f"{header}\n{rows}")
    return path


def turned(path) -> None:
    tag = Image.Exif()
    tag[0x0112] = 6
    Image.new("RGB", (40, 30)).save(path, exif=tag)


def test_without_labels_every_image_is_a_sample(folder):
    data = ImageFolder(folder)
    assert [sample.name for sample in data] == ["a.png/0", "b.jpg/0", "more/c.JPG/0"]
    assert [sample.frame_size for sample in data] == [(41, 30), (40, 30), (42, 30)]
    sample = data[2]
    assert sample.joints == sample.visible == sample.skeleton == {} and sample.box == (0, 0, 42, 30)
    assert sample.image().shape == (3, 30, 42) and sample.image()[0, 0, 0] == pytest.approx(0.4, abs=0.01)
    assert data.blank == 0 and "3 samples" in data.summary()


def test_row_17_a_rotation_is_applied_without_labels_and_refused_with_them(folder):
    turned(folder / "b.jpg")
    sample = ImageFolder(folder)[1]
    assert sample.frame_size == (30, 40) and sample.image().shape == (3, 40, 30)
    labels = labelled(folder, "b.jpg,head,5,35")
    with pytest.raises(DataError, match="b.jpg: is rotated by its EXIF tag"):
        ImageFolder(folder, labels)
    (told,) = ImageFolder(folder, labels, upright=True)
    assert told.frame_size == (30, 40) and told.visible["head"] and told.image().shape == (3, 40, 30)


def test_labels_become_joints_boxes_and_visibility(folder):
    header = "image,keypoint,x,y,visible"
    rows = "b.jpg,head,10,5,1\nb.jpg,foot,20,29,0\nb.jpg,hand,45,3,1\na.png,head,,,1\na.png,foot,7,8,1\n"
    data = ImageFolder(folder, labelled(folder, rows, header))
    assert len(data) == 2 and data.joints == ("head", "foot", "hand")
    first, second = data
    assert first.visible == {"head": True, "foot": False, "hand": False}
    assert first.joints["hand"] == (45, 3), "masked, never moved"
    assert first.box == (10, 3, 45, 29), "the extent of the labelled points"
    assert second.box == (0, 0, 41, 30), "one point has no extent"
    assert second.visible == {"head": False, "foot": True, "hand": False}
    assert data.masked == {"marked as hidden": 1, "outside the frame": 1, "not known": 2}


def test_joints_can_be_chosen_and_a_draw_takes_each_image_once(folder):
    header = "image,person,keypoint,x,y"
    rows = "b.jpg,0,head,1,2\nb.jpg,1,head,3,4\na.png,0,head,5,6\n"
    data = ImageFolder(folder, labelled(folder, rows, header), joints=["head"])
    assert {data[index].image_path.name for index in draw(data, 2, 0, visible=["head"])} == {"a.png", "b.jpg"}
    with pytest.raises(DataError, match="joint 'heat' is unknown, did you mean 'head'"):
        ImageFolder(folder, labelled(folder, rows, header), joints=["heat"])


def test_row_21_a_person_without_a_visible_joint_is_reported(folder):
    data = ImageFolder(folder, labelled(folder, "b.jpg,head,,\na.png,head,50,50\nmore/c.JPG,head,1,2\n"))
    assert len(data) == 3 and data.blank == 2


def test_row_13_14_and_15_all_problems_with_images_are_listed_at_once(folder):
    (folder / "b.jpg").write_bytes((folder / "b.jpg").read_bytes()[:-20])
    (folder / "a.png").write_bytes(b"<html>")
    labels = labelled(folder, "a.png,head,1,2\nb.jpg,head,1,2\nnone.jpg,head,1,2\nmore/c.JPG,head,1,2\n")
    with pytest.raises(DataError, match="3 problems with the images") as caught:
        ImageFolder(folder, labels)
    assert all(name in str(caught.value) for name in ("a.png", "b.jpg", "none.jpg: no such image"))
    with pytest.raises(DataError, match="1 problems with the images"):
        ImageFolder(folder, labels, skip_damaged=True)
    (folder / "none.jpg").write_bytes((folder / "more" / "c.JPG").read_bytes())
    data = ImageFolder(folder, labels, skip_damaged=True)
    assert len(data) == 2 and data.left_out["with a damaged image"] == 2


def test_labels_for_an_image_of_another_size_are_refused(folder):
    path = folder.parent / "labels.json"
    content = {
        "images": [{"id": 1, "file_name": "b.jpg", "width": 80, "height": 60}],
        "categories": [{"id": 1, "keypoints": ["head"]}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "keypoints": [1, 2, 2]}],
    }
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"b.jpg: is \(40, 30\), expected \(80, 60\) as its labels say"):
        ImageFolder(folder, path)


def test_empty_and_wrong_folders_and_labels_are_named(folder, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty: holds no images"):
        ImageFolder(tmp_path / "empty")
    with pytest.raises(DataError, match="none: no such folder of images"):
        ImageFolder(tmp_path / "none")
    with pytest.raises(DataError, match="labels.txt: labels of this kind are unknown, expected .json"):
        ImageFolder(folder, folder / "labels.txt")
    with pytest.raises(DataError, match="labels.csv: holds no labelled keypoints"):
        ImageFolder(folder, labelled(folder, ""))


@pytest.mark.parametrize(("write", "suffix"), [(write_coco, "json"), (write_table, "csv")])
def test_row_89_what_is_written_of_turned_pictures_is_read_back(folder, write, suffix):
    turned(folder / "b.jpg")
    samples = ImageFolder(folder)
    points = [{"head": (5.0, sample.frame_size[1] - 1.0)} for sample in samples]
    back = ImageFolder(folder, write(folder / f"found.{suffix}", samples, points, folder))
    assert [sample.frame_size for sample in back] == [(41, 30), (30, 40), (42, 30)]
    assert [sample.joints["head"][1] for sample in back] == [29, 39, 29]
    assert back[1].image().shape == (3, 40, 30) and back.masked == {}


def test_pictures_of_a_kind_that_is_not_read_are_counted_and_named(folder):
    for name in ("x.HEIC", "more/y.heic", "z.dng", ".w.heic"):
        (folder / name).write_bytes(b"")
    data = ImageFolder(folder)
    assert len(data) == 3 and data.left_out["pictures as .heic, which is not read"] == 2
    assert data.left_out["pictures as .dng, which is not read"] == 1
    assert "2 pictures as .heic, which is not read" in data.summary()


@pytest.mark.parametrize(("mark", "name"), [(";", "semicolons"), ("\t", "tabs")])
def test_a_table_with_another_separator_says_so(folder, mark, name):
    with pytest.raises(DataError, match=f"its columns are separated by {name}, expected commas"):
        ImageFolder(
            folder, labelled(folder, f"b.jpg{mark}head", header=mark.join(("image", "keypoint", "x")))
        )
