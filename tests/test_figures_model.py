"""The shipped model: its folder, that its card tells the measured numbers, and that it has learned."""

import json
import re

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from helpers import tiny_sd
from safetensors import safe_open

from kp_helpers import diffusion
from kp_helpers.diffusion.model_folder import tensor_shapes
from kp_helpers.figures import judge, pointing
from kp_helpers.figures.__main__ import main
from kp_helpers.figures.evaluate import psnr, tables, untrained
from kp_helpers.figures.held_out import held_out
from kp_helpers.figures.model import generate, load_clip
from kp_helpers.figures.pointing import limb_rows

FOLDER = diffusion.FIGURES
MEASURES = json.loads((FOLDER / "evaluation.json").read_text())


@pytest.fixture(scope="module")
def figures():
    return diffusion.load("figures")


@pytest.fixture(scope="module")
def pictures():
    return held_out(32)


def test_the_folder_is_small_and_in_float16():
    assert sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()) < 40e6
    files = sorted(FOLDER.rglob("*.safetensors"))
    assert {path.parent.name for path in files} == {"clip", "judge", "text_encoder", "unet", "vae"}
    files += sorted(diffusion.SHIPPED["figures-plain"].rglob("*.safetensors"))
    assert {path.parent.name for path in files[5:]} == {"text_encoder", "unet", "vae"}
    for path in files:
        assert tensor_shapes(path)
        with safe_open(path, "pt") as file:
            kinds = {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118
        assert kinds <= {"F16", "I64"}, path


def test_diffusers_makes_the_same_pictures_with_the_folder(figures):
    pipeline = StableDiffusionPipeline.from_pretrained(FOLDER, local_files_only=True, use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    said, noise = ["a red ball on grass"], torch.Generator().manual_seed(0)
    out = pipeline(said, num_inference_steps=2, guidance_scale=4.0, generator=noise, output_type="np")
    made = generate(figures, said, steps=2)
    assert made.shape == (1, 128, 128, 3) and made.dtype == np.uint8
    assert np.abs(out.images * 255 - made).max() < 1


@pytest.mark.parametrize("family", ["sd2", "sdxl"])
def test_pictures_are_made_by_a_model_of_any_family(family, tmp_path):
    model = diffusion.load(tiny_sd.make(tmp_path / family, family=family))
    pictures = generate(model, ["a red ball", "sand"], steps=2)
    assert pictures.shape[0] == 2 and pictures[0].std() > 0
    assert not np.array_equal(pictures[0], pictures[1])


def test_the_plain_twin_has_the_clips_text_tower_and_the_same_autoencoder(figures):
    plain, (clip, _) = diffusion.load("figures-plain"), load_clip("clip")
    for one, other in ((plain.text_encoder, clip.text_model), (plain.vae, figures.vae)):
        ours, theirs = one.state_dict(), other.state_dict()
        assert ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert plain.fingerprint != figures.fingerprint
    assert plain.tokenizer.get_vocab() == figures.tokenizer.get_vocab()


def test_words_and_limbs_that_were_taught_to_point_do(figures, pictures):
    """On few pictures, well above the twin that was trained without; the card has the whole table."""
    shares, sides = {}, {}
    for name in ("figures", "figures-plain"):
        model = figures if name == "figures" else diffusion.load(name)
        words, limbs = [], []
        for one in pointing.word_maps(model, pictures, figures.default_timestep):
            words += [row["hit"] for row in pointing.word_rows(*one) if row["layer"] == "mean"]
            limbs += [row["inside"] for row in limb_rows(*one)]
        shares[name], sides[name] = np.mean(words), np.mean(limbs)
    assert shares["figures"] > 0.6 > 0.4 > shares["figures-plain"]
    assert sides["figures"] > sides["figures-plain"] + 0.3


def test_the_measures_are_of_this_model(figures):
    assert MEASURES["model"] == figures.fingerprint
    assert MEASURES["timestep"] == figures.default_timestep
    assert MEASURES["pictures"] == 256


def test_the_card_tells_the_measured_numbers():
    card = (FOLDER / "README.md").read_text()
    for name, value in tables(MEASURES)["measures"]["value"].items():
        row = re.search(rf"\| `{name}` \| ([0-9.]+) ", card)
        assert row, f"the card has no row of {name}"
        assert float(row[1]) == pytest.approx(value, abs=0.0051), name
    for word, row in tables(MEASURES)["words"].iterrows():
        assert f"| {word} | {row['pointing']:.2f} | {row['pointing_random']:.2f} |" in card


def test_held_out_pictures_give_the_measures_again(figures, pictures):
    assert psnr(figures, pictures.images) == pytest.approx(MEASURES["psnr"], abs=1.0)
    clip, tokenizer = load_clip("clip")
    found = judge.top1_among(clip, tokenizer, pictures.images, pictures.texts, 32)
    assert found > MEASURES["clip_top1_of_64"] - 0.15


def test_words_point_at_their_things_better_than_at_random(figures, pictures):
    level = figures.default_timestep
    shares = {}
    for name, model in {"trained": figures, "random": untrained(figures)}.items():
        rows = [row for row in pointing.pointing_hits(model, pictures, level) if row["role"] == "phrase"]
        hits = [row["hit"] for row in rows if row["layer"] == "mean"]
        shares[name] = sum(hits) / len(hits)
    assert len(hits) > 100
    assert shares["trained"] > shares["random"] + 0.1


def test_training_can_go_on_from_the_shipped_model(figures, tmp_path):
    assert main(["train", "--folder", str(tmp_path), "--stage", "shipped"]) == 0
    unet = UNet2DConditionModel.from_pretrained(tmp_path / "parts" / "start" / "unet" / "unet")
    assert all(torch.equal(a, b) for a, b in zip(unet.parameters(), figures.unet.parameters(), strict=True))


def test_help_names_every_command(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("export", "train", "evaluate"))
