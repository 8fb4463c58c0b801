"""Which restart is kept."""

import numpy as np
import pytest
import torch

from kp_helpers import embeddings
from kp_helpers.config import AppendedStage, ConfigError, Reading
from kp_helpers.stages import AppendedTokens, Run, restarts

SETTINGS = AppendedStage(
    steps=2, images_per_step=1, reading=Reading(map_size=16, timestep=20), ratio=0.5, restarts=3, sigma=0.1
)


def test_agreement_is_numpys_correlation_with_the_others():
    maps = torch.rand(3, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    rows = maps.flatten(2).numpy()
    pairs = np.array(
        [[np.mean([np.corrcoef(a[n], b[n])[0, 1] for n in range(2)]) for b in rows] for a in rows]
    )
    expected = [np.mean([pairs[a, b] for b in range(3) if b != a]) for a in range(3)]
    assert restarts.agreement(maps).numpy() == pytest.approx(np.array(expected), abs=1e-6)


def test_one_that_stands_alone_is_not_kept(tiny_sd):
    """Two runs of nearly the same tokens, and one of others; its loss decides nothing."""
    base = embeddings.initialise(6, tiny_sd.context_width, 5, scale=4.0)
    images = torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(2))
    points = torch.tensor([[0.2, 0.3], [0.7, 0.6]])
    settings = SETTINGS.replace(restart_by="agreement", learning_rate=1e-6)
    run = Run(AppendedTokens(tiny_sd, base, images, points, settings))
    list(run)
    tokens, _ = run.tokens.detach(), run.result
    with torch.no_grad():
        run.tokens[2] = tokens[1] + 1e-4
    assert torch.equal(run.result.tokens, tokens[1]) or torch.equal(run.result.tokens, run.tokens[2])


@pytest.mark.parametrize("changes", [{"restarts": 2}, {"readout": "best"}])
def test_agreement_needs_three_and_one_map(changes):
    with pytest.raises(
        ConfigError, match="restart_by is 'agreement', restarts is . and readout '.*'; expected 3"
    ):
        SETTINGS.replace(restart_by="agreement", **changes)
