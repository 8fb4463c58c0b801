"""Keypoints of a folder with a saved embedding, against the same reading done by hand."""

import csv
import json
import re
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from PIL import Image

from kp_helpers import embeddings, predict, reading, stages
from kp_helpers.config import AppendedStage, BaseStage, Reading, TestTime
from kp_helpers.data import ImageFolder, formats
from kp_helpers.data.images import read_image
from kp_helpers.notebook import kit

READING = Reading(map_size=16, timestep=20)


@pytest.fixture
def pictures(tmp_path):
    """Two pictures of the model's size, so that the letterbox changes nothing."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        Image.fromarray(rng.integers(0, 255, (128, 128, 3), dtype=np.uint8)).save(folder / name)
    return folder


@pytest.fixture
def saved(tiny_sd, tmp_path):
    """Files of an appended joint, and of selected base tokens."""
    generator = torch.Generator().manual_seed(1)
    base, tokens = (3 * torch.randn(n, tiny_sd.context_width, generator=generator) for n in (6, 2))
    stage, first = AppendedStage(mode="readout", readout="best", reading=READING), BaseStage(reading=READING)
    about = {**stages.metadata(tiny_sd, stage), "joint": "left_foot", "best": 1}
    joint = embeddings.save(tmp_path / "joint.safetensors", {"base": base, "appended": tokens}, about)
    chosen = {"base": base, "selected_tokens": torch.tensor([4, 0])}
    several = embeddings.save(tmp_path / "base.safetensors", chosen, stages.metadata(tiny_sd, first))
    return base, tokens, joint, several


def _run(saved, pictures, out, tiny_sd_folder, *more):
    return predict.main([str(saved), str(pictures), str(out), "--model", str(tiny_sd_folder), *more])


def test_a_joint_is_found_where_its_own_map_has_its_maximum(
    saved, pictures, tmp_path, tiny_sd, tiny_sd_folder
):
    base, tokens, joint, _ = saved
    assert _run(joint, pictures, tmp_path / "out.csv", tiny_sd_folder) == 0
    rows = list(csv.DictReader((tmp_path / "out.csv").open()))
    assert [(row["image"], row["keypoint"]) for row in rows] == [
        ("a.png", "left_foot"),
        ("b.png", "left_foot"),
    ]
    appended = reading.Appended(base, tokens, "best", 1, "readout")
    for row in rows:
        image = read_image(pictures / row["image"])[None]
        maps = reading.read_appended(tiny_sd, appended, image, TestTime(reading=READING))[0]
        place = maps.flatten().argmax().item()
        pixels = [(n + 0.5) * 128 / 512 for n in (place % 512, place // 512)]
        assert [float(row["x"]), float(row["y"])] == pytest.approx(pixels, abs=1e-6)


def test_a_fit_is_saved_and_reads_the_mirror_image(pictures, tmp_path, tiny_sd, tiny_sd_folder):
    stage = AppendedStage(mode="readout", readout="linear", base="caption", reading=READING)
    images = torch.stack([read_image(pictures / name) for name in ("a.png", "b.png")])
    base, points = torch.ones(3, tiny_sd.context_width), torch.tensor([[0.2, 0.3], [0.7, 0.6]])
    fit = stages.learn(tiny_sd, base, images, points, stage)
    about = {**stages.metadata(tiny_sd, stage), "joint": "left_foot"}
    file = embeddings.save(tmp_path / "fit.safetensors", fit.tensors(), about)
    assert _run(file, pictures, tmp_path / "out.csv", tiny_sd_folder) == 0
    settings = TestTime(mirror=True, reading=READING)
    for row, image in zip(csv.DictReader((tmp_path / "out.csv").open()), images, strict=True):
        maps = reading.read_appended(tiny_sd, fit, image[None], settings)
        expected = 128 * reading.read_keypoints(maps, settings)[0]
        assert [float(row["x"]), float(row["y"])] == pytest.approx(expected.tolist(), abs=1e-3)


@pytest.mark.parametrize(
    ("gone", "more", "sentence"),
    [
        ({"finest_layers": 0, "temperature": 1.0}, {}, None),
        ({"temperature": 0.5}, {}, "learned at temperature 0.5, expected 1; learn the keypoint again"),
        ({}, {"rivals": 2}, "holds rivals of tokens with readout 'sum', expected them for 'linear' alone"),
    ],
)
def test_files_of_earlier_settings_are_read_where_they_mean_the_same(gone, more, sentence, tmp_path, tiny_sd):
    """Their maps are those that were learned, or the file is refused."""
    about = {**stages.metadata(tiny_sd, AppendedStage(mode="readout", reading=READING)), "joint": "head"}
    about["settings"]["reading"] |= gone
    tensors = {
        name: torch.ones(n, tiny_sd.context_width) for name, n in {"base": 3, "appended": 2, **more}.items()
    }
    file = embeddings.save(tmp_path / "old.safetensors", tensors, about)
    if sentence is None:
        expected = READING.replace(layers=tuple(about["layers"]))
        assert predict.opened(tiny_sd, file).settings.reading == expected
        return
    with pytest.raises(embeddings.EmbeddingError, match=f"old.safetensors: {sentence}"):
        predict.opened(tiny_sd, file)


def test_selected_tokens_go_out_as_coco(saved, pictures, tmp_path, tiny_sd_folder):
    out = tmp_path / "out.json"
    assert _run(saved[3], pictures, out, tiny_sd_folder, "--views", "2") == 0
    assert json.loads(out.read_text())["categories"][0]["keypoints"] == ["keypoint_0", "keypoint_1"]
    assert all(ImageFolder(pictures, out)[0].visible.values())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"out": "out.txt"}, r"out.txt: ends in '.txt', expected .csv, .json .COCO. or .slp"),
        ({"out": "there.csv"}, r"there.csv is there already; --overwrite replaces it"),
        ({"pictures": "nowhere"}, r"nowhere: no such folder of images"),
        ({"saved": "none.safetensors"}, r"none.safetensors: no such file"),
        (
            {"saved": "bare.safetensors"},
            r"bare.safetensors: holds base, expected appended or selected_tokens",
        ),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    change, sentence, saved, pictures, tmp_path, tiny_sd, tiny_sd_folder, capsys
):
    (tmp_path / "there.csv").write_text("kept")
    about = stages.metadata(tiny_sd, BaseStage(reading=READING))
    embeddings.save(tmp_path / "bare.safetensors", {"base": saved[0]}, about)
    places = {"saved": saved[2].name, "pictures": "pictures", "out": "out.csv"} | change
    assert _run(*(tmp_path / name for name in places.values()), tiny_sd_folder) == 1
    assert re.search(sentence, capsys.readouterr().err)
    assert (tmp_path / "there.csv").read_text() == "kept"


def test_a_damaged_picture_names_the_flag_that_leaves_it_out(
    saved, pictures, tmp_path, tiny_sd_folder, capsys
):
    (pictures / "page.jpg").write_text("<html>")
    assert _run(saved[2], pictures, tmp_path / "out.csv", tiny_sd_folder) == 1
    said = capsys.readouterr().err
    assert "page.jpg: 6 bytes" in said and "--skip-damaged leaves damaged pictures out" in said
    assert _run(saved[2], pictures, tmp_path / "out.csv", tiny_sd_folder, "--skip-damaged") == 0
    (pictures / "page.jpg").unlink()
    Image.new("RGB", (8, 8)).save(pictures / "large.png")
    (pictures / "labels.csv").write_text("image,keypoint,x,y\nc.png,nose,1,1\n")
    labels = ("--labels", str(pictures / "labels.csv"), "--overwrite")
    assert _run(saved[2], pictures, tmp_path / "out.csv", tiny_sd_folder, *labels) == 1
    said = capsys.readouterr().err
    assert "c.png: no such image" in said and "--skip-damaged" not in said, "the flag would not help"


def test_joints_that_share_the_passes_are_written_as_the_labels_are(
    saved, pictures, tmp_path, tiny_sd, tiny_sd_folder, monkeypatch
):
    """Two joints of one base from one pass a picture, where each alone has it, in the format of --like."""
    _, tokens, joint, _ = saved
    tensors, about = embeddings.load(joint)
    other = embeddings.save(
        tmp_path / "other.safetensors",
        tensors | {"appended": tokens.flip(0) + 1},
        about | {"joint": "nose", "best": 0},
    )
    single = [kit.find(file, kit.pictures(pictures), tiny_sd).table for file in (joint, other)]
    passes = []
    real = reading.queries
    monkeypatch.setattr(reading, "queries", lambda *given: passes.append(1) or real(*given))
    skeleton = '<svg>&lt;line data-node-from="1" data-node-to="2"/&gt;' + "".join(
        f'&lt;circle data-node-id="{n}" data-label-name="{name}"/&gt;'
        for n, name in ((1, "nose"), (2, "left_foot"))
    )
    images = '<image name="task/a.png" width="128" height="128"/>'
    (tmp_path / "annotations.xml").write_text(f"<annotations>{skeleton}</svg>{images}</annotations>")
    out, like = tmp_path / "out.zip", ("--like", str(tmp_path / "annotations.xml"))
    files = [str(joint), str(other), str(pictures), str(out), "--model", str(tiny_sd_folder), *like]
    assert predict.main(files) == 0 and len(passes) == 2, "one for each picture"
    for number, sample in enumerate(ImageFolder(pictures, out)):
        for name, table in zip(("left_foot", "nose"), single, strict=True):
            expected = table.loc[number, ["x", "y"]].tolist()
            assert sample.joints[name] == pytest.approx(expected, abs=1e-3)
    taken = formats.CVAT.taken(out, pictures)
    assert taken.limbs == [("nose", "left_foot")] and taken.addresses["a.png"] == "task/a.png"
    text = ZipFile(out).read("annotations.xml").decode()
    assert f'<attribute name="score">{single[0].loc[0, "score"]:.4f}</attribute>' in text


def test_joints_that_cannot_be_read_at_once_say_why(saved, pictures, tmp_path, tiny_sd_folder, capsys):
    _, _, joint, several = saved
    for other, sentence in (
        (joint, "left_foot, left_foot, expected different names"),
        (several, "read alike"),
    ):
        files = [
            str(joint),
            str(other),
            str(pictures),
            str(tmp_path / "o.csv"),
            "--model",
            str(tiny_sd_folder),
        ]
        assert predict.main(files) == 1 and sentence in capsys.readouterr().err
