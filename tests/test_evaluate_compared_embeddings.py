"""Compared embeddings against numpy's correlation, and embeddings that are known to be alike."""

import numpy as np
import pytest
import torch

from kp_helpers import config, reading
from kp_helpers.embeddings import Appended
from kp_helpers.evaluate import map_correlations, token_cosines

TEST = config.profile("smoke").test


@pytest.fixture(scope="module")
def learned(tiny_sd):
    generator = torch.Generator().manual_seed(0)
    base, one, two = (torch.randn(n, tiny_sd.context_width, generator=generator) for n in (5, 3, 3))
    return [Appended(base, tokens, mode="readout") for tokens in (one, two, one)]


def test_correlations_are_numpys_over_pixels(tiny_sd, learned):
    images = torch.rand(
        2, 3, tiny_sd.image_size, tiny_sd.image_size, generator=torch.Generator().manual_seed(1)
    )
    found = map_correlations(tiny_sd, learned, images, TEST)
    maps = [reading.read_appended(tiny_sd, one, images, TEST) for one in learned[:2]]
    known = [np.corrcoef(a.flatten(), b.flatten())[0, 1] for a, b in zip(*maps, strict=True)]
    assert found.shape == (3, 3) and found[0, 1] == pytest.approx(np.mean(known), abs=1e-4)
    assert torch.allclose(found.diagonal(), torch.ones(3), atol=1e-5) and found[0, 2] > 0.9999


def test_cosines_are_of_tokens_in_their_order(learned):
    found = token_cosines(learned)
    by_hand = torch.nn.functional.cosine_similarity(learned[0].tokens, learned[1].tokens, dim=1).mean()
    assert found[0, 1] == pytest.approx(float(by_hand), abs=1e-6) and found[0, 2] == pytest.approx(
        1, abs=1e-6
    )
