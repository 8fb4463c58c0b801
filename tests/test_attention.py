from contextlib import nullcontext

import pytest
import torch
from diffusers.models.attention_processor import AttnProcessor, AttnProcessor2_0

from kp_helpers import attention

TIMESTEP = 100


@pytest.fixture
def inputs(tiny_sd):
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, 4, 16, 16, generator=generator)
    context = 4 * torch.randn(7, tiny_sd.context_width, generator=generator)
    return tiny_sd.unet, latents, context


def test_a_context_for_each_image(inputs):
    unet, latents, context = inputs
    both = torch.stack([context, context.flip(0)])
    maps = attention.attention_maps(unet, latents, TIMESTEP, both, size=16)
    second = attention.attention_maps(unet, latents[1:], TIMESTEP, context.flip(0), size=16)
    assert torch.allclose(maps[1:], second, atol=1e-6)


def test_latents_that_are_no_square(inputs):
    unet, _, context = inputs
    latents = torch.randn(1, 4, 16, 32, generator=torch.Generator().manual_seed(1))
    found = attention.logits(unet, latents, TIMESTEP, context)
    assert [tuple(value.shape) for value in found.values()] == [(1, 8, 7, 4, 8)] * 3 + [(1, 8, 7, 8, 16)]


def test_logits_give_the_maps(inputs):
    unet, latents, context = inputs
    layer = attention.readout_layers(unet)[0]
    logits = attention.logits(unet, latents, TIMESTEP, context, layers=[layer])[layer]
    maps = attention.attention_maps(unet, latents, TIMESTEP, context, layers=[layer], size=logits.shape[-1])
    assert torch.allclose(logits.softmax(dim=2).mean(dim=1), maps, atol=1e-6)


def test_gradient_reaches_the_context_only(inputs):
    unet, latents, context = inputs
    unet.requires_grad_(True)
    learned = context.clone().requires_grad_(True)
    attention.attention_maps(unet, latents, TIMESTEP, learned, size=8)[:, 0].square().sum().backward()
    assert all(parameter.grad is None for parameter in unet.parameters())
    assert all(parameter.requires_grad for parameter in unet.parameters())
    unet.requires_grad_(False)
    direction = torch.randn(context.shape, generator=torch.Generator().manual_seed(2))
    ahead, behind = (_energy(unet, latents, context + s * 1e-2 * direction) for s in (1, -1))
    assert (learned.grad * direction).sum().item() == pytest.approx((ahead - behind) / 2e-2, rel=1e-2)


def _energy(unet, latents, context) -> float:
    maps = attention.attention_maps(unet, latents, TIMESTEP, context, size=8)
    return maps[:, 0].double().square().sum().item()


def test_rivals_compete_as_tokens_do(inputs):
    unet, latents, context = inputs
    asked = attention.queries(unet, latents, TIMESTEP, context[:4])
    together = attention.maps_from_queries(unet, asked, context, size=16)[:, 4:]
    rivals = attention.rival_sums(unet, asked, context[:4], size=16)
    alone = attention.maps_from_queries(unet, asked, context[4:], size=16, rivals=rivals)
    assert torch.allclose(alone, together, atol=1e-6)


@pytest.mark.parametrize("end", [None, RuntimeError, KeyboardInterrupt])
def test_processors_come_out_again_however_the_pass_ends(inputs, end):
    unet, latents, context = inputs

    def raising(*_):
        if end is not None:
            raise end

    unet.set_attn_processor(AttnProcessor())
    before = dict(unet.attn_processors)
    hook = unet.mid_block.register_forward_pre_hook(raising)
    with pytest.raises(end) if end else nullcontext():
        attention.attention_maps(unet, latents, TIMESTEP, context, size=8)
    hook.remove()
    assert unet.attn_processors == before
    unet.set_attn_processor(AttnProcessor2_0())


def test_an_unknown_layer_is_named_with_the_nearest(inputs):
    unet, latents, context = inputs
    with pytest.raises(ValueError, match=r"'up_blocks\.1\.attentions\.0'.*nearest are 'up_blocks\.1"):
        attention.attention_maps(unet, latents, TIMESTEP, context, layers=["up_blocks.1.attentions.0"])
    with pytest.raises(ValueError, match="at least one"):
        attention.attention_maps(unet, latents, TIMESTEP, context, layers=[])


def test_a_context_that_does_not_fit_is_named(inputs):
    unet, latents, context = inputs
    with pytest.raises(ValueError, match=r"\(7, 31\), expected \(N, 32\) or \(2, N, 32\)"):
        attention.attention_maps(unet, latents, TIMESTEP, context[:, :31])
    context[3, 1] = float("nan")
    with pytest.raises(ValueError, match="context holds NaN or infinite"):
        attention.attention_maps(unet, latents, TIMESTEP, context)


def test_maps_of_some_tokens_are_those_of_all(inputs):
    unet, latents, context = inputs
    maps = attention.attention_maps(unet, latents, TIMESTEP, context, size=(16, 24))
    assert maps.shape == (2, 7, 16, 24)
    for tokens in ([5, 0], slice(4, None)):
        some = attention.attention_maps(unet, latents, TIMESTEP, context, size=(16, 24), tokens=tokens)
        assert torch.allclose(some, maps[:, tokens], atol=1e-7)


def test_bfloat16_is_near_and_leaves_the_logits_in_float32(inputs):
    unet, latents, context = inputs
    maps = attention.attention_maps(unet, latents, TIMESTEP, context, size=16)
    near = attention.attention_maps(unet, latents, TIMESTEP, context, size=16, precision="bfloat16")
    assert near.dtype == torch.float32
    assert 0 < (near - maps).abs().max() < 0.05
    with pytest.raises(ValueError, match=r"'float8', expected one of float32, bfloat16"):
        attention.attention_maps(unet, latents, TIMESTEP, context, precision="float8")
