"""The explorer: its maps against `attention_maps` and a softmax by hand, what it keeps, its page."""

import io
from datetime import datetime

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from kp_helpers import attention, randomness
from kp_helpers.notebook import display
from kp_helpers.widgets import AttentionExplorer, AttentionProbe, ProbeError
from kp_helpers.widgets.explorer import SIDE, overlaid

CAPTION = "a man with red shirt"
MARKUP = "a <script>alert(1)</script> $x$ ball"
SIZE = 16


@pytest.fixture
def image(tiny_sd):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(3, tiny_sd.image_size, tiny_sd.image_size, generator=generator)


@pytest.fixture
def probe(tiny_sd, image):
    return AttentionProbe(tiny_sd, image, size=SIZE)


@pytest.fixture
def explorer(tiny_sd, image):
    return AttentionExplorer(tiny_sd, image, CAPTION, ["red", "shirt"], timestep=100, size=SIZE)


@pytest.fixture
def passes(tiny_sd):
    """Grows by one whenever the U-Net runs."""
    counted = []
    handle = tiny_sd.unet.register_forward_pre_hook(lambda *_: counted.append(1))
    yield counted
    handle.remove()


def noised(tiny_sd, image, timestep):
    return tiny_sd.add_noise(tiny_sd.encode_image(image[None]), timestep, randomness.generator(0, "noise", 0))


def test_words_are_told_with_their_tokens(probe):
    words = probe.words("a Man with café")
    assert [word.text for word in words][:4] == ["<start>", "a", "man", "with"]
    assert words[0].tokens == (0,) and words[2].name == "2 man"
    assert [token for word in words for token in word.tokens] == list(range(words[-1].tokens[0] + 1))
    assert [word.text for word in probe.words("")] == ["<start>", "<end>"]
    assert len(probe.words("man " * 200)) == 77, "cut to the model's length"
    assert [word.name for word in probe.words("red red")[1:3]] == ["1 red", "2 red"]


def test_a_word_of_several_tokens_is_their_sum(probe, tiny_sd, image):
    (word,) = probe.words("zebra")[1:-1]
    assert word.text == "zebra" and word.tokens == (1, 2, 3, 4, 5)
    context = tiny_sd.encode_text(["zebra"])
    with torch.no_grad():
        expected = attention.attention_maps(tiny_sd.unet, noised(tiny_sd, image, 50), 50, context, size=SIZE)[
            0, 1:6
        ].sum(dim=0)
    found = probe.maps("zebra", [word], timestep=50)
    assert found.shape == (1, SIZE, SIZE) and torch.allclose(found[0], expected, atol=1e-6)


def test_one_head_of_any_layer_is_its_softmax(probe, tiny_sd, image):
    layer = probe.layers[0]
    assert layer not in attention.readout_layers(tiny_sd.unet)
    context = tiny_sd.encode_text([CAPTION])
    with torch.no_grad():
        logits = attention.logits(tiny_sd.unet, noised(tiny_sd, image, 100), 100, context, layers=[layer])[
            layer
        ]
    fine = F.interpolate(logits[0], size=(SIZE, SIZE), mode="bicubic", align_corners=False).softmax(dim=1)
    words = probe.words(CAPTION)
    last = probe.heads(layer) - 1
    found = probe.maps(CAPTION, words[1:3], timestep=100, layer=layer, head=last)
    assert torch.allclose(found, fine[last, 1:3], atol=1e-5)
    every = probe.maps(CAPTION, words[1:3], timestep=100, layer=layer)
    assert torch.allclose(every, fine[:, 1:3].mean(dim=0), atol=1e-5)


def test_a_pass_is_kept_for_every_word_layer_and_head(probe, passes, image):
    words = probe.words(CAPTION)
    first = probe.maps(CAPTION, words[1:2], timestep=100)
    probe.maps(CAPTION, words[1:4], timestep=100, layer=probe.layers[2], head=1)
    assert len(passes) == 1
    probe.maps(CAPTION, words[1:2], timestep=200)
    assert torch.equal(probe.maps(CAPTION, words[1:2], timestep=100), first) and len(passes) == 2
    for timestep in range(10):
        probe.maps(CAPTION, words[1:2], timestep=timestep)
    probe.maps(CAPTION, words[1:2], timestep=100)
    assert len(passes) == 13, "the oldest passes were dropped"
    probe.show(1 - image)
    assert not torch.equal(probe.maps(CAPTION, words[1:2], timestep=100), first)


@pytest.mark.parametrize(
    "choice, told",
    [
        ({"timestep": 1000}, "noise level is 1000, expected 0 to 999"),
        ({"timestep": -1}, "noise level is -1"),
        ({"timestep": 1, "layer": "up"}, "layer is 'up', expected one of down_blocks"),
        ({"timestep": 1, "head": 0}, "head is 0, expected a layer with it"),
        ({"timestep": 1, "layer": 0, "head": 99}, "head is 99, expected 0 to"),
        ({"timestep": 1, "words": []}, "no word is chosen"),
    ],
)
def test_what_does_not_exist_is_named(probe, choice, told):
    given = {"words": probe.words(CAPTION)[1:2], **choice}
    if given.get("layer") == 0:
        given["layer"] = probe.layers[0]
    with pytest.raises(ProbeError, match=told):
        probe.maps(CAPTION, given.pop("words"), **given)


