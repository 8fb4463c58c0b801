"""The exported world read back: by plain pickle here, and by the kit's own loader of 3DPW."""

import hashlib
import json
import pickle

import numpy as np
import pytest
from PIL import Image

from kp_helpers import store
from kp_helpers.data import ThreeDPW
from kp_helpers.figures.__main__ import main
from kp_helpers.figures.export import LANDSCAPE, PORTRAIT, export

KEYS = (
    "sequence genders poses trans poses_60Hz trans_60Hz img_frame_ids betas betas_clothed v_template_clothed "
    "texture_maps poses2d jointPositions cam_poses cam_intrinsics campose_valid"
)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    export(folder, sequences=6, frames=3, seed=2)
    return folder


def records(world):
    for path in sorted(world.glob("sequenceFiles/*/*.pkl")):
        yield pickle.loads(path.read_bytes(), encoding="latin1")


def test_every_key_of_3dpw_has_its_shape(world):
    found = list(records(world))
    assert len(found) == 6
    for record in found:
        assert set(record) == set(KEYS.split())
        people = len(record["poses"])
        assert people in (1, 2) and len(record["genders"]) == people
        assert record["cam_poses"].shape == (3, 4, 4) and record["cam_intrinsics"].shape == (3, 3)
        for person in range(people):
            assert record["poses"][person].shape == record["jointPositions"][person].shape == (3, 72)
            assert record["poses_60Hz"][person].shape == (6, 72)
            assert record["poses2d"][person].shape == (3, 3, 18)
            np.testing.assert_array_equal(
                record["poses_60Hz"][person][record["img_frame_ids"]], record["poses"][person]
            )


def test_pickles_have_protocol_2(world):
    for path in world.glob("sequenceFiles/*/*.pkl"):
        assert path.read_bytes()[:2] == b"\x80\x02"


def test_splits_and_frame_sizes(world):
    counts = [
        len(list((world / "sequenceFiles" / split).glob("*.pkl")))
        for split in ("train", "validation", "test")
    ]
    assert counts == [2, 1, 3]
    sizes = {Image.open(path).size for path in world.glob("imageFiles/*/*.jpg")}
    assert sizes == {LANDSCAPE, PORTRAIT}


def test_the_loader_gives_back_the_renderers_joints(world):
    compared = 0
    for split in ("train", "validation", "test"):
        for sample in ThreeDPW(world, split):
            truth = json.loads((world / "truth" / f"{sample.sequence}.json").read_text())[sample.frame]
            joints = np.array(truth["joints"][sample.person])
            for joint, number in (("left_foot", 10), ("head", 15), ("left_elbow", 18)):
                np.testing.assert_allclose(sample.joints[joint], joints[number], atol=0.01)
                compared += 1
    assert compared > 40


def test_detections_lie_on_the_joints(world):
    for record in records(world):
        truth = json.loads((world / "truth" / f"{record['sequence']}.json").read_text())
        for person, detected in enumerate(record["poses2d"]):
            for frame in range(3):
                x, y, confidence = detected[frame]
                joints = np.array(truth[frame]["joints"][person])
                for column, joint in ((6, 18), (13, 7), (3, 19)):  # left elbow, left ankle, right elbow
                    if confidence[column]:
                        np.testing.assert_allclose((x[column], y[column]), joints[joint], atol=1e-3)


def test_the_manifest_holds_every_file(world):
    manifest = json.loads((world / "manifest.json").read_text())
    files = {str(p.relative_to(world)) for p in world.rglob("*") if p.is_file()} - {"manifest.json"}
    assert set(manifest["sha256"]) == files
    name = next(iter(files))
    assert manifest["sha256"][name] == hashlib.sha256((world / name).read_bytes()).hexdigest()


def test_the_same_seed_writes_the_same_bytes(world, tmp_path):
    again = export(tmp_path / "again", sequences=6, frames=3, seed=2, workers=2)
    assert again["sha256"] == json.loads((world / "manifest.json").read_text())["sha256"]


def test_a_finished_world_is_kept_and_another_one_refused(world, capsys):
    before = (world / "manifest.json").stat().st_mtime_ns
    assert main(["export", str(world), "--sequences", "6", "--frames", "3", "--seed", "2"]) == 0
    assert (world / "manifest.json").stat().st_mtime_ns == before
    assert main(["export", str(world), "--sequences", "7", "--frames", "3", "--seed", "2"]) == 1
    assert "manifest.json: holds an export with" in capsys.readouterr().err


def test_a_folder_of_something_else_is_left_alone(tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    assert main(["export", str(tmp_path), "--sequences", "1", "--frames", "1"]) == 1
    assert "has no manifest.json, expected an empty or a new folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_wrong_counts_are_refused(capsys):
    with pytest.raises(SystemExit):
        main(["export", "anywhere", "--frames", "0"])
    assert "at least 1 expected" in capsys.readouterr().err


def test_a_world_that_another_process_writes_is_not_written_twice(tmp_path):
    with store.held(tmp_path / ".world.lock"), pytest.raises(store.HeldError, match="held by process"):
        export(tmp_path / "world", sequences=3, frames=1)
    assert not (tmp_path / "world").exists()
