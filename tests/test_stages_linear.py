"""The ridge fit against scikit-learn's on the same features, and on pictures whose answer is known."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from kp_helpers import diffusion, reading
from kp_helpers.attention import AttentionError, Query, linear_features, linear_map
from kp_helpers.config import AppendedStage, ConfigError, Reading, TestTime
from kp_helpers.stages import linear


@pytest.fixture(scope="module")
def seen():
    """Features (3, 7, 8, 8) of unlike scales, one that never varies, and targets (3, 8, 8)."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3, 7, 8, 8, generator=generator)
    features *= torch.tensor([1.0, 10, 0.1, 1, 1, 100, 0])[:, None, None]
    features += torch.tensor([0.0, 50, 0, -3, 0, 1000, 0.7])[:, None, None]
    return features, torch.rand(3, 8, 8, generator=generator)


@pytest.mark.parametrize("alpha", [0.5, 200.0])
def test_it_is_scikit_learns_ridge(seen, alpha):
    features, targets = seen
    rows = features.double().permute(0, 2, 3, 1).reshape(-1, 7).numpy()
    scaler = StandardScaler().fit(rows)
    known = Ridge(alpha=alpha).fit(scaler.transform(rows), targets.double().flatten().numpy())
    found = linear.fit(linear.moments(features, targets), alpha)
    expected = known.predict(scaler.transform(rows)).reshape(3, 8, 8)
    assert np.allclose(found.map(features).numpy(), expected, atol=1e-5)
    assert found.weights.dtype == torch.float64 and found.weights[6] == 0, "a feature that never varies"


def test_moments_of_pictures_add_up(seen):
    features, targets = seen
    parts = [linear.moments(features[n : n + 1], targets[n : n + 1]) for n in range(3)]
    total, whole = parts[0] + parts[1] + parts[2], linear.moments(features, targets)
    assert total.pixels == whole.pixels == 3 * 64
    assert torch.allclose(linear.fit(total, 1.0).weights, linear.fit(whole, 1.0).weights, rtol=1e-8)


def test_features_are_all_heads_upsampled():
    generator = torch.Generator().manual_seed(1)
    asked = [
        Query("a", torch.randn(2, 2, 3, 4, 4, generator=generator)),
        Query("b", torch.randn(2, 1, 5, 8, 8, generator=generator)),
    ]
    found = linear_features(asked, 16)
    second_head = F.interpolate(asked[0].values[:, 1], size=16, mode="bicubic")
    assert found.shape == (2, 6 + 5, 16, 16)
    assert torch.allclose(found[:, 3:6], second_head, atol=1e-5)


def test_a_map_is_the_weighted_sum_of_features_and_never_negative():
    generator = torch.Generator().manual_seed(2)
    asked = [
        Query("a", torch.randn(2, 2, 3, 4, 4, generator=generator)),
        Query("b", torch.randn(2, 1, 5, 8, 8, generator=generator)),
    ]
    weights = torch.randn(3, 12, generator=generator)
    features = linear_features(asked, 16).movedim(1, -1)
    expected = (features @ weights[:, :11].T + weights[:, 11]).clamp_min(0).movedim(-1, 1)
    assert torch.allclose(linear_map(asked, weights, 16), expected, atol=1e-5)
    with pytest.raises(AttentionError, match=r"shape \(3, 11\) for 11 channels.*expected \(K, 12\)"):
        linear_map(asked, weights[:, 1:], 16)


def test_a_fit_and_its_mirror_image_find_each_other(tiny_sd):
    """A mirrored picture with mirrored labels is the same task, with own and rival weights exchanged."""
    generator = torch.Generator().manual_seed(3)
    images, base = torch.rand(2, 3, 64, 64, generator=generator), torch.randn(4, 32, generator=generator)
    points = torch.tensor([[0.3, 0.6], [0.7, 0.2]])
    read = Reading(map_size=16, timestep=20)
    settings = AppendedStage(readout="linear", mode="readout", reading=read, sigma=0.1)
    found = linear.linear_fit(tiny_sd, base, images, points, settings)
    turned = linear.linear_fit(tiny_sd, base, images.flip(-1), linear.mirrored(points), settings)
    assert torch.allclose(found.tokens, turned.rivals) and torch.allclose(found.rivals, turned.tokens)
    test = TestTime(reading=read, read_size=16, mirror=True)
    both = reading.read_appended(tiny_sd, found, images, test)
    alone = test.replace(mirror=False)
    plain = reading.read_appended(tiny_sd, found, images, alone)
    other = reading.read_appended(tiny_sd, found.mirrored, images.flip(-1), alone).flip(-1)
    assert torch.allclose(both, (plain + other) / 2, atol=1e-5)


def test_a_fit_is_of_float32_whatever_the_weights_are(tiny_sd_folder, tiny_sd):
    """Under an empty caption, which the text encoder gives in its own precision."""
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(3))
    read = Reading(map_size=16, timestep=20)
    settings = AppendedStage(readout="linear", mode="readout", reading=read, sigma=0.1, base="caption")
    maps = []
    for model in (tiny_sd, diffusion.load(tiny_sd_folder, dtype="bfloat16")):
        found = linear.linear_fit(model, torch.ones(1, 32), images, torch.full((2, 2), 0.4), settings)
        assert found.tokens.dtype == found.base.dtype == torch.float32
        maps.append(reading.read_appended(model, found, images, TestTime(reading=read, read_size=16)))
    assert torch.allclose(*maps, atol=0.1 * float(maps[0].max()))


def test_a_fit_conditions_no_unet():
    with pytest.raises(ConfigError, match="readout is 'linear' and mode 'coupled', expected mode 'readout'"):
        AppendedStage(readout="linear")


def test_what_cannot_be_fitted_is_named(seen):
    features, targets = seen
    with pytest.raises(ValueError, match=r"shapes \(3, 7, 8, 8\) and \(2, 8, 8\), expected \(B, C, S, S\)"):
        linear.moments(features, targets[:2])
    with pytest.raises(ValueError, match="alpha is 0, expected a number above 0"):
        linear.fit(linear.moments(features, targets), 0)
