"""The training of the small model: its tokenizer, its loop, and all stages once."""

import copy
import csv

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from PIL import Image

from kp_helpers import attention
from kp_helpers import diffusion as diffusion_module
from kp_helpers.figures import pictures
from kp_helpers.figures.__main__ import main
from kp_helpers.figures.captions import describe, mention
from kp_helpers.figures.lexicon import CONTEXT_LENGTH, build_tokenizer, lexicon
from kp_helpers.figures.render import render
from kp_helpers.figures.scene import LIMBS, draw_scene
from kp_helpers.figures.training import stages
from kp_helpers.figures.training import unet as unet_stage
from kp_helpers.figures.training.batches import Shelf
from kp_helpers.figures.training.clip import cut, exchange_sides
from kp_helpers.figures.training.grounding import Named, Recorded, grounding_losses
from kp_helpers.figures.training.loop import LoopSettings, train
from kp_helpers.figures.training.rendering import rendered
from kp_helpers.figures.training.stages import STAGES, Training


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return build_tokenizer(tmp_path_factory.mktemp("tokenizer"))


def test_what_is_rendered_is_taken_in_turn_and_errors_are_told():
    taken = []
    with rendered(divmod, [(7, 2), (9, 4)], taken.append, enough=lambda: False, about="pairs"):
        assert taken == [(3, 1), (2, 1)]
    with (
        pytest.raises(ZeroDivisionError),
        rendered(divmod, [(7, 2), (7, 0)], taken.append, enough=lambda: len(taken) > 2, about="pairs"),
    ):
        pass


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
    with pytest.raises(FloatingPointError, match="a loss before step 3 is not finite"):
        train(
            model,
            lambda step: {"loss": model.weight.sum() * float("nan")},
            LoopSettings(3, 0.1),
            tmp_path,
            "cpu",
        )


def test_the_clock_can_end_a_run(tmp_path):
    model = torch.nn.Linear(1, 1)
    settings = LoopSettings(10**9, 0.1, warmup=1, minutes=0.005)
    train(model, lambda step: {"loss": model.weight.square().sum()}, settings, tmp_path, "cpu")
    again = copy.deepcopy(model.state_dict())
    train(model, lambda step: {"loss": model.weight.square().sum()}, settings, tmp_path, "cpu")
    assert torch.equal(model.weight, again["weight"]), "the minutes of all starts count together"


def test_a_cut_is_what_pillow_cuts_and_enlarges():
    image = np.random.default_rng(0).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    box = (20, 40, 84, 104)
    found = cut(torch.from_numpy(image)[None], torch.tensor([box]))[0].permute(1, 2, 0)
    theirs = Image.fromarray(image).crop(box).resize((128, 128), Image.Resampling.BILINEAR)
    inside = slice(2, -2)  # at the rim the cut may look beyond its box
    difference = (found.numpy() - (np.asarray(theirs) / 127.5 - 1))[inside, inside]
    assert np.abs(difference).max() < 0.02


def test_a_mirror_exchanges_the_sides():
    text = "waving with the left arm , the right leg bent"
    assert exchange_sides(text) == "waving with the right arm , the left leg bent"
    words = np.array([lexicon().index(word) for word in text.split()], np.uint8)
    mirrored = pictures.exchange_sides()[words]
    assert " ".join(lexicon()[place] for place in mirrored) == exchange_sides(text)


SIDED = 2
"""A scene whose first caption tells what the limbs do."""


@pytest.fixture(scope="module")
def shelf(tokenizer):
    """Twelve pictures; their latents hold the picture's number, and whether it is mirrored."""
    parts = []
    for seed in range(12):
        scene = draw_scene(seed)
        picture = render(scene)
        visible = pictures.visible_pairs(picture)
        captions = [describe(scene, 0, visible), mention(scene, 0, visible)]
        parts.append(pictures.name_pixels(picture, captions))
    shelf = Shelf(tokenizer, "cpu")
    latents = torch.arange(12)[:, None, None, None, None] + torch.tensor([0, 0.5])[:, None, None, None]
    shelf.add(latents.expand(12, 2, 4, 32, 32).half(), pictures.Naming.joined(parts))
    return shelf


def test_a_batch_is_drawn_with_its_words_and_mirror_images(shelf, tokenizer):
    batch = shelf.draw(torch.Generator().manual_seed(0), 200)
    numbers = batch.latents[:, 0, 0, 0]
    mirrored = numbers % 1 == 0.5
    assert 60 < mirrored.sum() < 140
    for row, number in enumerate(numbers.int().tolist()):
        kept = shelf.kept[1][number]
        assert torch.equal(batch.named.regions[row], kept.flip(-1) if mirrored[row] else kept)
    empty = (batch.tokens[:, 1:] == tokenizer.eos_token_id).all(dim=-1)
    assert 5 < empty.sum() < 40 and not batch.named.names[empty].any()


