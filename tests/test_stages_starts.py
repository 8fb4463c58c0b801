"""What the tokens of a run start from."""

import pytest
import torch

from kp_helpers import embeddings
from kp_helpers.config import AppendedStage, Reading
from kp_helpers.heatmaps import gaussian_target
from kp_helpers.stages import AppendedTokens, Run

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
