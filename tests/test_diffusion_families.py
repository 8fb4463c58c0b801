"""Loading Stable Diffusion 1, 2 and XL, and the context of captions for each."""

import json
import shutil

import pytest
import torch
from helpers import tiny_sd
from safetensors.torch import load_file, save_file

from kp_helpers import diffusion
from kp_helpers.diffusion import ModelError, model_folder

SECOND = "text_encoder_2/model.safetensors"
CAPTIONS = ["a man with red shirt", "", "dog on grass"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("families")
    return {family: tiny_sd.make(root / family, family=family) for family in tiny_sd.FAMILIES}


@pytest.fixture(scope="module")
def models(folders):
    return {family: diffusion.load(folder) for family, folder in folders.items()}


@pytest.fixture
def folder(folders, tmp_path):
    """A copy of the tiny SDXL that a test may spoil."""
    return shutil.copytree(folders["sdxl"], tmp_path / "model")


def _refused(folder, *words):
    with pytest.raises(ModelError) as caught:
        diffusion.load(folder)
    for word in words:
        assert word in str(caught.value), str(caught.value)


def _edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _layers(encoder, ids, count):
    """The numbers behind the first `count` layers of a text encoder, layer by layer."""
    hidden = encoder.embeddings(input_ids=ids)
    length = ids.shape[1]
    before = torch.full((length, length), float("-inf")).triu(1)[None, None]
    for layer in encoder.encoder.layers[:count]:
        hidden = layer(hidden, before.expand(len(ids), 1, -1, -1))
        hidden = hidden if torch.is_tensor(hidden) else hidden[0]
    return hidden


def _ids(tokenizer, padding):
    """Start, words, end, filled up: what a CLIP tokenizer makes of the captions."""
    number = {piece: i for piece, i in tokenizer.get_vocab().items()}
    rows = []
    for caption in CAPTIONS:
        words = [number[f"{word}</w>"] for word in caption.split()]
        row = [number["<|startoftext|>"], *words, number["<|endoftext|>"]]
        rows.append(row + [number[padding]] * (77 - len(row)))
    return torch.tensor(rows)


@pytest.mark.parametrize("family", tiny_sd.FAMILIES)
def test_a_family_loads_frozen(models, family):
    model = models[family]
    parts = [model.unet, model.vae, model.text_encoder, model.text_encoder_2]
    assert (model.text_encoder_2 is None) == (family != "sdxl")
    for part in filter(None, parts):
        assert not part.training and not any(p.requires_grad for p in part.parameters())


def test_weights_under_their_published_names(folder, models):
    """Published text encoders name their tensors "text_model...", and older ones store position numbers."""
    path = folder / "text_encoder" / "model.safetensors"
    tensors = {f"text_model.{name}": tensor for name, tensor in load_file(path).items()}
    tensors["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    save_file(tensors, path, metadata={"format": "pt"})
    assert torch.equal(diffusion.load(folder).encode_text(CAPTIONS), models["sdxl"].encode_text(CAPTIONS))


@pytest.mark.parametrize("family, padding", [("sd15", "<|endoftext|>"), ("sd2", "!")])
def test_one_encoder_gives_its_normalised_last_layer(models, family, padding):
    model = models[family]
    ids, encoder = _ids(model.tokenizer, padding), model.text_encoder
    with torch.no_grad():
        expected = encoder.final_layer_norm(_layers(encoder, ids, len(encoder.encoder.layers)))
    assert torch.allclose(model.encode_text(CAPTIONS), expected, atol=1e-5)


def test_two_encoders_give_their_last_layer_but_one_side_by_side(models):
    model = models["sdxl"]
    with torch.no_grad():
        first = _layers(model.text_encoder, _ids(model.tokenizer, "<|endoftext|>"), 1)
        second = _layers(model.text_encoder_2.text_model, _ids(model.tokenizer_2, "!"), 2)
    context = model.encode_text(CAPTIONS)
    assert context.shape == (3, 77, model.context_width)
    assert torch.allclose(context[::2], torch.cat([first, second], dim=-1)[::2], atol=1e-5)
    assert not context[1].any()


def test_the_pooled_caption_is_the_projected_end_token(models):
    model = models["sdxl"]
    encoder, ids = model.text_encoder_2, _ids(model.tokenizer_2, "!")
    with torch.no_grad():
        last = encoder.text_model.final_layer_norm(_layers(encoder.text_model, ids, 3))
        ends = last[range(3), ids.argmax(dim=1)]
    pooled = model.pool_text(CAPTIONS)
    assert pooled.shape == (3, tiny_sd.POOLED)
    assert torch.allclose(pooled[::2], (ends @ encoder.text_projection.weight.T)[::2], atol=1e-5)
    assert not pooled[1].any()


def test_an_empty_caption_is_encoded_where_the_folder_says_so(folder):
    _edit(folder / "model_index.json", force_zeros_for_empty_prompt=False)
    model = diffusion.load(folder)
    assert model.encode_text([""]).any() and model.pool_text([""]).any()


def test_one_encoder_pools_no_caption(models):
    with pytest.raises(ValueError, match="has one text encoder, expected SDXL's two"):
        models["sd15"].pool_text(["dog"])


def test_the_scheduler_and_the_factor_are_the_folders_own(models):
    assert models["sd2"].scheduler.config.prediction_type == "v_prediction"
    images = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    vae = models["sdxl"].vae
    with torch.no_grad():
        mean = vae.quant_conv(vae.encoder(2 * images - 1))[:, :4]
    assert torch.allclose(models["sdxl"].encode_image(images), 0.13025 * mean, atol=1e-6)


@pytest.mark.parametrize("upcast, expected", [(True, torch.float32), (False, torch.float16)])
def test_a_vae_that_overflows_in_float16_stays_in_float32(folder, upcast, expected):
    _edit(folder / "vae" / "config.json", force_upcast=upcast)
    model = diffusion.load(folder, dtype=torch.float16)
    assert model.vae.dtype == expected
    assert model.unet.dtype == model.text_encoder_2.dtype == torch.float16


def test_the_second_encoder_is_checked_as_the_first(folder):
    tensors = load_file(folder / SECOND)
    tensors["text_projection.weight"][:1] = float("nan")
    save_file(tensors, folder / SECOND, metadata={"format": "pt"})
    _refused(folder, SECOND, "text_projection.weight", "NaN")
    (folder / SECOND).unlink()
    _refused(folder, f"{SECOND}: missing, found no weights")


def test_the_second_pair_must_be_there_and_bring_no_code(folder):
    _edit(folder / "tokenizer_2" / "tokenizer_config.json", auto_map={"AutoTokenizer": "mine.Mine"})
    _refused(folder, "tokenizer_2/tokenizer_config.json", "'auto_map'")
    (folder / "tokenizer_2" / "tokenizer_config.json").unlink()
    _refused(folder, "tokenizer_2/tokenizer_config.json: missing")
    _edit(folder / "model_index.json", text_encoder_2=["transformers", "CLIPTextModel"])
    _refused(folder, "text_encoder_2 is ['transformers', 'CLIPTextModel']", "CLIPTextModelWithProjection")


@pytest.mark.parametrize("name", ["FluxPipeline", None, ["StableDiffusionPipeline"]])
def test_another_pipeline_is_named(folder, name):
    _edit(folder / "model_index.json", _class_name=name)
    _refused(
        folder,
        f"model_index.json: _class_name is {name!r}",
        "expected StableDiffusionPipeline or StableDiffusionXLPipeline",
    )


def test_text_encoders_of_another_width_are_named(folders, folder):
    _edit(folder / "model_index.json", _class_name="StableDiffusionPipeline")
    _refused(folder, "unet/config.json: cross_attention_dim is 32, expected the width 12 of text_encoder")
    shutil.rmtree(folder / "text_encoder")
    shutil.copytree(folders["sd15"] / "text_encoder", folder / "text_encoder")
    _edit(folder / "model_index.json", _class_name="StableDiffusionXLPipeline")
    _refused(folder, "expected the width 32 of text_encoder and 20 of text_encoder_2")


def test_what_is_fetched_holds_the_second_pair_and_no_pickle():
    wanted = {"text_encoder_2/config.json", SECOND, "tokenizer_2/*.json", "tokenizer_2/*.txt"}
    assert wanted <= set(model_folder.FETCHED)
    assert not any(name.endswith((".bin", ".py")) for name in model_folder.FETCHED)
