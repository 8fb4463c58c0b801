"""Training a head on another model and another data set, from the command line, and the heads that ship."""

import numpy as np
import pytest
import torch
from helpers import tiny_sd, tiny_vision
from helpers.tiny_panoptic import write_panoptic

from kp_helpers import diffusion
from kp_helpers.figures.panoptic import CLASSES, panoptic_pictures
from kp_helpers.figures.pictures import HELD_OUT_SEED
from kp_helpers.metrics.panoptic import per_class
from kp_helpers.open_vocabulary import classes, features
from kp_helpers.open_vocabulary.__main__ import main
from kp_helpers.open_vocabulary.data_sets import pictures
from kp_helpers.open_vocabulary.segment import Segmenter
from kp_helpers.open_vocabulary.training import SHIPPED, Trained, shipped


@pytest.fixture(scope="module")
def foreign(tmp_path_factory):
    """A model of Stable Diffusion's layout with its CLIP, and a data set in COCO's panoptic format."""
    root = tmp_path_factory.mktemp("foreign")
    model = tiny_sd.make(root / "model")
    words = diffusion.load(model).text_encoder.config.vocab_size
    tiny_vision.make_clip(model / "clip", words, 77)
    rng = np.random.default_rng(0)
    segments = [np.repeat(np.repeat(rng.integers(1, 4, (4, 4)), 16, 0), 16, 1) for _ in range(10)]
    labels = [{n: ("man", "ball", "grass")[n - 1] for n in np.unique(own).tolist()} for own in segments]
    write_panoptic(root / "data", segments, labels, things=("man", "ball"))
    return model, root / "data"


def test_a_head_is_trained_for_another_model_and_data_set_and_goes_on_where_it_stopped(
    foreign, tmp_path, capsys
):
    model, data = foreign
    command = ["train", "--model", str(model), "--data", str(data), "--pictures", "4", "--captioned", "1"]
    command += ["--folder", str(tmp_path / "work"), "--target", str(tmp_path / "head.safetensors")]
    assert main([*command, "--steps", "2"]) == 0
    assert "man" not in capsys.readouterr().out.split(": ")[1]  # the first class is hidden in split 0
    written = (tmp_path / "head.safetensors").stat().st_mtime_ns
    assert main([*command, "--steps", "2"]) == 0  # nothing is left to do
    log = next((tmp_path / "work").rglob("head/log.csv")).read_text()
    assert len(log.splitlines()) == 2
    frozen = features.freeze(diffusion.load(model))
    trained = Trained.load(tmp_path / "head.safetensors", frozen)
    assert written and trained.captioner is not None
    test = pictures(data, "test", 2, 128)
    segmenter = Segmenter(frozen, trained, test.classes)
    proposals = [segmenter.proposals(row.image) for row in test.rows]
    counts = segmenter.counts(proposals, test, {"diffusion": (0.7, 0.3), "clip": (0.3, 0.7)})
    assert counts.shape == (2, 3, 6)
    assert counts[..., 4:].sum() > 0


def test_a_named_clip_takes_the_place_of_the_models_own_and_has_heads_of_its_own(foreign):
    model = diffusion.load(foreign[0])
    own, named = features.freeze(model), features.freeze(model, clip="figures")
    shipped_one = features.freeze(diffusion.load("figures")).clip
    assert named.clip.network.config.projection_dim == shipped_one.network.config.projection_dim
    halves = [one.key.split("-") for one in (own, named)]
    assert halves[0][0] == halves[1][0] == model.fingerprint[:8] and halves[0][1] != halves[1][1]


def test_a_wrong_option_is_one_sentence(tmp_path, capsys):
    assert (
        main(
            ["train", "--data", str(tmp_path), "--folder", str(tmp_path), "--target", str(tmp_path / "head")]
        )
        == 1
    )
    assert "panoptic*.json" in capsys.readouterr().err


def test_captions_train_too(tmp_path):
    command = ["train", "--supervision", "caption", "--caption", "true", "--pictures", "3", "--steps", "1"]
    assert (
        main([*command, "--captioned", "1", "--folder", str(tmp_path), "--target", str(tmp_path / "head")])
        == 0
    )


def test_the_shipped_heads_are_small_and_find_what_they_were_shown_and_what_not():
    files = sorted(SHIPPED.glob("*.safetensors"))
    assert sum(file.stat().st_size for file in files) <= 5_000_000
    frozen = features.freeze(diffusion.load("figures"))
    test = panoptic_pictures(HELD_OUT_SEED, 6)
    assert shipped("caption", 1, frozen) is None
    for split in classes.SPLITS:
        trained = shipped("label", split, frozen)
        assert set(trained.seen) == set(CLASSES) - set(classes.hidden(CLASSES, split))
        segmenter = Segmenter(frozen, trained, CLASSES)
        proposals = [segmenter.proposals(row.image) for row in test.rows]
        counts = segmenter.counts(proposals, test, {"diffusion": (0.5, 0.0), "words": (0.5, 1.0)})
        quality = per_class(counts.sum(axis=0))["PQ"]
        unseen = segmenter.unseen.numpy()
        assert np.nanmean(quality[~unseen]) > 0.4
        assert np.nanmean(quality[unseen]) > 0.1  # of six pictures; a head alone has 0
    assert not any(parameter.requires_grad for parameter in trained.head.parameters())
    assert torch.isfinite(proposals[0].masks).all()
