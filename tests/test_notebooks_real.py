"""Notebooks with what users have: data without a CLIP of their own, SDXL, a picture and words of theirs."""

import json
import unicodedata

import numpy as np
import pytest
import torch
from helpers import tiny_sd as families
from PIL import Image
from test_notebooks import reproduce

from kp_helpers import embeddings, stages
from kp_helpers.config import BaseStage, Reading
from kp_helpers.diffusion.words import caption_words, word_of


def test_a_word_is_whole_however_it_is_written(tiny_sd):
    text = "a man with a zebra and a Vélo"
    found = word_of(tiny_sd, text, "zebra")
    context = tiny_sd.encode_text([text])[0]
    assert len(found.tokens) > 1 and torch.equal(context[found.span], found.tokens)
    spellings = [unicodedata.normalize(form, "vélo") for form in ("NFC", "NFD")]
    places = {word_of(tiny_sd, text, own).place for own in spellings}
    assert places == {caption_words(tiny_sd, text)[-1].place}
    with pytest.raises(ValueError, match="word is 'a zebra', expected one word of the caption: a, man, with"):
        word_of(tiny_sd, text, "a zebra")


def test_extraction_follows_a_whole_word_of_a_picture_of_ones_own_with_sdxl(tmp_path, warm_python):
    Image.fromarray(np.full((60, 90, 3), 90, dtype=np.uint8)).save(tmp_path / "street.png")
    model = families.make(tmp_path / "xl", family="sdxl")
    own = {"picture": tmp_path / "street.png", "caption": "a man and a zebra", "word": "zebra"}
    own |= {"model": model, "data": tmp_path / "nowhere"}
    assert reproduce(warm_python, tmp_path, {"01_attention_extraction": own}) == ""
    config = json.loads((tmp_path / "01_attention_extraction" / "smoke" / "config.json").read_text())
    assert config["settings"]["word"] == "zebra"
    assert (config["data"]["kind"], config["data"]["name"]) == ("own pictures", "street.png")


def test_without_a_clip_the_crops_are_left_out(tiny_sd, tiny_sd_folder, tiny_threedpw, tmp_path, warm_python):
    base = torch.randn(6, tiny_sd.context_width, generator=torch.Generator().manual_seed(0))
    tensors = {"base": base, "selected_tokens": torch.tensor([0])}
    file = tmp_path / "base.safetensors"
    embeddings.save(file, tensors, stages.metadata(tiny_sd, BaseStage(reading=Reading(map_size=16))))
    given = {"model": tiny_sd_folder, "data": tiny_threedpw, "base": file, "pictures": 2, "windows": 0.3}
    assert reproduce(warm_python, tmp_path, {"09_failed_approaches": given}) == ""
    run = tmp_path / "09_failed_approaches" / "smoke"
    methods = {row["method"] for row in json.loads((run / "metrics.json").read_text())}
    for name in ("target loss", "a, as published", "a, soft-argmax"):
        assert [one for one in methods if one.endswith(name)], name
    assert not [one for one in methods if "b, CLIP" in one or "c, both" in one]
    assert json.loads((run / "config.json").read_text())["settings"]["clip"] == ""
    assert not (run / "figures" / "hills.png").exists()
