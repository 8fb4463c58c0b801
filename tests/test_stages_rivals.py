"""Runs with rivals, mirrored examples and restarts: from the start, and from the middle on."""

import pytest
import torch
import torch.nn.functional as F

from kp_helpers import attention, embeddings, geometry, losses, randomness, reading
from kp_helpers.config import AppendedStage, Reading
from kp_helpers.heatmaps import gaussian_target
from kp_helpers.stages import AppendedTokens, Run

READING = Reading(map_size=16, timestep=20)
SETTINGS = AppendedStage(
    steps=2, images_per_step=1, reading=READING, seed=6, ratio=0.25, augmentation_pool=2, sigma=0.1
)
POINTS, OTHERS = torch.tensor([[0.2, 0.3], [0.7, 0.6]]), torch.tensor([[0.6, 0.3], [torch.nan, 0.5]])


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def base(tiny_sd):
    return embeddings.initialise(8, tiny_sd.context_width, 5, scale=4.0)


def _finished(run):
    return list(run), run.result


@pytest.mark.parametrize("mode", ["coupled", "readout"])
def test_rivals_are_learned_from_mirrored_pictures_and_compete(tiny_sd, images, base, mode):
    """The first step whose picture is a mirrored one, written out."""
    settings = SETTINGS.replace(mode=mode, mirror="rivals", steps=1, seed=_seed_that_begins_with(2))
    (record,), found = _finished(Run(AppendedTokens(tiny_sd, base, images, POINTS, settings)))
    seed, start = settings.seed, []
    for purpose in ("appended", "rivals"):
        start.append(embeddings.initialise(2, 32, seed, purpose=purpose))
    tokens = torch.cat(start).requires_grad_(True)
    adam, theta = torch.optim.Adam([tokens], lr=0.1), _view(seed)
    both = torch.cat([images[:1].flip(-1), geometry.warp(images[:1].flip(-1), theta)])
    noise = randomness.generator(seed, "noise", 0, 2)
    latents = tiny_sd.add_noise(tiny_sd.encode_image(both), 20, noise)
    context = torch.cat([base, tokens])
    asked = attention.queries(tiny_sd.unet, latents, 20, context if mode == "coupled" else base)
    maps = attention.maps_from_queries(tiny_sd.unet, asked, context, size=16)
    plain, moved = maps[:, 10:].sum(dim=1)
    target = (plain - gaussian_target(torch.tensor([0.8, 0.3]), 16, 0.1)).square().mean()
    near = losses.localization_loss(plain[None], 0.8)
    loss = near + losses.equivariance_loss(plain[None], moved[None], theta) + 5 * target
    loss.backward()
    adam.step()
    assert record.loss == pytest.approx(loss.item(), rel=1e-4)
    assert torch.allclose(found.tokens, tokens[:2].detach(), atol=1e-4)
    assert torch.allclose(found.rivals, tokens[2:].detach(), atol=1e-4)


@pytest.mark.parametrize("mode", ["coupled", "readout"])
def test_a_spatial_map_is_the_mean_logits_softmax_over_pixels(tiny_sd, images, base, mode):
    """The first step's target loss and what is read in the end, from mean logits that are written out."""
    settings = SETTINGS.replace(mode=mode, readout="spatial", objective="cross_entropy", steps=1)
    seed = next(seed for seed in range(99) if randomness.image_order(seed, 2, 0, 1) == [0])
    (record,), found = _finished(
        Run(AppendedTokens(tiny_sd, base, images, POINTS, settings.replace(seed=seed)))
    )
    tokens = embeddings.initialise(2, 32, seed, purpose="appended")
    noise = randomness.generator(seed, "noise", 0, 0)
    latents = tiny_sd.add_noise(tiny_sd.encode_image(images[:1].repeat(2, 1, 1, 1)), 20, noise)[:1]
    target = gaussian_target(POINTS[:1], 16, 0.1).flatten()
    for learned, loss in ((tokens, record.parts["target"]), (found.tokens, None)):
        context = torch.cat([base, learned]) if mode == "coupled" else base
        asked = attention.queries(tiny_sd.unet, latents, 20, context)
        fine = []
        for query in asked:
            module = tiny_sd.unet.get_submodule(query.layer)
            keys = module.to_k(learned).unflatten(-1, (module.heads, -1))
            logits = torch.einsum("nmd,bmdhw->bmnhw", keys, query.values).mean(dim=(1, 2))
            fine.append(F.interpolate(logits[:, None], size=(16, 16), mode="bicubic", align_corners=False))
        expected = torch.stack(fine).mean(dim=0).flatten().softmax(dim=0).detach()
        if loss is not None:
            assert loss == pytest.approx(-(target / target.sum() * expected.log()).sum().item(), rel=1e-4)
        else:
            read = reading.joint_map(tiny_sd, found, asked, READING.map_size)
            assert torch.allclose(read.flatten(), expected, atol=1e-6)


def _seed_that_begins_with(image: int) -> int:
    return next(seed for seed in range(99) if randomness.image_order(seed, 4, 0, 1) == [image])


def _view(seed):
    return geometry.random_affine(randomness.generator(seed, "view", 0, 2))


def test_of_several_restarts_that_with_the_smallest_target_loss_is_kept(tiny_sd, images, base):
    stage = Run(AppendedTokens(tiny_sd, base, images, POINTS, SETTINGS.replace(mode="readout", restarts=3)))
    records, found = _finished(stage)
    fits = []
    for tokens in stage.tokens.detach():
        total = 0
        for image in range(2):
            eps = torch.randn(2, 4, 16, 16, generator=randomness.generator(6, "noise", 0, image))[:1]
            latents = tiny_sd.add_noise(tiny_sd.encode_image(images[image][None]), 20, noise=eps)
            asked = attention.queries(tiny_sd.unet, latents, 20, base)
            context = torch.cat([base, tokens])
            plain = attention.maps_from_queries(tiny_sd.unet, asked, context, size=16)[0, 8:].sum(0)
            total += (plain - gaussian_target(POINTS[image], 16, 0.1)).square().mean().item()
        fits.append(total)
    assert torch.equal(found.tokens, stage.tokens[fits.index(min(fits))].detach())
    first, _ = _finished(Run(AppendedTokens(tiny_sd, base, images, POINTS, SETTINGS.replace(mode="readout"))))
    assert records[0].loss != first[0].loss, "the mean over restarts"


@pytest.mark.parametrize("changes", [{"mirror": "rivals"}, {"restarts": 2, "init": "closed_form"}])
def test_a_resumed_run_is_the_uninterrupted_one(tiny_sd, images, base, changes):
    settings = SETTINGS.replace(mode="readout", **changes)
    records, expected = _finished(Run(AppendedTokens(tiny_sd, base, images, POINTS, settings)))
    stopped = Run(AppendedTokens(tiny_sd, base, images, POINTS, settings))
    next(iter(stopped))
    rest, found = _finished(
        Run(AppendedTokens(tiny_sd, base, images, POINTS, settings), state=stopped.state())
    )
    assert rest == records[1:] and torch.equal(found.learned, expected.learned)