def test_words_name_their_pixels(shelf, tokenizer):
    """The pixels that a word names are those of the picture's own mask."""
    regions, table, words, names = (field[SIDED].numpy() for field in shelf.kept[1:])
    scene = draw_scene(SIDED)
    picture = render(scene)
    caption = describe(scene, 0, pictures.visible_pairs(picture))
    limbs = 0
    for place, tag in enumerate(caption.tags, start=1):
        assert lexicon()[words[0, place]] == caption.words[place - 1]
        if tag is None or tag.role == "side":
            assert not names[0, :, place].any()
            continue
        (kind,) = np.flatnonzero(names[0, :, place])
        rows = np.flatnonzero(table[:, kind] == names[0, kind, place])
        mask = picture.mask(tag.label, tag.entity)[1::2, 1::2]
        np.testing.assert_array_equal(np.isin(regions, rows), mask)
        limbs += tag.label in LIMBS
    assert limbs >= 2


def by_hand(maps, named):
    """The cross-entropy of one map (pixels, L) of a batch of one, with loops."""
    regions, table, names = (field[0].numpy() for field in named)
    side = int(len(maps) ** 0.5)
    step = 64 // side
    total = weight = 0.0
    for region in range(len(table)):
        mask = regions == region
        if not mask.any():
            continue
        target = np.zeros(64)
        for kind, share in enumerate((1, 2 / 3, 1 / 3)):
            own = [t for t in range(64) if names[kind, t] and names[kind, t] == table[region, kind]]
            for token in own:
                target[token] += share / len(own)
        if not target.any():
            continue
        target /= target.sum()
        for row in range(side):
            for column in range(side):
                part = mask[step * row : step * row + step, step * column : step * column + step].mean()
                heavy = part / mask.sum() ** 0.5
                total -= heavy * (target * np.log(maps[side * row + column].numpy())).sum()
                weight += heavy
    return total / weight


def test_shares_are_the_cross_entropy_worked_by_hand(shelf):
    batch = shelf.draw(torch.Generator().manual_seed(4), 1)
    maps = torch.rand(256, 64, generator=torch.Generator().manual_seed(1)).softmax(dim=-1)
    found = grounding_losses([maps[None]], batch.named, torch.tensor([50]))
    assert found["shares"].item() == pytest.approx(by_hand(maps, batch.named), rel=1e-4)


def test_limbs_are_told_from_the_other_limbs_that_are_named():
    """Two regions, a left arm and a left leg; the arm's word has 3 of the 4 parts of both everywhere."""
    regions = torch.zeros(1, 64, 64, dtype=torch.uint8)
    regions[..., 32:] = 1
    table, names = torch.zeros(1, 2, 3, dtype=torch.uint8), torch.zeros(1, 3, 4, dtype=torch.uint8)
    table[0, :, pictures.LIMB] = torch.tensor([1, 3])
    names[0, pictures.LIMB] = torch.tensor([0, 1, 3, 0])
    maps = torch.tensor([0.2, 0.6, 0.2, 0.0]).expand(1, 256, 4)
    named = Named(regions, table, names)
    expected = -(np.log(0.75) + np.log(0.25)) / 2
    low, high = (grounding_losses([maps], named, torch.tensor([t]))["limbs"].item() for t in (199, 200))
    assert low == pytest.approx(expected, rel=1e-5) and high == 0
    for other in (0, 5):  # alone, or beside another person's left arm
        names[0, pictures.LIMB, 2] = other
        assert grounding_losses([maps], named, torch.tensor([0]))["limbs"].item() == 0


def test_recording_does_not_change_what_the_unet_predicts():
    torch.manual_seed(0)
    plain = unet_stage.new_unet()
    recorded = Recorded(copy.deepcopy(plain), None)
    noisy, context = torch.randn(2, 4, 32, 32), torch.randn(2, 64, 128)
    shown = torch.ones(2, 64, dtype=torch.bool)
    shown[:, 40:] = False
    timestep = torch.tensor([10, 700])
    predicted, maps = recorded(noisy, timestep, context, shown)
    theirs = plain(noisy, timestep, context, encoder_attention_mask=shown).sample
    torch.testing.assert_close(predicted, theirs, rtol=1e-4, atol=1e-5)
    assert [tuple(one.shape) for one in maps] == [(2, 256, 64)] * 3 + [(2, 1024, 64)]
    for one in maps:
        torch.testing.assert_close(one.sum(dim=-1), torch.ones(one.shape[:2]))
        assert one[..., 40:].max() < 1e-6


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """All stages, two steps each, on eight pictures."""
    folder = tmp_path_factory.mktemp("train")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pictures, "SHARD", 8)
        patch.setattr("os.cpu_count", lambda: 1)  # each process has its imports to make
        for module in ("clip", "unet"):
            patch.setitem(getattr(stages, f"{module}_stage").BATCH, "cpu", 4)
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
