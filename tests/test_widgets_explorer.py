"""The explorer: its maps against a softmax by hand, what it keeps, and its page."""

from datetime import datetime

import ipywidgets
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from kp_helpers import attention
from kp_helpers.config import randomness
from kp_helpers.diffusion import words
from kp_helpers.widgets import AttentionExplorer

CAPTION = "a man with red shirt"
MARKUP = "a <script>alert(1)</script> $x$ ball"


@pytest.fixture
def explorer(tiny_sd):
    image = torch.rand(3, tiny_sd.image_size, tiny_sd.image_size, generator=torch.Generator().manual_seed(0))
    return AttentionExplorer(tiny_sd, image, CAPTION, ["red", "shirt"], timestep=100)


@pytest.fixture
def passes(tiny_sd):
    """Grows by one whenever the U-Net runs."""
    counted = []
    handle = tiny_sd.unet.register_forward_pre_hook(lambda *_: counted.append(1))
    yield counted
    handle.remove()


def titles(explorer) -> list[str]:
    shown = [axis.get_title().split(",")[0] for axis in explorer.figure().axes if axis.images]
    assert shown[0] == "the image"
    return shown[1:]


def test_content_words_have_their_tokens(tiny_sd):
    found = words.content_words(tiny_sd, "a Man with café")
    assert [(word.text, word.place) for word in found[:1]] == [("man", 2)]
    (zebra,) = words.content_words(tiny_sd, "a zebra")
    context = tiny_sd.encode_text(["a zebra"])[0]
    assert zebra.place == 2 and torch.equal(zebra.tokens, context[2:7]), "a word of several tokens"
    assert [word.text for word in words.content_words(tiny_sd, "with the")] == ["with", "the"]
    assert len(words.content_words(tiny_sd, "man " * 200)) == 75, "cut to the model's length"
    rivals = {word.text for word in words.rival_words(tiny_sd, words.content_words(tiny_sd, "a shirt"))}
    assert {"person", "sky"} < rivals and not {"shirt", "the"} & rivals
    with pytest.raises(ValueError, match="'' holds no word that the model reads"):
        words.content_words(tiny_sd, "")


def test_one_head_of_any_layer_is_its_softmax_over_words_and_rivals(explorer, tiny_sd):
    layer = attention.cross_attention_layers(tiny_sd.unet)[0]
    assert layer not in attention.readout_layers(tiny_sd.unet)
    explorer.layer.value = layer
    head = explorer.head.options[-1][1]
    own = words.content_words(tiny_sd, CAPTION)
    assert [word.text for word in own] == ["man", "red", "shirt"]
    competing = [*own, *words.rival_words(tiny_sd, own)]
    context = torch.cat([word.tokens for word in competing])
    noised = tiny_sd.add_noise(
        tiny_sd.encode_image(explorer.image[None]), 100, randomness.generator(0, "noise", 0)
    )
    with torch.no_grad():
        empty = tiny_sd.encode_text([""])[0]
        (query,) = attention.queries(tiny_sd.unet, noised, 100, empty, layers=[layer])
        module = tiny_sd.unet.get_submodule(layer)
        keys = module.to_k(context).unflatten(-1, (module.heads, -1))
        logits = torch.einsum("nmd,mdhw->mnhw", keys, query.values[0])
        fine = F.interpolate(logits, size=(32, 32), mode="bicubic", align_corners=False).softmax(dim=1)
    ends = np.cumsum([len(word.tokens) for word in competing])
    expected = fine[:, ends[0] : ends[1]].sum(dim=1)  # of "red"
    assert torch.allclose(explorer.maps()["4 red"], expected.mean(dim=0), atol=1e-5)
    explorer.head.value = head
    assert torch.allclose(explorer.maps()["4 red"], expected[head], atol=1e-5)


def test_a_word_alone_does_not_get_the_whole_picture(explorer):
    explorer.caption.value = "shirt"
    assert float(explorer.maps()["1 shirt"].mean()) < 0.5


def test_the_maps_follow_the_controls_and_passes_are_kept(explorer, passes):
    assert titles(explorer) == ["4 red", "5 shirt", "their sum"] and explorer.head.label == "mean"
    before = explorer.picture.value
    explorer.layer.value = list(explorer.layer.options.values())[1]
    explorer.head.value = 1
    explorer.caption.value = "a man with a red hat"
    assert not passes, "layer, head and caption need no pass"
    assert titles(explorer) == ["5 red"] and before != explorer.picture.value
    explorer.level.value = 500
    explorer.level.value = 100
    assert len(passes) == 1
    explorer.layer.value = ""
    assert explorer.head.options == (("mean", -1),) and explorer.head.value == -1
    explorer.caption.value = "dog on grass"
    assert titles(explorer) == ["3 grass"] and not explorer.message.value
    explorer.caption.value = ""
    assert "holds no word" in explorer.message.value


def test_ones_own_picture_by_upload(explorer, tmp_path):
    path = tmp_path / "wide.png"
    Image.fromarray(np.full((10, 20, 3), 255, np.uint8)).save(path)
    about = {"type": "image/png", "size": 1, "last_modified": datetime(2026, 1, 1)}

    def upload(name: str, content: bytes) -> None:
        files = ({**about, "name": name, "content": memoryview(content)},)
        if ipywidgets.__version__.startswith("7."):
            files = {name: {"metadata": {**about, "name": name}, "content": content}}
        explorer.upload.set_trait("value", files)

    upload("<i>.png", b"<html>")
    assert "&lt;i&gt;.png: 6 bytes that are no image" in explorer.message.value
    upload("good.png", path.read_bytes())
    assert not explorer.message.value and float(explorer.image.min()) > 0.99
    assert explorer.image.shape[2] > explorer.image.shape[1]


def test_a_level_out_of_range_is_the_nearest_that_exists(explorer):
    explorer.level.set_state({"value": 5000})
    assert explorer.level.value == 999 and not explorer.message.value
    assert "noise level 999" in explorer.figure().get_suptitle()


def test_a_caption_with_markup_is_text(explorer):
    explorer.caption.value = MARKUP
    explorer.words.value = [word for _, word in explorer.words.options]
    assert "<" in "".join(titles(explorer)) and not explorer.message.value


def test_without_a_kernel_a_picture_is_shown(explorer):
    shown = explorer._repr_mimebundle_()
    assert shown["image/png"].startswith(b"\x89PNG") and "application/vnd.jupyter.widget-view+json" in shown
