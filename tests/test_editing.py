"""The instructed model and its training: against diffusers, formulas by hand and the model that it was."""

import json

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionInstructPix2PixPipeline

from kp_helpers import diffusion
from kp_helpers.diffusion import ModelError
from kp_helpers.editing import evaluate, filters, instructed, training
from kp_helpers.editing.pairs import Pairs, growing_pairs, model_pairs, rendered_pairs
from kp_helpers.figures.edit_scores import Scores
from kp_helpers.figures.judge import Judge, Similarities


@pytest.fixture(scope="module")
def figures():
    return diffusion.load("figures", "cpu")


@pytest.fixture(scope="module")
def changed(figures):
    """A widened U-Net that does look at the picture."""
    unet = instructed.widened(figures.unet)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(1)
        unet.conv_in.weight[:, 4:] = 0.05 * torch.randn(unet.conv_in.weight[:, 4:].shape, generator=generator)
    return unet.requires_grad_(False).eval()


@torch.no_grad()
def test_the_widened_model_begins_as_the_base(figures):
    wide = instructed.widened(figures.unet)
    noised, picture = torch.randn(2, 2, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    context = instructed.context_of(figures, ["make the ball red", ""])
    assert wide.config.in_channels == 8 and wide.conv_in.weight.shape[1] == 8
    own = wide(torch.cat([noised, picture], dim=1), 500, context).sample
    torch.testing.assert_close(own, figures.unet(noised, 500, context).sample)
    assert figures.unet.conv_in.weight.shape[1] == 4, "the base stays as it was"


def test_edits_are_those_of_the_pipeline_of_diffusers(figures, changed):
    """The same noise, scales and steps; the pipeline encodes the picture itself."""
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    said = ["make the ball red", "remove the dog"]
    tokenizer = figures.tokenizer.__class__.from_pretrained(figures.folder / "tokenizer")
    tokenizer.model_max_length = instructed.INSTRUCTION_TOKENS
    pipeline = StableDiffusionInstructPix2PixPipeline(
        vae=figures.vae,
        text_encoder=figures.text_encoder,
        tokenizer=tokenizer,
        unet=changed,
        scheduler=DDIMScheduler.from_config(figures.scheduler.config, clip_sample=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    options = {"num_inference_steps": 4, "guidance_scale": 3.0, "image_guidance_scale": 1.5}
    noise = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(5))
    theirs = pipeline(said, image=images, latents=noise, output_type="latent", **options).images
    own = instructed.edit(figures, changed, figures.encode_image(images), said, 3.0, 1.5, steps=4, seed=5)
    torch.testing.assert_close(own, theirs, atol=2e-4, rtol=1e-3)


def test_equation_3_by_hand():
    nothing, picture, both = torch.tensor([1.0]), torch.tensor([3.0]), torch.tensor([4.0])
    assert instructed.guided(nothing, picture, both, 1.5, 7.5).item() == 1 + 1.5 * 2 + 7.5 * 1
    assert instructed.guided(nothing, picture, both, 1.0, 1.0).item() == 4, "both scales 1: the model itself"


def test_as_many_instructions_as_pictures(figures, changed):
    with pytest.raises(ValueError, match="1 instructions for 2 pictures, expected one each"):
        instructed.edit(figures, changed, torch.zeros(2, 4, 16, 16), ["make the ball red"])


def test_what_is_shipped_is_the_difference_to_the_base(figures, changed, tmp_path):
    path = instructed.save(tmp_path / "own.safetensors", figures, changed, {"steps": 0})
    read = instructed.load(figures, path)
    worst = changed.conv_in.weight.sub(figures.unet.conv_in.weight.repeat(1, 2, 1, 1)).abs().amax() / 254
    for name, tensor in changed.state_dict().items():
        torch.testing.assert_close(read.state_dict()[name], tensor, atol=float(worst) + 1e-6, rtol=0)


def test_a_difference_to_another_model_is_refused(figures, changed, tmp_path, tiny_sd):
    path = instructed.save(tmp_path / "own.safetensors", figures, changed, {})
    with pytest.raises(
        ModelError, match="own.safetensors: it was trained from U-Net .* train it with python"
    ):
        instructed.load(tiny_sd, path)


def test_each_condition_is_dropped_in_a_tenth_and_both_in_a_twentieth():
    no_text, no_picture = training.dropped(200_000, torch.Generator().manual_seed(0))
    shares = [no_text & ~no_picture, no_picture & ~no_text, no_text & no_picture]
    np.testing.assert_allclose([share.float().mean() for share in shares], 0.05, atol=0.003)


def test_changed_places_weigh_as_the_root_of_their_area():
    before = torch.zeros(1, 4, 20, 20)
    after = before.clone()
    after[:, :, :4, :4] = 1  # 16 of 400 places
    weights = training.weights(before, after)
    assert weights.mean().item() == pytest.approx(1, abs=1e-5)
    assert (weights[0, :4, :4].sum() / weights.sum()).item() == pytest.approx((16 / 400) ** 0.5, abs=1e-4)


def test_the_loss_is_zero_for_the_right_answer(figures, monkeypatch):
    """A model that knows the noise: eps follows from v and z_t, and so does the pair's second latent."""
    monkeypatch.setattr(training, "DROPPED", 0)
    latents = torch.randn(6, 4, 16, 16, generator=torch.Generator().manual_seed(0)).half()
    pairs = Pairs(latents, latents, [["make the ball red"]] * 6)

    class Knowing(torch.nn.Module):
        def forward(self, seen, timestep, context):
            abar = figures.scheduler.alphas_cumprod[timestep][:, None, None, None]
            clean = seen[:, 4:] * figures.vae.config.scaling_factor
            noise = (seen[:, :4] - abar.sqrt() * clean) / (1 - abar).sqrt()
            self.sample = abar.sqrt() * noise - (1 - abar).sqrt() * clean
            return self

    losses = [float(training.loss_at(figures, Knowing(), pairs, step)) for step in range(10)]
    assert max(losses) < 1e-4


def test_windows_are_of_the_same_place_and_hold_the_change():
    before = torch.arange(16 * 16.0).view(1, 1, 16, 16).repeat(4, 1, 1, 1)
    after = before.clone()
    after[:, :, 13, 2] += 1
    for step in (1, 2, 3):
        own, other = training.windows(before, after, torch.Generator().manual_seed(step))
        assert own.shape[-2:] == (8, 8) and ((other - own).sum(dim=(1, 2, 3)) == 1).all()


def test_a_cpu_sees_windows_and_every_eighth_time_the_whole():
    latents = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    pairs = Pairs(latents, -latents, [["a"], ["b"]])
    sides = [training.draw(pairs, step).after.shape[-1] for step in range(9)]
    assert sides == [16, *[8] * 7, 16]
    assert training.draw(pairs, 1, training.ON_GPU).after.shape == (512, 4, 16, 16)


def test_pairs_on_disk(tmp_path):
    latents = torch.randn(2, 4, 8, 8)
    first = Pairs(latents, latents + 1, [["a"], ["b", "c"]]).save(tmp_path / "one.safetensors")
    both = Pairs.load(first, first)
    assert len(both) == 4 and both.instructions == [["a"], ["b", "c"]] * 2
    torch.testing.assert_close(both.before[2:].float(), latents, atol=1e-2, rtol=1e-2)


def test_pairs_that_come_while_a_model_trains_are_those_on_disk(figures, tmp_path, monkeypatch):
    for size in ("SHARD", "PART"):
        monkeypatch.setattr(f"kp_helpers.editing.pairs.{size}", 2)
    monkeypatch.setattr("os.cpu_count", lambda: 1)  # each process has its imports to make
    with growing_pairs(figures, 4) as growing:
        assert len(growing) == 4
    kept = rendered_pairs(figures, tmp_path, 4)
    assert growing.instructions == kept.instructions
    torch.testing.assert_close(growing.after.float(), kept.after, atol=5e-3, rtol=5e-3)


def test_pairs_of_the_model_are_made_once(figures, tmp_path, monkeypatch):
    pairs, drawn = model_pairs(figures, tmp_path, triplets=1, each=2)
    assert len(pairs) == len(drawn) == 2 and drawn[0] is drawn[1]
    assert (pairs.before[0] - pairs.before[1]).abs().mean() > 0.1, "noise of their own"
    assert pairs.instructions[0] == [drawn[0].instruction(wording) for wording in range(4)]
    monkeypatch.setattr("kp_helpers.editing.pairs.generate_pairs", None)
    again, _ = model_pairs(figures, tmp_path, triplets=1, each=2)
    assert torch.equal(again.after, pairs.after)


def test_as_many_pairs_are_kept_with_filters_as_without(figures, tmp_path, monkeypatch):
    monkeypatch.setattr(filters, "_TRUE_PAIRS", 3)
    yields = filters.filtered_pairs(figures, tmp_path, triplets=1, each=4)
    sets = [Pairs.load(tmp_path / f"{name}.safetensors") for name in ("filtered", "unfiltered")]
    assert yields["pairs"] == 4 and [len(one) for one in sets] == [yields["kept"]] * 2
    assert yields["kept"]
    assert yields == json.loads((tmp_path / "filters.json").read_text())


def test_three_sets_of_pairs_teach_alike_and_are_measured_alike(figures, tmp_path, monkeypatch):
    monkeypatch.setattr("kp_helpers.editing.pairs.SHARD", 2)
    latents = torch.randn(2, 4, 32, 32, generator=torch.Generator().manual_seed(0))
    for name in ("filtered", "unfiltered"):
        Pairs(latents, -latents, [["make the ball red"]] * 2).save(tmp_path / f"{name}.safetensors")
    (tmp_path / "filters.json").write_text('{"kept": 2}')
    found = evaluate.compare_pairs(figures, tmp_path, steps=1, count=1)
    (tmp_path / "pairs.json").write_text(json.dumps(found))
    scores, content = evaluate.load(tmp_path / "pairs.json")
    assert [len(one.changed) for one in scores.values()] == [1, 1, 1]
    assert scores["filtered"] == scores["unfiltered"] != scores["rendered"]
    assert content["yields"] == {"kept": 2} and content["base"] == figures.fingerprint


def test_the_shipped_comparison_is_of_the_shipped_model(figures):
    scores, content = evaluate.load(evaluate.PAIRS)
    assert content["base"] == figures.fingerprint
    assert set(scores) == {"filtered", "unfiltered", "rendered"}
    assert len({len(one.changed) for one in scores.values()}) == 1


def test_filters_and_the_best_of_each_triplet():
    seen = Similarities(
        torch.tensor([0.9, 0.6, 0.9, 0.8]),
        torch.tensor([0.3, 0.3, 0.1, 0.3]),
        torch.tensor([0.3, 0.3, 0.3, 0.5]),
    )
    passed = filters.passed(seen, filters.PAPERS)
    assert passed["all"].tolist() == [True, False, False, True]
    assert passed["picture to text"].tolist() == [True, True, False, True]
    kept = filters.best_of(seen.direction, passed["all"], torch.tensor([0, 0, 0, 0]), most=1)
    assert kept.tolist() == [3]


def test_direction_is_the_cosine_of_two_changes(figures):
    judge = Judge("judge")
    images = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(2))
    said = [["a red ball", "a dog"], ["a blue ball", "a tree"]]
    found = judge.similarities(images, images.flip(0), *said)
    pictures, texts = judge.of_pictures(images), [judge.of_texts(one) for one in said]
    larger = torch.nn.functional.interpolate(images, scale_factor=4)
    torch.testing.assert_close(judge.of_pictures(larger), pictures)
    moved, told = pictures[1] - pictures[0], texts[1][0] - texts[0][0]
    by_hand = float(moved @ told / moved.norm() / told.norm())
    assert found.direction[0].item() == pytest.approx(by_hand, abs=1e-5)
    still = judge.similarities(images, images, *said)
    assert still.direction.tolist() == [0, 0] and still.pictures.min() > 0.999


def test_shares_count_pictures_on_which_both_hold():
    scores = Scores(changed=[True, True, False, False], kept=[True, False, True, False])
    shares = {name: value for name, (value, _, _) in scores.shares().items()}
    assert shares == {"attribute changed": 0.5, "others kept": 0.5, "changed and others kept": 0.25}
