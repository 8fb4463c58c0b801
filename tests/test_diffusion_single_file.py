"""Whole models in one file, and the fingerprint that does not depend on the form."""

import itertools
import json
import shutil
import sys
import types

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from helpers import one_file, tiny_sd
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig

from kp_helpers import diffusion, embeddings
from kp_helpers.diffusion import ModelError, single_file, weights

PARTS = ("unet", "vae", "text_encoder", "text_encoder_2")
UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def make(tmp_path):
    """(family) -> a tiny folder, and beside it its weights in one file, which takes the folder's settings."""

    def made(family: str = "sd15", suffix: str = ".safetensors"):
        folder = tiny_sd.make(tmp_path / family, family=family)
        return folder, one_file.write(folder, folder.with_suffix(suffix), family)

    return made


def same(one, other) -> None:
    for part in PARTS:
        network, expected = getattr(one, part), getattr(other, part)
        assert (network is None) == (expected is None)
        for name, tensor in network.state_dict().items() if network else ():
            assert torch.equal(tensor, expected.state_dict()[name]), (part, name)
    assert (one.fingerprint, one.vae_fingerprint) == (other.fingerprint, other.vae_fingerprint)


@pytest.mark.parametrize("family", tiny_sd.FAMILIES)
def test_row_99_one_file_is_the_folder(make, family):
    folder, path = make(family)
    found, expected = diffusion.load(path), diffusion.load(folder)
    same(found, expected)
    assert torch.equal(found.encode_text(["a red ball"]), expected.encode_text(["a red ball"]))
    assert found.image_size == expected.image_size and found.name == str(path)
    assert not any(p.requires_grad for p in found.unet.parameters())


def test_row_99_a_checkpoint_with_two_copies_gives_the_averaged_one(make):
    folder, path = make(suffix=".ckpt")
    kept = torch.load(path, weights_only=True)
    unet = {name: value for name, value in kept["state_dict"].items() if ".diffusion_model." in name}
    for name, value in unet.items():
        kept["state_dict"]["model_ema." + name.removeprefix("model.").replace(".", "")] = value
        kept["state_dict"][name] = value + 1
    torch.save(kept, path)
    same(diffusion.load(path), diffusion.load(folder))


class ModelCheckpoint:
    """As PyTorch Lightning names its own in the files that it writes."""


ModelCheckpoint.__module__ = "pytorch_lightning.callbacks.model_checkpoint"


def test_row_99_what_training_left_in_a_checkpoint_is_not_run(make, monkeypatch):
    folder, path = make(suffix=".ckpt")
    for name in itertools.accumulate(ModelCheckpoint.__module__.split("."), "{}.{}".format):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules[name].ModelCheckpoint = ModelCheckpoint
    kept = torch.load(path, weights_only=True)
    kept["callbacks"] = {ModelCheckpoint: {"best": np.float64(0.1)}}
    torch.save(kept, path)
    monkeypatch.undo()
    same(diffusion.load(path), diffusion.load(folder))
    torch.save({**kept, "callbacks": print}, path)
    with pytest.raises(ModelError, match="sd15.ckpt: no pickle of numbers alone, it asks for print"):
        diffusion.load(path)


def test_row_100_what_is_no_whole_model_is_refused(make, tmp_path):
    folder, path = make()
    shutil.rmtree(folder)
    tensors = load_file(path)
    taken = "model.diffusion_model.input_blocks.0.0.weight"
    save_file({**tensors, taken: torch.zeros(16, 9, 3, 3)}, path)
    with pytest.raises(ModelError, match="sd15.safetensors: is of the kind 'inpainting', expected a whole"):
        diffusion.load(path)
    save_file({"lora_unet_mid_block.alpha": torch.ones(1)}, path)
    with pytest.raises(ModelError, match="holds no model of these families, 'lora_unet_mid_block.alpha'"):
        diffusion.load(path)
    with pytest.raises(ModelError, match="none.ckpt: no such file, expected a model's weights in one file"):
        diffusion.load("models/none.ckpt")
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1")
    with pytest.raises(ModelError, match="is a Git LFS pointer"):
        diffusion.load(path)


def test_row_100_of_a_file_that_lacks_something_it_is_named(make):
    _, path = make()
    tensors = {name: value.clone() for name, value in load_file(path).items()}  # the file is written anew
    left_out = "model.diffusion_model.middle_block.1.proj_in.weight"
    save_file({name: value for name, value in tensors.items() if name != left_out}, path)
    with pytest.raises(ModelError, match="'mid_block.attentions.0.proj_in.weight' is missing"):
        diffusion.load(path)
    save_file({name: value for name, value in tensors.items() if "first_stage" not in name}, path)
    with pytest.raises(ModelError, match="'encoder.conv_in.weight' is missing, expected all of Auto"):
        diffusion.load(path)
    wide = {name: value for name, value in tensors.items() if name != left_out}
    save_file({**wide, left_out: torch.zeros(8, 8, 1, 1)}, path)
    with pytest.raises(ModelError, match=r"has shape \(8, 8, 1, 1\), expected .* by config.json"):
        diffusion.load(path)


