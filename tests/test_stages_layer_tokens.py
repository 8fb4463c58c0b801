"""Tokens of their own for each read-out layer, against products that are written out layer by layer."""

import pytest
import torch
import torch.nn.functional as F

from kp_helpers import attention, embeddings, reading, stages
from kp_helpers.config import AppendedStage, ConfigError, Reading, TestTime
from kp_helpers.embeddings import Appended, widened
from kp_helpers.stages import AppendedTokens, Run, starts

READING = Reading(map_size=16, timestep=20)
SETTINGS = AppendedStage(
    steps=2, images_per_step=1, reading=READING, seed=6, ratio=0.25, mode="readout", layer_tokens=True
)


@pytest.fixture(scope="module")
def base(tiny_sd):
    return embeddings.initialise(6, tiny_sd.context_width, 5, scale=4.0)


@pytest.fixture(scope="module")
def asked(tiny_sd, base):
    latents = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    return attention.queries(tiny_sd.unet, latents, 20, base)


def _logits(tiny_sd, asked, parts):
    """Upsampled logits (B, heads, M, 16, 16) of each layer under its own tokens (M, D)."""
    for query, tokens in zip(asked, parts, strict=True):
        module = tiny_sd.unet.get_submodule(query.layer)
        keys = (tokens @ module.to_k.weight.T).detach().unflatten(-1, (module.heads, -1))
        found = torch.einsum("nmd,bmdhw->bmnhw", keys, query.values).flatten(0, 1)
        fine = F.interpolate(found, size=(16, 16), mode="bicubic", align_corners=False)
        yield fine.unflatten(0, (len(query.values), -1))


@pytest.fixture(scope="module")
def wide(tiny_sd, asked):
    return embeddings.initialise(4, tiny_sd.context_width * len(asked), 1, scale=4.0)


def test_each_layer_reads_its_own_part(tiny_sd, asked, wide):
    fine = list(_logits(tiny_sd, asked, wide.chunk(len(asked), dim=1)))
    expected = torch.stack([one.softmax(dim=2).mean(dim=1) for one in fine]).mean(dim=0)
    found = attention.maps_from_queries(tiny_sd.unet, asked, wide, size=16)
    assert torch.allclose(found, expected, atol=1e-5)
    mean = torch.stack([one.mean(dim=(1, 2)) for one in fine]).mean(dim=0)
    spatial = attention.spatial_maps(tiny_sd.unet, asked, wide, size=16)[:, 0]
    assert torch.allclose(spatial, mean.flatten(1).softmax(dim=1).view_as(spatial), atol=1e-5)


def test_equal_parts_are_shared_tokens(tiny_sd, asked, wide):
    shared = wide[:, : tiny_sd.context_width]
    same = widened(shared, wide.shape[1])
    for maps_of in (attention.maps_from_queries, attention.spatial_maps):
        own, usual = (maps_of(tiny_sd.unet, asked, tokens, size=16) for tokens in (same, shared))
        assert torch.equal(own, usual)


def test_the_features_of_layers_stand_one_behind_the_other(tiny_sd, asked, wide):
    phi = starts.features(tiny_sd.unet, asked, 16, apart=True)
    found = torch.einsum("bdhw,nd->bnhw", phi, wide)
    fine = _logits(tiny_sd, asked, wide.chunk(len(asked), dim=1))
    assert torch.allclose(found, torch.stack([one.mean(dim=1) for one in fine]).mean(dim=0), atol=1e-4)


@pytest.mark.parametrize("changes", [{}, {"readout": "spatial", "init": "closed_form"}, {"init": "base"}])
def test_they_are_learned_saved_and_read(tiny_sd, base, tmp_path, changes):
    images = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(2))
    points = torch.tensor([[0.2, 0.3], [0.7, 0.6]])
    settings = SETTINGS.replace(**changes)
    run = Run(AppendedTokens(tiny_sd, base, images, points, settings))
    start = run.tokens.clone()
    records = list(run)
    learned = run.result
    layers = len(attention.readout_layers(tiny_sd.unet))
    assert learned.tokens.shape == (2, layers * tiny_sd.context_width) and len(records) == 2
    assert not torch.equal(learned.tokens, start) and learned.context.shape == (8, learned.tokens.shape[1])
    about = stages.metadata(tiny_sd, settings)
    path = embeddings.save(tmp_path / "e.safetensors", learned.tensors(), about)
    tensors, _ = embeddings.load(path, width=tiny_sd.context_width)
    again = Appended(tensors["base"], tensors["appended"], settings.readout, mode="readout")
    given = images, TestTime(read_size=32, reading=READING)
    maps = reading.read_appended(tiny_sd, again, *given)
    assert torch.equal(maps, reading.read_appended(tiny_sd, learned, *given)) and torch.isfinite(maps).all()


def test_tokens_that_fit_neither_way_are_refused(tiny_sd, base, tmp_path):
    width = tiny_sd.context_width
    about = stages.metadata(tiny_sd, SETTINGS)
    for name, columns in (("appended", 3 * width + 1), ("base", width * len(about["layers"]))):
        path = embeddings.save(
            tmp_path / "e.safetensors", {"base": base, name: torch.ones(2, columns)}, about
        )
        with pytest.raises(
            embeddings.EmbeddingError, match=f"{name!r} has width {columns}, expected the model"
        ):
            embeddings.load(path, width=width)
    with pytest.raises(ConfigError, match="layer_tokens is true and mode 'coupled', expected mode 'readout'"):
        SETTINGS.replace(mode="coupled")
