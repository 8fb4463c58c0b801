"""Many views of one picture: averages against the package's own reading, votes and humps on made-up data."""

import numpy as np
import pytest
import torch

from kp_helpers import config, evaluate, reading
from kp_helpers.embeddings import Appended

SETTINGS = config.profile("smoke").test.replace(views=3, read_size=64)


@pytest.fixture(scope="module")
def read(tiny_sd):
    noise = torch.Generator().manual_seed(0)
    base, tokens = (torch.randn(n, tiny_sd.context_width, generator=noise) for n in (5, 2))
    images = torch.rand(2, 3, tiny_sd.image_size, tiny_sd.image_size, generator=noise)
    appended = Appended(base, tokens, mode="readout")
    found = evaluate.by_views(tiny_sd, appended, images, SETTINGS, (1, 2, 3))

    def alone(views: int) -> torch.Tensor:
        own = SETTINGS.replace(views=views)
        return reading.read_keypoints(reading.read_appended(tiny_sd, appended, images, own), own)

    return *found, alone


def test_averaged_maps_are_those_of_reading_that_many_views(read):
    points, _, alone = read
    assert torch.equal(points["1 view"], alone(1))
    for views in (2, 3):
        assert torch.allclose(points[f"maps of {views} views"], alone(views), atol=1 / 64)


def test_each_way_has_a_point_an_image(read):
    points, each, _ = read
    assert each.shape == (2, 3, 2)
    assert list(points) == ["1 view", *(f"{way} of {n} views" for n in (2, 3) for way in evaluate.WAYS)]
    assert torch.allclose(points["positions of 2 views"], each[:, :2].mean(dim=1))


def test_positions_are_brought_back_from_their_view(tiny_sd, monkeypatch):
    """Every view shows a blob where it shows the point (0.6, 0.4) of the picture."""
    from kp_helpers import geometry
    from kp_helpers.heatmaps import gaussian_target

    thetas = torch.cat(
        [geometry.random_affine(torch.Generator().manual_seed(n), translation=0.1) for n in range(3)]
    )
    shown = geometry.transform_points(torch.tensor([[[0.6, 0.4]]]).expand(3, 1, 2), thetas)
    maps = gaussian_target(shown, 256, 0.05)
    monkeypatch.setattr(reading, "appended_views", lambda *_: iter([(maps, thetas)]))
    monkeypatch.setattr(reading, "read_appended", lambda *_: maps[:1, 0])
    points, each = evaluate.by_views(tiny_sd, None, None, SETTINGS, (3,))
    expected = torch.tensor([0.6, 0.4])
    assert torch.allclose(each[0], expected.expand(3, 2), atol=1 / 256)
    for way in evaluate.WAYS:
        assert torch.allclose(points[f"{way} of 3 views"][0], expected, atol=2 / 256), way


def test_the_vote_is_the_largest_group():
    near = torch.tensor([[0.10, 0.10], [0.12, 0.10], [0.11, 0.12]])
    far = torch.tensor([[0.9, 0.9], [0.9, 0.5]])
    assert torch.allclose(evaluate.vote(torch.cat([far, near])), near.mean(dim=0))
    assert torch.equal(evaluate.vote(far[:1]), far[0])


def test_two_heaps_of_errors_are_two_humps():
    rng, runs = np.random.default_rng(0), np.repeat(np.arange(4), 100)
    one = 10 ** rng.normal(-1, 0.3, 400)
    two = np.where(rng.random(400) < 0.5, one, 10 ** rng.normal(1, 0.3, 400))
    assert evaluate.humps(two, runs, resamples=10) == (2, 1.0)
    assert evaluate.humps(one, runs, resamples=10) == (1, 0.0)
