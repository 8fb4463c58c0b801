import pytest
import torch

from kp_helpers import attention, embeddings, geometry, keypoints, losses, stages
from kp_helpers.config import AppendedStage, BaseStage, Reading, randomness
from kp_helpers.heatmaps import gaussian_target
from kp_helpers.stages import AppendedTokens, BaseTokens, OptimisationError, Run

READING = Reading(map_size=32, timestep=20)
BASE = BaseStage(
    tokens=12, steps=3, images_per_step=2, candidates=8, keypoints=4, reading=READING, seed=5, init_scale=4.0
)
APPENDED = AppendedStage(steps=3, images_per_step=2, reading=READING, seed=6, ratio=0.25, augmentation_pool=2)


POINTS = torch.tensor([[0.2, 0.3], [0.7, 0.6], [0.5, 0.9]])


def _finished(run):
    records = list(run)
    return records, run.result


def test_base_stage_is_adam_on_the_losses_written_out(tiny_sd, images):
    records, found = _finished(Run(BaseTokens(tiny_sd, images, BASE)))
    context = embeddings.initialise(12, 32, 5, scale=4.0).requires_grad_(True)
    adam = torch.optim.Adam([context], lr=5e-3)
    for step, record in enumerate(records):
        adam.zero_grad()
        order = randomness.image_order(5, 3, 2 * step, 2)
        loss = sum(_base_loss(tiny_sd, images, context, image, step) for image in order) / 2
        loss.backward()
        adam.step()
        assert record.step == step and record.loss == pytest.approx(loss.item(), rel=1e-4)
    assert torch.allclose(found, context.detach(), atol=1e-5)


def _base_loss(model, images, context, image, step):
    theta = geometry.random_affine(randomness.generator(5, "view", step, image))
    both = torch.cat([images[image][None], geometry.warp(images[image][None], theta)])
    noise = randomness.generator(5, "noise", step, image)
    latents = model.add_noise(model.encode_image(both), 20, noise)
    plain, moved = attention.attention_maps(model.unet, latents, 20, context, size=32)
    candidates = keypoints.rank_gaussian(plain.detach(), 8, 0.5)  # two pixels of 128
    chosen = keypoints.furthest_points(moved.detach(), 4, candidates)
    near = losses.localization_loss(plain[chosen], 0.5)
    return 100 * near + 1000 * losses.equivariance_loss(plain[chosen], moved[chosen], theta)


def test_appended_stage_is_adam_on_the_new_tokens_alone(tiny_sd, images, base):
    settings = APPENDED.replace(steps=1, images_per_step=1)
    kept = base.clone()
    records, found = _finished(Run(AppendedTokens(tiny_sd, base, images, POINTS, settings)))
    assert torch.equal(base, kept) and torch.equal(found.base, kept) and found.tokens.shape == (3, 32)
    start = embeddings.initialise(3, 32, 6, purpose="appended").requires_grad_(True)
    adam = torch.optim.Adam([start], lr=0.1)
    (image,) = randomness.image_order(6, 3, 0, 1)
    theta = geometry.random_affine(randomness.generator(6, "view", 0, image))
    both = torch.cat([images[image][None], geometry.warp(images[image][None], theta)])
    latents = tiny_sd.add_noise(tiny_sd.encode_image(both), 20, randomness.generator(6, "noise", 0, image))
    maps = attention.attention_maps(tiny_sd.unet, latents, 20, torch.cat([base, start]), size=32)
    plain, moved = maps[:, 12:].sum(dim=1)
    target = gaussian_target(POINTS[image], 32, 0.05)
    loss = losses.localization_loss(plain[None], 1.6) + 5 * (plain - target).square().mean()
    loss = loss + losses.equivariance_loss(plain[None], moved[None], theta)
    loss.backward()
    adam.step()
    assert records[0].loss == pytest.approx(loss.item(), rel=1e-4)
    assert set(records[0].parts) == {"localization", "equivariance", "target"}
    assert torch.allclose(found.tokens, start.detach(), atol=1e-4)


@pytest.mark.parametrize(
    "changes",
    [
        {"mode": "readout"},
        {"mode": "readout", "readout": "best"},
        {"readout": "mean", "target": "cauchy", "init": "base"},
        {"objective": "cross_entropy"},
    ],
)
def test_every_choice_learns(tiny_sd, images, base, changes):
    """On one image, seen again and again, the target loss falls."""
    settings = APPENDED.replace(steps=12, images_per_step=1, augmentation_pool=1, **changes)
    records, found = _finished(Run(AppendedTokens(tiny_sd, base, images[:1], POINTS[:1], settings)))
    assert records[-1].parts["target"] < records[0].parts["target"]
    assert (found.best is not None) == (settings.readout == "best")
    assert found.context.shape == (15, 32) and not found.context.requires_grad


