"""The training of the small model: its tokenizer, its loop, and all stages once."""

import csv

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline

from kp_helpers import attention
from kp_helpers import diffusion as diffusion_module
from kp_helpers.figures import pictures
from kp_helpers.figures.__main__ import main
from kp_helpers.figures.captions import describe
from kp_helpers.figures.scene import draw_scene
from kp_helpers.figures.tokens import CONTEXT_LENGTH, build_tokenizer, lexicon
from kp_helpers.figures.training.batches import _window_caption, windows
from kp_helpers.figures.training.loop import LoopSettings, train
from kp_helpers.figures.training.stages import STAGES, Training


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return build_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def test_every_word_is_one_token(tokenizer):
    assert all(len(tokenizer(word).input_ids) == 3 for word in lexicon())


def test_a_captions_tags_point_at_its_tokens(tokenizer):
    for seed in range(60):
        caption = describe(draw_scene(seed), 1)
        tokens = tokenizer.convert_ids_to_tokens(tokenizer(caption.text).input_ids)
        assert len(tokens) == len(caption.words) + 2 <= CONTEXT_LENGTH
        assert [token.removesuffix("</w>") for token in tokens[1:-1]] == list(caption.words)
        for tag in filter(None, caption.tags):
            found = caption.tokens_of(tag.label, tag.entity)[tag.role]
            assert tokens[found].removesuffix("</w>") == caption.words[found - 1]


def test_unknown_words_fall_apart_but_are_not_lost(tokenizer):
    assert (
        tokenizer.decode(tokenizer("a red zebra").input_ids, skip_special_tokens=True).strip()
        == "a red zebra"
    )


def regression(folder, steps):
    """A line through points, learned by the loop; the batch follows from the step."""
    torch.manual_seed(0)
    model = torch.nn.Linear(1, 1)

    def loss_at(step):
        x = torch.linspace(-1, 1, 8)[:, None] + 0.01 * (step % 3)
        return {"loss": (model(x) - (3 * x - 1)).square().mean()}

    settings = LoopSettings(
        steps=steps, learning_rate=0.05, warmup=5, decay=0.0, weight_decay=0.0, averaging=0.9
    )
    return model, train(model, loss_at, settings, folder, "cpu")


def test_the_loop_learns_and_logs(tmp_path):
    model, average = regression(tmp_path, 400)
    assert model.weight.item() == pytest.approx(3, abs=0.02)
    assert average.bias.item() == pytest.approx(-1, abs=0.02)
    rows = list(csv.DictReader((tmp_path / "log.csv").open()))
    assert [int(row["step"]) for row in rows] == list(range(50, 401, 50))
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_a_resumed_loop_ends_where_an_unbroken_one_does(tmp_path):
    regression(tmp_path / "parts", 60)
    resumed, resumed_average = regression(tmp_path / "parts", 120)
    whole, whole_average = regression(tmp_path / "whole", 120)
    for one, other in ((resumed, whole), (resumed_average, whole_average)):
        assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_a_loss_that_is_not_finite_stops_the_loop(tmp_path):
    model = torch.nn.Linear(1, 1)
    with pytest.raises(FloatingPointError, match="the loss of step 0 is nan"):
        train(
            model,
            lambda step: {"loss": model.weight.sum() * float("nan")},
            LoopSettings(3, 0.1),
            tmp_path,
            "cpu",
        )


def test_a_window_names_what_it_holds():
    crops = [
        ("a orange box", (8, 8, 40, 40)),
        ("a white shoes", (90, 90, 120, 120)),
        ("a red ball", (50, 0, 90, 40)),
    ]
    rng = np.random.default_rng(0)
    assert _window_caption(crops, False, 0, 0, rng) == "an orange box"
    assert _window_caption(crops, True, 64, 0, rng) == "an orange box"
    assert _window_caption(crops, False, 64, 64, rng) == "white shoes"
    assert _window_caption(crops, False, 0, 64, rng) == ""
    assert set(_window_caption(crops, False, 30, 0, rng).split(" and ")) <= {"a red ball"}


def test_windows_are_cut_from_the_latents():
    latents = torch.arange(32 * 32).view(1, 1, 32, 32).expand(1, 4, 32, 32).float()
    cut, texts = windows(latents, [[]], batch=3)(np.random.default_rng(1))
    assert cut.shape == (3, 4, 16, 16) and texts == ["", "", ""]
    assert torch.equal(cut[0, 0, 1:, 1:] - cut[0, 0, :-1, :-1], torch.full((15, 15), 33.0))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """All stages, two steps each, on eight pictures."""
    folder = tmp_path_factory.mktemp("train")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "SHARD", 8)
        for module in ("clip", "unet"):
            patch.setattr(f"kp_helpers.figures.training.{module}.BATCH", 4)
        patch.setattr("kp_helpers.figures.training.unet.HALF_BATCH", 4)
        patch.setattr("kp_helpers.figures.training.unet.WINDOW_BATCH", 2)
        training = Training(folder, steps=2, pictures=8)
        for stage in STAGES[:-2]:
            getattr(training, stage)()
        training.assemble(folder / "model")
    return folder


def test_stages_make_a_pipeline_that_diffusers_loads(trained):
    pipeline = StableDiffusionPipeline.from_pretrained(
        trained / "model", local_files_only=True, use_safetensors=True, safety_checker=None
    )
    pipeline.set_progress_bar_config(disable=True)
    out = pipeline(["a red ball on grass"], num_inference_steps=2, output_type="np")
    assert out.images.shape == (1, 128, 128, 3)


def test_the_model_has_sds_read_out_layers(trained):
    diffusion = diffusion_module.load(trained / "model")
    assert attention.readout_layers(diffusion.unet) == (
        *(f"up_blocks.1.attentions.{n}.transformer_blocks.0.attn2" for n in range(3)),
        "up_blocks.2.attentions.0.transformer_blocks.0.attn2",
    )
    context = diffusion.encode_text(["a red ball on grass"])
    latents = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    sizes = [v.shape[-2:] for v in attention.logits(diffusion.unet, latents, 300, context).values()]
    assert sizes == [(16, 16)] * 3 + [(32, 32)]


def test_the_decoder_stage_keeps_the_latents(trained):
    one, two = (AutoencoderKL.from_pretrained(trained / "parts" / p) for p in ("vae", "decoder"))
    image = torch.rand(1, 3, 128, 128)
    assert torch.equal(one.encode(image).latent_dist.mean, two.encode(image).latent_dist.mean)
    assert not torch.equal(one.decoder.conv_in.weight, two.decoder.conv_in.weight)


def test_an_unknown_stage_is_named(capsys):
    assert main(["train", "--stage", "unnet"]) == 1
    assert "unnet is unknown, expected one of pictures, vae" in capsys.readouterr().err
