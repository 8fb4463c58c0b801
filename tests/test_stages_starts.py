"""Where tokens start: the fit against solutions by hand, and starts whose maps are known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from kp_helpers import attention, embeddings
from kp_helpers.config import AppendedStage, Reading
from kp_helpers.heatmaps import gaussian_target
from kp_helpers.stages import AppendedTokens, Run, linear, starts


@pytest.fixture(scope="module")
def asked(tiny_sd):
    base = embeddings.initialise(6, tiny_sd.context_width, 5, scale=4.0)
    latents = torch.randn(2, 4, 16, 16, generator=torch.Generator().manual_seed(0))
    return attention.queries(tiny_sd.unet, latents, 20, base)


def _mean_logits(tiny_sd, asked, tokens, size):
    """Of each token, (B, N, size, size), by torch's own interpolation."""
    fine = []
    for query in asked:
        module = tiny_sd.unet.get_submodule(query.layer)
        keys = module.to_k(tokens).unflatten(-1, (module.heads, -1))
        logits = torch.einsum("nmd,bmdhw->bmnhw", keys, query.values).mean(dim=1)
        fine.append(F.interpolate(logits, size=(size, size), mode="bicubic", align_corners=False))
    return torch.stack(fine).mean(dim=0).detach()


def test_a_tokens_mean_logit_is_linear_in_the_features(tiny_sd, asked):
    tokens = embeddings.initialise(3, tiny_sd.context_width, 1)
    found = torch.einsum("bdhw,nd->bnhw", starts.features(tiny_sd.unet, asked, 16), tokens)
    assert torch.allclose(found, _mean_logits(tiny_sd, asked, tokens, 16), atol=1e-5)


def test_the_direction_is_numpys_ridge(tiny_sd, asked):
    """Features from the mean logits of unit vectors, in numpy."""
    unit = torch.eye(tiny_sd.context_width)
    rows = _mean_logits(tiny_sd, asked, unit, 16).double().movedim(1, -1).flatten(0, 2).numpy()
    targets = gaussian_target(torch.tensor([[0.3, 0.4], [0.7, 0.6]]), 16, 0.1)
    goal = targets.double().flatten().numpy()
    rows, goal = rows - rows.mean(axis=0), goal - goal.mean()
    gram = rows.T @ rows
    expected = np.linalg.solve(gram + 0.1 * np.trace(gram) / len(gram) * np.eye(len(gram)), rows.T @ goal)
    seen = zip(starts.features(tiny_sd.unet, asked, 16), targets, strict=True)
    found = starts.direction(seen, 0.1).numpy()
    assert found == pytest.approx(expected / (rows @ expected).std(), rel=1e-3, abs=1e-4)
    assert (rows @ found).std() == pytest.approx(1, rel=1e-4)


def test_a_linear_problem_is_solved():
    """Features of which one fixed mixture is the target: a weak penalty finds the mixture."""
    generator = torch.Generator().manual_seed(0)
    seen, weights = torch.randn(3, 5, 8, 8, generator=generator), torch.tensor([1.0, -2.0, 0.5, 0.0, 3.0])
    pairs = [(one, torch.einsum("dhw,d->hw", one, weights) + 7) for one in seen]
    found = starts.direction(pairs, 1e-9)
    assert F.cosine_similarity(found, weights, dim=0).item() == pytest.approx(1, abs=1e-6)


class OnApple(torch.Tensor):
    """A tensor that says it is on Apple's GPU, and has no float64 there."""

    device = property(lambda _: torch.device("mps"))

    def double(self):
        raise TypeError("Cannot convert a MPS Tensor to float64 dtype")

    def cpu(self):
        return self.as_subclass(torch.Tensor)


def test_row_90_where_there_is_no_float64_a_fit_goes_through_the_cpu():
    generator = torch.Generator().manual_seed(0)
    seen, targets = torch.randn(3, 5, 8, 8, generator=generator), torch.rand(3, 8, 8, generator=generator)
    there = [tensor.as_subclass(OnApple) for tensor in (seen, targets)]

    def token(features, maps):
        return starts.direction(zip(features, maps, strict=True), 0.1)

    def weights(features, maps):
        return linear.fit(linear.moments(features, maps), 1.0).weights

    for found in (token, weights):
        assert torch.equal(found(*there), found(seen, targets))


SETTINGS = AppendedStage(
    steps=1, images_per_step=1, reading=Reading(map_size=16, timestep=20), seed=6, ratio=0.25, sigma=0.1
)
POINTS = torch.tensor([[0.2, 0.3], [0.7, 0.6]])


@pytest.fixture(scope="module")
def images():
    """A bright disc at the point."""
    found = gaussian_target(POINTS, 128, 0.1)[:, None].repeat(1, 3, 1, 1)
    return (found + 0.2 * torch.rand(found.shape, generator=torch.Generator().manual_seed(0))).clamp(0, 1)


def _run(tiny_sd, base, images, **changes):
    return Run(AppendedTokens(tiny_sd, base, images, POINTS, SETTINGS.replace(**changes)))


@pytest.mark.parametrize("changes", [{}, {"mode": "readout"}])
def test_a_fitted_start_begins_nearer_to_the_target_than_noise(tiny_sd, base, images, changes):
    common = {"objective": "cross_entropy", **changes}
    noise, fitted = (
        next(iter(_run(tiny_sd, base, images, init=init, **common))) for init in ("random", "closed_form")
    )
    assert fitted.parts["target"] < noise.parts["target"]


def test_fitted_tokens_point_one_way_and_none_is_another(tiny_sd, base, images):
    tokens = _run(tiny_sd, base, images, init="closed_form", mode="readout").tokens
    cosines = torch.nn.functional.cosine_similarity(tokens[:, None], tokens[None], dim=-1)
    assert tokens.shape == (3, 32) and (cosines[~torch.eye(3).bool()] < 0.9999).all()
    assert (cosines > 0.95).all()


def test_a_random_start_follows_from_the_seed(tiny_sd, base, images):
    start = _run(tiny_sd, base, images).tokens
    assert torch.equal(start, embeddings.initialise(3, 32, 6, purpose="appended"))
