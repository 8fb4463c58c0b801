"""Attention on each family of Stable Diffusion: which layers, the same maps as the plain formulation."""

import copy
import resource
from contextlib import contextmanager

import pytest
import torch
from diffusers import UNet2DConditionModel, UNet2DModel
from helpers import tiny_sd

from benchmarks import plain
from kp_helpers import attention, diffusion

TIMESTEP = 100
CROSS, PLAIN = ("CrossAttnDownBlock2D", "CrossAttnUpBlock2D"), ("DownBlock2D", "UpBlock2D")
SIZES = {
    "sd15": {"cross_attention_dim": 768, "attention_head_dim": 8},
    "sd2": {
        "cross_attention_dim": 1024,
        "attention_head_dim": [5, 10, 20, 20],
        "use_linear_projection": True,
    },
    "sdxl": {
        "cross_attention_dim": 2048,
        "attention_head_dim": [5, 10, 20],
        "use_linear_projection": True,
        "block_out_channels": (320, 640, 1280),
        "down_block_types": (PLAIN[0], CROSS[0], CROSS[0]),
        "up_block_types": (CROSS[1], CROSS[1], PLAIN[1]),
        "transformer_layers_per_block": [1, 2, 10],
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 256,
        "projection_class_embeddings_input_dim": 2816,
    },
}
"""The published U-Nets' settings, but for those that are diffusers' own defaults."""
ONE_LAYER_A_MODULE = (
    "up_blocks.1.attentions.0.transformer_blocks.0.attn2",
    "up_blocks.1.attentions.1.transformer_blocks.0.attn2",
    "up_blocks.1.attentions.2.transformer_blocks.0.attn2",
    "up_blocks.2.attentions.0.transformer_blocks.0.attn2",
)
LAST_OF_THE_STACK = (
    "up_blocks.0.attentions.0.transformer_blocks.9.attn2",
    "up_blocks.0.attentions.1.transformer_blocks.9.attn2",
    "up_blocks.0.attentions.2.transformer_blocks.9.attn2",
    "up_blocks.1.attentions.0.transformer_blocks.1.attn2",
)


@pytest.fixture(scope="module", params=tiny_sd.FAMILIES)
def model(request, tmp_path_factory):
    folder = tiny_sd.make(tmp_path_factory.mktemp("family") / request.param, family=request.param)
    return diffusion.load(folder)


@pytest.fixture(scope="module")
def tiny_sdxl(tmp_path_factory):
    return diffusion.load(tiny_sd.make(tmp_path_factory.mktemp("family") / "xl", family="sdxl"))


def _inputs(model, height=16, width=16, batch=2):
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(batch, 4, height, width, generator=generator)
    return latents, 4 * torch.randn(7, model.context_width, generator=generator)


def _conditions(model, latents, pooled=None):
    """SDXL's beside the context: nothing pooled, sizes and offsets of a whole picture."""
    if model.text_encoder_2 is None:
        return None
    height, width = 8 * latents.shape[2], 8 * latents.shape[3]
    times = torch.tensor([[height, width, 0, 0, height, width]]).repeat(len(latents), 1)
    pooled = torch.zeros(len(latents), tiny_sd.POOLED) if pooled is None else pooled
    return {"text_embeds": pooled, "time_ids": times}


def _plain(model, latents, context, size, layers=None, pooled=None):
    layers = layers or attention.readout_layers(model.unet)
    conditions = _conditions(model, latents, pooled)
    return plain.attention_maps(
        model.unet, latents, TIMESTEP, context, layers=layers, size=size, conditions=conditions
    )


@pytest.mark.parametrize(
    "family, count, readout",
    [("sd15", 16, ONE_LAYER_A_MODULE), ("sd2", 16, ONE_LAYER_A_MODULE), ("sdxl", 70, LAST_OF_THE_STACK)],
)
def test_layers_of_the_published_sizes(family, count, readout):
    with torch.device("meta"):
        unet = UNet2DConditionModel(**SIZES[family])
    assert len(attention.cross_attention_layers(unet)) == count
    assert attention.readout_layers(unet) == readout


