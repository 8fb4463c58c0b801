"""The kit against the published implementation's numbers; tests/data/README.md says where they come from.

Run with -s for the largest differences.
"""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from helpers.published import CONFIG, NUMBERS, noised, tensor, unet

from kp_helpers import attention, heatmaps, keypoints, losses, regress

SIZE = CONFIG["up"]
TIMESTEP = int(NUMBERS["timestep"])


@pytest.fixture(scope="module")
def steps() -> list[dict]:
    """What the kit computes for three Adam steps of the base stage."""
    context = tensor("context")[0].clone().requires_grad_(True)
    optimizer = torch.optim.Adam([context], lr=5e-3)
    return [_step(k, context, optimizer) for k in range(3)]


def _step(k: int, context: torch.Tensor, optimizer: torch.optim.Adam) -> dict:
    latents = torch.cat([noised("z", f"step{k}_noise"), noised("z_t", f"step{k}_noise_t")])
    plain, moved = attention.attention_maps(unet(), latents, TIMESTEP, context, size=SIZE)
    candidates = keypoints.rank_gaussian(plain.detach(), CONFIG["cand"], sigma=2.0)
    selected = keypoints.furthest_points(moved.detach(), CONFIG["k"], candidates)
    localization = losses.localization_loss(plain[selected], sigma=2.0)
    equivariance = losses.equivariance_loss(plain[selected], moved[selected], tensor("theta"))
    loss = 100 * localization + 1000 * equivariance
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return {
        "maps": plain.detach(),
        "maps_t": moved.detach(),
        "candidates": candidates,
        "selected": selected,
        "localization": float(localization.detach()),
        "equivariance": float(equivariance.detach()),
        "loss": float(loss.detach()),
        "grad": context.grad.clone(),
        "context": context.detach().clone(),
    }


def _show(what: str, difference: float) -> float:
    print(f"parity: {what}: {difference:.2e}")
    return difference


@pytest.mark.parametrize("name", ["maps", "maps_t"])
def test_maps(steps, name):
    assert _show(name, (steps[0][name] - tensor(name)).abs().max().item()) < 5e-5


@pytest.mark.parametrize("k", range(3))
def test_same_tokens_in_the_same_order(steps, k):
    assert steps[k]["candidates"].tolist() == NUMBERS[f"step{k}_candidates"].tolist()
    assert steps[k]["selected"].tolist() == NUMBERS[f"step{k}_selected"].tolist()


@pytest.mark.parametrize("name", ["localization", "equivariance", "loss"])
def test_losses(steps, name):
    relative = [abs(steps[k][name] / float(NUMBERS[f"step{k}_{name}"]) - 1) for k in range(3)]
    assert _show(f"{name}, relative", max(relative)) < 1e-4


def test_gradients(steps):
    for k in range(3):
        found, expected = steps[k]["grad"], tensor(f"step{k}_grad")[0]
        relative = (found - expected).norm(dim=1) / expected.norm(dim=1)
        assert _show(f"gradient of step {k}, relative, worst token", relative.max().item()) < 1e-3


def test_context_after_each_step(steps):
    for k in range(3):
        difference = (steps[k]["context"] - tensor(f"step{k}_context")[0]).abs().max().item()
        assert _show(f"context after step {k}", difference) < 1e-4


def test_argmax_and_weighted_average():
    maps = tensor("maps")
    found = keypoints.argmax_keypoints(maps).flip(-1) * SIZE  # the file has (row, col)
    assert torch.equal(found, tensor("argmax"))
    weighted = keypoints.windowed_average(maps).flip(-1) * SIZE
    assert _show("weighted average, pixels", (weighted - tensor("weighted")).abs().max().item()) < 1e-3


def test_test_time_maps():
    latents = torch.cat([noised("z", "tta_noises")])
    with torch.no_grad():
        maps = attention.attention_maps(unet(), latents, TIMESTEP, tensor("context")[0], size=SIZE)
    maps = maps[:, tensor("step0_selected")]
    size = int(NUMBERS["tta_size"])
    maps = F.interpolate(maps, size=(size, size), mode="bilinear", align_corners=False)
    average = heatmaps.average_views(maps, tensor("tta_thetas"))
    assert _show("test-time maps", (average - tensor("tta_maps")).abs().max().item()) < 5e-5
    found = keypoints.argmax_keypoints(average).flip(-1) * size
    assert torch.equal(found, tensor("tta_argmax"))


def test_regressors():
    found, annotated = NUMBERS["reg_X"].reshape(40, 5, 2), NUMBERS["reg_Y"].reshape(40, 4, 2)
    visible = NUMBERS["reg_visible"].reshape(40, 4, 2)[..., 0]
    weights = regress.fit(found, annotated)
    assert _show("regressor", np.abs(weights - NUMBERS["reg_W"]).max()) < 1e-10
    weights = regress.fit(found, annotated, visible)
    assert _show("regressor with visibility", np.abs(weights - NUMBERS["reg_W_visible"]).max()) < 1e-10
