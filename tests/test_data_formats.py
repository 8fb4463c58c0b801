"""SLEAP's and DeepLabCut's labels: written by sleap-io or by hand, read, and written back."""

import builtins

import numpy as np
import pytest
from PIL import Image

from kp_helpers.data import DataError, ImageFolder, formats

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
    assert samples.joints == NAMES and samples.left_out[formats.PREDICTED] == 1
    assert samples[0].joints["nose"] == (10.5, 20) and samples[1].joints["tail"] == (31, 13.25)
    assert samples[0].visible == {"nose": True, "left_ear": False, "tail": True}
    assert formats.edges_of(labelled) == [("nose", "tail")]


def test_what_is_written_for_sleap_comes_back_with_scores_and_skeleton(sleap, labelled, folder):
    samples, scores = ImageFolder(folder, labelled), [{"nose": 0.5, "tail": 0.25}, {"nose": 1.0, "tail": 0.0}]
    points = [{name: sample.joints[name] for name in ("nose", "tail")} for sample in samples]
    path = formats.write_slp(folder / "out.slp", samples, points, folder, scores, formats.edges_of(labelled))
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
        path = formats.write_deeplabcut(folder / "out.csv", samples, points, folder, sure)
        back = ImageFolder(folder, path)
        assert back[1].joints == samples[1].joints and back[0].joints["nose"] == (10.5, 20)
        assert ("likelihood" in path.read_text()) == (sure is not None)


def test_what_cannot_be_read_is_named(sleap, labelled, folder, monkeypatch):
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
