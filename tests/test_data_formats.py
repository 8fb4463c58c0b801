"""Labels of other tools: written by hand or by sleap-io, read, and written back."""

import builtins
import json
from dataclasses import replace
from xml.etree import ElementTree
from zipfile import ZipFile

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from kp_helpers.data import DataError, ImageFolder, formats
from kp_helpers.data.formats import sleap as sleap_files

NAMES = ("nose", "left_ear", "tail")
DEEPLABCUT = """scorer,me,me,me,me
bodyparts,nose,nose,tail,tail
coords,x,y,x,y
labeled-data/v/a.png,10.5,20,,
labeled-data/v/b.png,11.5,20,30,12.25
"""


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        Image.fromarray(rng.integers(0, 255, (40, 60, 3), dtype=np.uint8)).save(tmp_path / name)
    return tmp_path


@pytest.fixture
def sleap():
    return pytest.importorskip("sleap_io", reason="the extra `formats` (sleap-io) is not installed")


@pytest.fixture
def labelled(sleap, folder):
    """SLEAP's file from another machine: a person and a predicted one in a picture, a person in the other."""
    skeleton = sleap.Skeleton(list(NAMES), edges=[("nose", "tail")])
    video = sleap.Video.from_filename(["C:\\data\\a.png", "C:\\data\\b.png"])
    places = np.array([[10.5, 20], [np.nan, np.nan], [30, 12.25]])
    person = sleap.Instance.from_numpy(places, skeleton=skeleton)
    other = sleap.Instance.from_numpy(places + 1, skeleton=skeleton)
    guess = sleap.PredictedInstance.from_numpy(places, skeleton=skeleton, point_scores=np.ones(3), score=1.0)
    frames = [sleap.LabeledFrame(video=video, frame_idx=0, instances=[person, guess])]
    frames.append(sleap.LabeledFrame(video=video, frame_idx=1, instances=[other]))
    sleap.save_file(sleap.Labels(frames), str(folder / "labels.slp"), embed=False)
    return folder / "labels.slp"


def test_sleaps_labels_are_a_labelled_folder(labelled, folder):
    samples = ImageFolder(folder, labelled)
    assert [sample.image_path.name for sample in samples] == ["a.png", "b.png"]
    assert samples.joints == NAMES and samples.left_out[sleap_files.PREDICTED] == 1
    assert samples[0].joints["nose"] == (10.5, 20) and samples[1].joints["tail"] == (31, 13.25)
    assert samples[0].visible == {"nose": True, "left_ear": False, "tail": True}
    taken = formats.SLEAP.taken(labelled, folder)
    assert taken.limbs == [("nose", "tail")] and taken.addresses["a.png"] == "C:/data/a.png"


def test_what_is_written_for_sleap_comes_back_with_scores_and_skeleton(sleap, labelled, folder):
    samples, scores = ImageFolder(folder, labelled), [{"nose": 0.5, "tail": 0.25}, {"nose": 1.0, "tail": 0.0}]
    points = [{name: sample.joints[name] for name in ("nose", "tail")} for sample in samples]
    path = formats.write_labels(folder / "out.slp", samples, points, folder, scores, labelled)
    again = sleap.load_file(str(path))
    people = [frame.predicted_instances[0] for frame in again]
    assert [one.numpy().tolist() for one in people] == [[[10.5, 20], [30, 12.25]], [[11.5, 21], [31, 13.25]]]
    assert [person["score"].tolist() for person in (one.points for one in people)] == [[0.5, 0.25], [1, 0]]
    assert people[0].score == pytest.approx(0.375) and again.skeletons[0].edge_names == [("nose", "tail")]
    back = ImageFolder(folder, path)
    assert [sample.joints for sample in back] == points


def test_deeplabcuts_table_is_read_and_written(sleap, folder):
    (folder / "CollectedData_me.csv").write_text(DEEPLABCUT)
    samples = ImageFolder(folder, folder / "CollectedData_me.csv")
    assert samples.joints == ("nose", "tail") and samples[1].joints["tail"] == (30, 12.25)
    assert samples[0].visible == {"nose": True, "tail": False}
    points, scores = [sample.joints for sample in samples], [{"nose": 0.5, "tail": 0.25}] * 2
    for sure in (None, scores):
        path = formats.write_labels(folder / "out.csv", samples, points, folder, sure, "DeepLabCut")
        back = ImageFolder(folder, path)
        assert back[1].joints == samples[1].joints and back[0].joints["nose"] == (10.5, 20)
        assert ("likelihood" in path.read_text()) == (sure is not None)