def test_sdxl_is_given_its_pooled_caption(tmp_path):
    from helpers import tiny_sd as families

    from kp_helpers import diffusion

    model = diffusion.load(families.make(tmp_path / "sdxl", family="sdxl"))
    image = torch.rand(3, model.image_size, model.image_size)
    probe = AttentionProbe(model, image, size=SIZE)
    with torch.no_grad():
        expected = attention.attention_maps(
            model.unet,
            model.add_noise(model.encode_image(image[None]), 9, randomness.generator(0, "noise", 0)),
            9,
            model.encode_text([CAPTION]),
            size=SIZE,
            tokens=[1],
            pooled=model.pool_text([CAPTION]),
        )
    found = probe.maps(CAPTION, probe.words(CAPTION)[1:2], timestep=9)
    assert torch.allclose(found, expected[0], atol=1e-6)


def test_a_map_is_coloured_as_figures_show_it():
    """Against matplotlib's own blending of the same layers, one value in the whole picture."""
    image = torch.full((3, 8, 8), 0.5)
    heat_map = torch.zeros(8, 8)
    heat_map[:, 4:] = 1.0
    found = overlaid(image, heat_map)
    figure, (axis,) = display.grid(1, 1, side=1.0, room=0)
    display.heat(axis, image, heat_map)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    for column, at in ((2, 0.05), (-3, 0.95)):
        expected = drawn[drawn.shape[0] // 2, int(at * drawn.shape[1])]
        assert np.abs(found[SIDE // 2, column].astype(int) - expected).max() <= 3


# The controls, as a page would use them


def titles(explorer) -> list[str]:
    return [panel.children[0].value for panel in explorer.controls.children[1].children]


def test_the_maps_follow_the_controls(explorer, passes):
    assert [title.split(",")[0] for title in titles(explorer)] == [
        "the image",
        "4 red",
        "5 shirt",
        "their sum",
    ]
    before = [panel.children[1].value for panel in explorer.controls.children[1].children]
    explorer.layer.value = explorer.probe.layers[0]
    explorer.head.value = 1
    assert not passes, "layer and head need no pass"
    explorer.level.value = 500
    explorer.words.value = [explorer.words.options[2][1]]
    assert [title.split(",")[0] for title in titles(explorer)] == ["the image", "2 man"] and len(passes) == 1
    picture = Image.open(io.BytesIO(explorer.controls.children[1].children[1].children[1].value))
    assert picture.size == (SIDE, SIDE) and before[1] != picture
    explorer.layer.value = ""
    assert explorer.head.options == (("mean", -1),) and explorer.head.value == -1
    assert not explorer.message.value


def test_a_new_caption_keeps_the_words_that_it_has(explorer):
    explorer.caption.value = "red ball on grass"
    assert [word.name for word in explorer.words.value] == ["1 red"]
    explorer.caption.value = "dog on grass"
    assert [word.name for word in explorer.words.value] == ["3 grass"]
    explorer.caption.value = ""
    assert [word.text for word in explorer.words.value] == ["<start>"]
    assert not explorer.message.value


def test_ones_own_picture_by_path_and_by_upload(explorer, tmp_path):
    path = tmp_path / "wide.png"
    Image.fromarray(np.full((10, 20, 3), 255, np.uint8)).save(path)
    before = explorer.probe.image
    explorer.path.value = str(path)
    side = explorer.probe.diffusion.image_size
    assert explorer.probe.image.shape == before.shape
    assert (
        float(explorer.probe.image[:, 0].max()) == 0
        and float(explorer.probe.image[:, side // 2].min()) > 0.99
    )
    explorer.path.value = str(tmp_path / "<b>none")
    assert "&lt;b&gt;none: no such image" in explorer.message.value and explorer.probe.image is not before
    explorer.upload.value = (uploaded("<i>.png", b"<html>"),)
    assert "<b>&lt;i&gt;.png: 6 bytes that are no image" in explorer.message.value
    explorer.upload.value = (uploaded("good.png", path.read_bytes()),)
    assert not explorer.message.value


def uploaded(name: str, content: bytes) -> dict:
    about = {"type": "image/png", "size": len(content), "last_modified": datetime(2026, 1, 1)}
    return {**about, "name": name, "content": memoryview(content)}


def test_a_level_out_of_range_is_the_nearest_that_exists(explorer):
    explorer.level.set_state({"value": 5000})
    assert explorer.level.value == 999 and not explorer.message.value
    assert "noise level 999" in explorer.figure().get_suptitle()


def test_a_caption_with_markup_is_text(explorer):
    explorer.caption.value = MARKUP
    explorer.words.value = [word for _, word in explorer.words.options]
    assert any("&lt;" in title for title in titles(explorer)) and not any("<s" in t for t in titles(explorer))
    assert explorer.figure().axes


def test_without_a_kernel_a_picture_is_shown(explorer):
    shown = explorer._repr_mimebundle_()
    assert shown["image/png"].startswith(b"\x89PNG") and "application/vnd.jupyter.widget-view+json" in shown
    assert [axis.get_title().split(",")[0] for axis in explorer.figure().axes if axis.images] == [
        *("the image", "4 red", "5 shirt", "their sum")
    ]