def test_readout_mode_is_the_full_softmax_under_the_bases_queries(tiny_sd, images, base):
    settings = APPENDED.replace(steps=1, images_per_step=1, mode="readout", target_weight=1.0)
    (record,), found = _finished(Run(AppendedTokens(tiny_sd, base, images, POINTS, settings)))
    start = embeddings.initialise(3, 32, 6, purpose="appended")
    (image,) = randomness.image_order(6, 3, 0, 1)
    noise = randomness.generator(6, "noise", 0, image)
    eps = torch.randn(2, 4, 16, 16, generator=noise)[:1]
    latents = tiny_sd.add_noise(tiny_sd.encode_image(images[image][None]), 20, noise=eps)
    asked = attention.queries(tiny_sd.unet, latents, 20, base)
    context = torch.cat([base, start])
    plain = attention.maps_from_queries(tiny_sd.unet, asked, context, size=32)[0, 12:].sum(dim=0)
    target = gaussian_target(POINTS[image], 32, 0.05)
    assert record.parts["target"] == pytest.approx((plain - target).square().mean().item(), rel=1e-4)
    assert found.mode == "readout"


@pytest.mark.parametrize("stage", ["base", "appended"])
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(tiny_sd, images, base, stage):
    def make(state=None):
        if stage == "base":
            return Run(BaseTokens(tiny_sd, images, BASE), state=state)
        return Run(AppendedTokens(tiny_sd, base, images, POINTS, APPENDED), state=state)

    records, expected = _finished(make())
    stopped = make()
    next(iter(stopped))
    resumed = make(stopped.state())
    assert len(resumed) == 2
    rest, found = _finished(resumed)
    expected, found = (getattr(result, "tokens", result) for result in (expected, found))
    assert torch.equal(found, expected) and rest == records[1:]


def test_ctrl_c_in_a_step_leaves_a_state_to_go_on_from_and_no_processor(tiny_sd, images, base, monkeypatch):
    records, expected = _finished(Run(AppendedTokens(tiny_sd, base, images, POINTS, APPENDED)))
    run = Run(AppendedTokens(tiny_sd, base, images, POINTS, APPENDED))
    steps = iter(run)
    next(steps)
    processors = dict(tiny_sd.unet.attn_processors)
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(tiny_sd.unet.mid_block, "forward", _interrupted)
        next(steps)
    assert run.state()["step"] == 1 and tiny_sd.unet.attn_processors == processors
    rest, found = _finished(Run(AppendedTokens(tiny_sd, base, images, POINTS, APPENDED), state=run.state()))
    assert rest == records[1:] and torch.equal(found.tokens, expected.tokens)


def _interrupted(*args, **kwargs):
    raise KeyboardInterrupt


def test_a_state_of_other_settings_is_refused(tiny_sd, images):
    state = Run(BaseTokens(tiny_sd, images, BASE)).state()
    with pytest.raises(OptimisationError, match="other settings"):
        Run(BaseTokens(tiny_sd, images, BASE.replace(learning_rate=1.0)), state=state)


def test_the_result_of_an_unfinished_run_is_refused(tiny_sd, images):
    run = Run(BaseTokens(tiny_sd, images, BASE))
    assert len(run) == 3
    with pytest.raises(OptimisationError, match="3 of 3 steps remain"):
        _ = run.result


def test_a_loss_that_is_nan_stops_at_its_step_with_the_last_good_state(tiny_sd, images, monkeypatch):
    run = Run(BaseTokens(tiny_sd, images, BASE))
    steps = iter(run)
    next(steps)
    before = run.state()
    monkeypatch.setattr(losses, "localization_loss", lambda maps, *_: maps.sum() * float("nan"))
    with pytest.raises(OptimisationError, match="step 1: the loss nan"):
        next(steps)
    after = run.state()
    assert after["step"] == 1 and torch.equal(after["tokens"], before["tokens"])


def test_points_are_checked(tiny_sd, images, base):
    with pytest.raises(ValueError, match=r"points have shape \(2, 2\), expected \(3, 2\)"):
        Run(AppendedTokens(tiny_sd, base, images, POINTS[:2], APPENDED))
    for wrong in (1.2, float("nan")):
        spoilt = POINTS.clone()
        spoilt[1, 0] = wrong
        with pytest.raises(ValueError, match="points: image 1 has"):
            Run(AppendedTokens(tiny_sd, base, images, spoilt, APPENDED))


def test_what_a_stage_learned_is_saved_and_loaded(tiny_sd, base, tmp_path):
    metadata = stages.metadata(tiny_sd, BASE)
    path = embeddings.save(tmp_path / "base.safetensors", {"context": base}, metadata)
    tensors, found = embeddings.load(path, fingerprint=tiny_sd.fingerprint, width=tiny_sd.context_width)
    assert torch.equal(tensors["context"], base)
    assert found["precision"] == "float32"
    assert found["timestep"] == 20 and found["seed"] == 5 and len(found["layers"]) == 4
    assert BaseStage(**found["settings"]) == BASE