@pytest.mark.parametrize("sides, size", [((16, 16), 24), ((8, 24), (10, 30)), ((17, 22), (34, 44))])
def test_maps_and_gradient_of_the_plain_formulation(model, sides, size):
    latents, context = _inputs(model, *sides)
    found, wanted = (context.clone().requires_grad_(True) for _ in range(2))
    maps = attention.attention_maps(model.unet, latents, TIMESTEP, found, size=size)
    expected = _plain(model, latents, wanted, size)
    assert torch.allclose(maps, expected, atol=2e-5)
    assert maps.max() - maps.min() > 0.05  # the agreement is about maps that differ
    for both in (maps, expected):
        both[:, :3].square().sum().backward()
    assert torch.allclose(found.grad, wanted.grad, atol=1e-4 * wanted.grad.abs().max())


def test_layers_by_name(model):
    latents, context = _inputs(model)
    known = attention.cross_attention_layers(model.unet)
    layers = [known[5], known[-1], known[1]]
    maps = attention.attention_maps(model.unet, latents, TIMESTEP, context, layers=layers, size=20)
    assert torch.allclose(maps, _plain(model, latents, context, 20, layers), atol=2e-5)


def test_nothing_runs_behind_the_last_layer(model):
    latents, context = _inputs(model)
    last = attention.readout_layers(model.unet)[-1]
    transformer = model.unet.get_submodule(last.partition(".transformer_blocks")[0])
    passed = []
    hooks = [
        module.register_forward_hook(lambda *_: passed.append(1))
        for module in (transformer, model.unet.get_submodule(last), model.unet.conv_out)
    ]
    attention.attention_maps(model.unet, latents, TIMESTEP, context, size=8)
    for hook in hooks:
        hook.remove()
    assert not passed


def test_pooled_captions_of_sdxl(tiny_sdxl):
    latents, context = _inputs(tiny_sdxl)
    pooled = tiny_sdxl.pool_text(["a red ball", "dog"])
    maps = attention.attention_maps(tiny_sdxl.unet, latents, TIMESTEP, context, size=16, pooled=pooled)
    assert torch.allclose(maps, _plain(tiny_sdxl, latents, context, 16, pooled=pooled), atol=2e-5)
    assert not torch.allclose(maps, _plain(tiny_sdxl, latents, context, 16), atol=1e-4)


def test_pooled_captions_that_do_not_fit(tiny_sdxl, tiny_sd):
    latents, context = _inputs(tiny_sdxl)
    with pytest.raises(ValueError, match=r"pooled has shape \(1, 12\), expected \(2, 12\)"):
        attention.queries(tiny_sdxl.unet, latents, TIMESTEP, context, pooled=torch.zeros(1, 12))
    latents, context = _inputs(tiny_sd)
    with pytest.raises(ValueError, match="pooled was given, expected None"):
        attention.queries(tiny_sd.unet, latents, TIMESTEP, context, pooled=torch.zeros(2, 12))


def test_other_added_conditions_are_named(tiny_sd):
    latents, context = _inputs(tiny_sd)
    unet = copy.deepcopy(tiny_sd.unet)
    unet.register_to_config(addition_embed_type="image")
    with pytest.raises(ValueError, match="wants 'image' beside the context, expected nothing or 'text_time'"):
        attention.queries(unet, latents, TIMESTEP, context)


def test_a_unet_without_cross_attention_is_named():
    unconditional = UNet2DModel(block_out_channels=(8, 8, 8, 8), norm_num_groups=4, attention_head_dim=4)
    latents, context = torch.zeros(1, 4, 16, 16), torch.zeros(3, 8)
    with pytest.raises(ValueError, match="UNet2DModel has no cross-attention layer"):
        attention.attention_maps(unconditional, latents, TIMESTEP, context)
    unet = UNet2DConditionModel(
        block_out_channels=(8, 8),
        down_block_types=(PLAIN[0], CROSS[0]),
        up_block_types=(PLAIN[1], PLAIN[1]),
        cross_attention_dim=8,
        attention_head_dim=4,
        norm_num_groups=4,
    )
    with pytest.raises(ValueError, match="up path has 0 cross-attention modules, expected 4; name"):
        attention.attention_maps(unet, latents, TIMESTEP, context)


def test_too_little_memory_names_what_to_lower(tiny_sd):
    latents, context = _inputs(tiny_sd, batch=1)
    before = dict(tiny_sd.unet.attn_processors)
    with _at_most(2**28), pytest.raises(MemoryError, match="lower reading.map_size, the number of tokens"):
        attention.attention_maps(tiny_sd.unet, latents, TIMESTEP, context, size=8192)  # 1.9 GB
    assert tiny_sd.unet.attn_processors == before


@contextmanager
def _at_most(more: int):
    """Address space for so many more bytes than the process has, and no more."""
    limits = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        taken = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + more, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