def test_what_sleap_io_cannot_read_is_named(sleap, labelled, folder, monkeypatch):
    (folder / "cut.slp").write_bytes(labelled.read_bytes()[:100])
    with pytest.raises(DataError, match="cut.slp: sleap-io cannot read it"):
        ImageFolder(folder, folder / "cut.slp")
    (folder / "b.png").unlink()
    with pytest.raises(DataError, match=r"labels .*b.png, which is not within"):
        ImageFolder(folder, labelled)


def test_without_the_extra_it_says_how_to_install(folder, monkeypatch):
    real = builtins.__import__

    def missing(name, *rest):
        if name == "sleap_io":
            raise ImportError("No module named 'sleap_io'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(DataError, match=r"want sleap-io .*: python -m pip install 'keypoint-kit\[formats\]'"):
        ImageFolder(folder, folder / "labels.slp")


LABEL_STUDIO = [
    {
        "id": 7,
        "data": {"image": "/data/upload/1/1a2b3c4d-a.png"},
        "annotations": [
            {"was_cancelled": True, "result": []},
            {
                "result": [
                    {"type": "choices", "value": {"choices": ["dog"]}},
                    {
                        "id": "box",
                        "type": "rectanglelabels",
                        "original_width": 60,
                        "original_height": 40,
                        "value": {"x": 10, "y": 10, "width": 50, "height": 50, "rectanglelabels": ["dog"]},
                    },
                    {
                        "id": "1",
                        "parentID": "box",
                        "type": "keypointlabels",
                        "original_width": 60,
                        "original_height": 40,
                        "value": {"x": 17.5, "y": 50, "width": 0.3, "keypointlabels": ["nose"]},
                    },
                    {
                        "id": "2",
                        "type": "keypointlabels",
                        "original_width": 60,
                        "original_height": 40,
                        "value": {"x": 50, "y": 25, "width": 0.3, "keypointlabels": ["nose"]},
                    },
                ]
            },
        ],
    },
    {"id": 8, "data": {"image": "/data/local-files/?d=sub/b%2Epng"}, "annotations": []},
]
YOLO = """train: images
names: {0: dog}
kpt_shape: [2, 3]
kpt_names:
  0: [nose, tail]
skeleton: [[0, 1]]
"""
CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version><meta><task><labels><label><name>dog</name><type>skeleton</type>
<svg>&lt;line data-type="edge" data-node-from="1" data-node-to="2"&gt;&lt;/line&gt;
&lt;circle data-node-id="1" data-label-name="nose"/&gt;&lt;circle data-node-id="2" data-label-name="tail"/&gt;
</svg></label></labels></task></meta>
<image id="0" name="a.png" width="60" height="40">
  <skeleton label="dog" source="manual"><points label="tail" outside="1" occluded="0" points="0,0"/>
  <points label="nose" outside="0" occluded="1" points="10.50,20.00"/></skeleton>
  <points label="nose" occluded="0" points="30,10" group_id="0"/>
</image><image id="1" name="sub/b.png" width="60" height="40"/></annotations>
"""
SCORES = [{"nose": 0.5}, {"nose": 0.25}]


@pytest.fixture
def sets(folder):
    """The two dogs of the first picture in the files of three tools."""
    (folder / "sub").mkdir()
    (folder / "b.png").rename(folder / "sub" / "b.png")
    (folder / "studio.json").write_text(json.dumps(LABEL_STUDIO))
    (folder / "annotations.xml").write_text(CVAT)
    (folder / "data.yaml").write_text(YOLO)
    (folder / "labels").mkdir()
    line = "0 0.35 0.35 0.5 0.5 0.175 0.5 2 0 0 0\n0 0.5 0.5 1 1 0.5 0.25 1 0 0 0\n"
    (folder / "labels" / "a.txt").write_text(line)
    return folder


@pytest.mark.parametrize("name", ["studio.json", "annotations.xml", "data.yaml"])
def test_two_people_are_read_and_written_back(name, sets):
    samples = ImageFolder(sets, sets / name)
    assert [sample.image_path.name for sample in samples] == ["a.png", "a.png"]
    assert [sample.joints["nose"] for sample in samples] == [(10.5, 20), (30, 10)]
    if name != "annotations.xml":
        assert samples[0].box == (6, 4, 36, 24)
    points = [{"nose": sample.joints["nose"], "tail": (1.0, 2.0)} for sample in samples]
    kind = formats.format_of(sets / name)
    out = sets / f"out{kind.suffix}"
    formats.write_labels(out, samples, points, sets, SCORES, sets / name)
    back = ImageFolder(sets, out)
    assert formats.format_of(out) is kind and samples.left_out.get("tasks without an annotation", 1) == 1
    found = [sample.joints[name] for sample in back for name in ("nose", "tail")]
    assert np.allclose(found, [[10.5, 20], [1, 2], [30, 10], [1, 2]], atol=1e-4)
    taken = kind.taken(out, sets)
    assert taken.addresses["a.png"] == kind.taken(sets / name, sets).addresses["a.png"]
    assert list(taken.limbs) == ([] if name == "studio.json" else [("nose", "tail")])


def test_what_sleap_io_writes_for_yolo_is_read_and_what_is_written_is_read_by_it(sleap, labelled, folder):
    content = sleap.load_file(str(labelled), open_videos=False)
    content.videos[0].replace_filename([str(folder / "a.png"), str(folder / "b.png")])
    sleap.save_ultralytics(content, str(folder / "set"), split_ratios={"train": 1.0}, verbose=False)
    samples = ImageFolder(folder / "set", folder / "set" / "data.yaml")
    found, tails = [sample.joints["tail"] for sample in samples], [(30, 12.25)] * 2 + [(31, 13.25)]
    assert np.allclose(sorted(found), tails, atol=1e-3), "labelled by hand, predicted, and labelled"
    assert samples.joints == NAMES
    points = [sample.joints for sample in samples]
    out = formats.write_labels(
        folder / "o.zip", samples, points, folder / "set", None, folder / "set/data.yaml"
    )
    with ZipFile(out) as archive:
        archive.extractall(folder / "set")
    again = sleap.load_ultralytics(str(folder / "set"), split="train")
    people = sorted(own.numpy().tolist()[2] for frame in again for own in frame.instances)
    assert np.allclose(people, tails, atol=1e-3)


def test_scores_stand_where_a_format_has_a_place_for_them(sets):
    samples = ImageFolder(sets, sets / "studio.json")
    points = [sample.joints for sample in samples]
    out = formats.write_labels(sets / "out.json", samples, points, sets, SCORES, "Label Studio")
    (answer,) = json.loads(out.read_text())[0]["predictions"]
    assert [one["score"] for one in answer["result"] if one["type"] == "keypointlabels"] == [0.5, 0.25]
    out = formats.write_labels(sets / "out.zip", samples, points, sets, SCORES, "CVAT")
    attributes = ElementTree.fromstring(ZipFile(out).read("annotations.xml")).iter("attribute")
    assert [float(one.text) for one in attributes] == [0.5, 0.25]
    out = formats.write_labels(sets / "out.csv", samples, points, sets, SCORES)
    assert pd.read_csv(out)["score"].tolist() == [0.5, 0.25] and len(ImageFolder(sets, out)) == 2
    coco = formats.write_labels(sets / "coco.json", samples, points, sets, SCORES)
    assert json.loads(coco.read_text())["annotations"][0]["keypoint_scores"] == [0.5]


def test_a_skeleton_goes_from_one_tool_to_another(sets):
    """From CVAT's drawing by way of COCO's pairs, which count from 1, to YOLO's, which count from 0."""
    taken = formats.CVAT.taken(sets / "annotations.xml", sets)
    people = formats.CVAT.read(sets / "annotations.xml", sets)[1]
    people = [
        replace(one, points={"nose": (1.0, 2.0), "tail": (3.0, 4.0)}, box=(0, 0, 9, 9)) for one in people
    ]
    coco = formats.COCO.write(sets / "coco.json", people, taken)
    assert json.loads(coco.read_text())["categories"][0]["skeleton"] == [[1, 2]]
    zipped = formats.YOLO.write(sets / "out.zip", people, formats.COCO.taken(coco, sets))
    settings = yaml.safe_load(ZipFile(zipped).read("data.yaml"))
    assert settings["skeleton"] == [[0, 1]] and settings["kpt_names"] == {0: ["nose", "tail"]}


WRONG = {
    "no task": ("studio.json", '"data"', '"date"', r"studio.json: has no \[0\].data, expected it"),
    "turned": (
        "studio.json",
        '"parentID"',
        '"image_rotation": 90, "x"',
        "has no label or is turned",
    ),
    "twice": ("studio.json", '"parentID"', '"x"', "'nose' twice for one person of a.png"),
    "gone": (
        "studio.json",
        "d-a.png",
        "d-c.png",
        "labels /data/upload/1/c.png, which is not",
    ),
    "bomb": (
        "annotations.xml",
        "<annotations>",
        "<!DOCTYPE a><annotations>",
        "declares a DOCTYPE",
    ),
    "no xml": ("annotations.xml", "<version>", "<version", "annotations.xml: is no XML"),
    "video": ("annotations.xml", "<version>", "<track/><version>", "holds tracks of a video"),
    "many": (
        "annotations.xml",
        "10.50,20.00",
        "1,2;3,4",
        "points of 'nose' is '1,2;3,4', expected one x,y",
    ),
    "people": (
        "annotations.xml",
        '"tail"',
        '"nose"',
        "a.png: 'nose' twice for one person; skeletons",
    ),
    "no yaml": ("data.yaml", "kpt_shape: [2, 3]", "kpt_shape: [2, 3", "data.yaml: data.yaml is no YAML"),
    "no pose": (
        "data.yaml",
        "kpt_shape: [2, 3]",
        "nc: 1",
        "has no kpt_shape, expected it; expected",
    ),
    "count": (
        "data.yaml",
        "[2, 3]",
        "[3, 3]",
        "line 1: has 11 numbers, expected 14: class, box",
    ),
    "score": (
        "labels/a.txt",
        "0.5 2 0",
        "0.5 0.98 0",
        "number of 'nose' is 0.98, which looks like",
    ),
    "text": (
        "labels/a.txt",
        "0.175",
        "nose",
        "line 1: could not convert string to float: 'nose'",
    ),
}


@pytest.mark.parametrize(("name", "old", "new", "sentence"), WRONG.values(), ids=WRONG)
def test_a_wrong_file_of_a_tool_is_one_sentence(name, old, new, sentence, sets):
    text = (sets / name).read_text()
    assert old in text
    (sets / name).write_text(text.replace(old, new))
    with pytest.raises(DataError, match=sentence) as caught:
        ImageFolder(sets, sets / (name if name != "labels/a.txt" else "data.yaml"))
    assert "\n" not in str(caught.value)


def test_what_format_a_file_is_in_is_told_or_asked(sets):
    with ZipFile(sets / "other.zip", "w") as archive:
        archive.writestr("a.txt", "")
    (sets / "no.zip").write_text("PK")
    for name, sentence in (
        ("other.zip", "holds neither annotations.xml .CVAT. nor data.yaml"),
        ("no.zip", "is no zip archive"),
        ("labels.txt", "labels of this kind are unknown, expected .json"),
    ):
        with pytest.raises(DataError, match=f"{name}: {sentence}"):
            ImageFolder(sets, sets / name)
    with pytest.raises(DataError, match="out.zip: ends in '.zip', expected .csv, .json .COCO. or .slp"):
        formats.format_for(sets / "out.zip")
    with pytest.raises(
        DataError, match="out.json: ends in '.json', expected .zip for CVAT, the format of CVAT"
    ):
        formats.format_for(sets / "out.json", "CVAT")
    with pytest.raises(DataError, match="no such file, and format 'CVATT' is unknown, did you mean 'CVAT'"):
        formats.format_for(sets / "out.json", "CVATT")