@pytest.mark.parametrize(("family", "size"), [("sd15", 64), ("sd21", 96), ("sdxl", 128)])
def test_the_published_settings_make_networks_and_are_chosen_by_the_tensors(family, size, tmp_path):
    folder = single_file.PUBLISHED / family
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(folder, subfolder="unet"))
        vae = AutoencoderKL.from_config(AutoencoderKL.load_config(folder, subfolder="vae"))
    millions = {"sd15": 859.5, "sd21": 865.9, "sdxl": 2567.5}  # as published
    assert round(sum(p.numel() for p in unet.parameters()) / 1e6, 1) == millions[family]
    assert round(sum(p.numel() for p in vae.parameters()) / 1e6, 1) == 83.7
    assert unet.config.sample_size == size and vae.config.sample_size == 8 * size
    width = CLIPTextConfig.from_pretrained(folder, subfolder="text_encoder").hidden_size
    if family == "sdxl":
        width += CLIPTextConfig.from_pretrained(folder, subfolder="text_encoder_2").hidden_size
    assert width == unet.config.cross_attention_dim
    state = unet.state_dict()
    names = {one_file._of_unet(name, state): value for name, value in state.items()}
    tensors = {f"model.diffusion_model.{name}": value for name, value in names.items()}
    if family == "sdxl":
        tensors["conditioner.embedders.1.model.transformer.resblocks.9.mlp.c_proj.bias"] = torch.zeros(1)
    if family == "sd21":
        with pytest.warns(UserWarning, match="taken as Stable Diffusion 2.1 for 768"):
            assert single_file.settings_folder(tmp_path / "one.ckpt", tensors) == folder
    else:
        assert single_file.settings_folder(tmp_path / "one.ckpt", tensors) == folder


def test_the_shipped_words_are_clips():
    """Numbers of CLIP's own tokenizer, as its page has them; padding as Stable Diffusion 1 and 2 do it."""
    numbers = [49406, 320, 1125, 539, 320, 2368, 49407]
    for family, padding in (("sd15", 49407), ("sd21", 0)):
        tokenizer = single_file.tokenizer(single_file.PUBLISHED / family, "tokenizer")
        padded = tokenizer("a photo of a Cat", padding="max_length", truncation=True).input_ids
        assert padded == [*numbers, *[padding] * 70] and tokenizer.model_max_length == 77
        assert tokenizer.decode(tokenizer("a café, 2024").input_ids[1:-1]) == "a café , 2 0 2 4"
    assert len(tokenizer) == 49408


def half(folder) -> None:
    for part in ("unet", "vae", "text_encoder"):
        path = next((folder / part).glob("*.safetensors"))
        save_file({k: v.half() for k, v in load_file(path).items()}, path, metadata={"format": "pt"})


def test_row_101_the_fingerprint_is_that_of_the_numbers(make, tmp_path):
    """Half precision as a folder, made float32 as a folder, in one file and as a checkpoint."""
    folder, _ = make()
    before = diffusion.load(folder).fingerprint
    half(folder)
    expected = diffusion.load(folder)
    assert expected.fingerprint != before, "rounded weights are other weights"
    path = one_file.write(folder, folder.with_suffix(".ckpt"))
    same(diffusion.load(path), expected)
    for part in ("unet", "vae", "text_encoder"):
        file = next((folder / part).glob("*.safetensors"))
        save_file({k: v.float() for k, v in load_file(file).items()}, file, metadata={"format": "pt"})
    whole = diffusion.load(folder)
    same(whole, expected)
    assert diffusion.load(folder, dtype="bfloat16").fingerprint == expected.fingerprint
    about = {"space": "unet context", "model": "tiny", "model_hash": expected.fingerprint}
    about |= {"layers": [], "timestep": 1, "settings": {}, "seed": 0}
    saved = embeddings.save(tmp_path / "one.safetensors", {"base": torch.ones(4, 32)}, about)
    embeddings.load(saved, fingerprint=diffusion.load(path).fingerprint, width=32)
    with pytest.raises(embeddings.EmbeddingError, match="learned on 'tiny'"):
        embeddings.load(saved, fingerprint=before, width=32)


def test_row_101_the_fingerprint_of_the_shipped_model_is_its_files_hash():
    folder = diffusion.SHIPPED["figures"]
    found = weights.find(folder / "unet", "unet").tensors()
    assert weights.fingerprint(found) == json.loads((folder / "evaluation.json").read_text())["model"]
