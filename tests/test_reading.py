from collections import Counter

import pytest
import torch
import torch.nn.functional as F

from kp_helpers import attention, heatmaps, keypoints, reading, stages
from kp_helpers.config import BaseStage, Reading, TestTime, randomness
from kp_helpers.diffusion import Diffusion
from kp_helpers.embeddings import Appended

READING = Reading(map_size=32, timestep=20)
SETTINGS = TestTime(read_size=64, reading=READING, seed=2)


def _noised(model, images, i, purpose, *keys):
    noise = randomness.generator(2, purpose, *keys, i)
    return model.add_noise(model.encode_image(images[i][None]), 20, noise)


def test_one_view_reads_the_plain_image(tiny_sd, images, base):
    found = reading.read_maps(tiny_sd, base, images, SETTINGS, [3, 7])
    assert found.shape == (3, 2, 64, 64)
    latents = _noised(tiny_sd, images, 1, "test noise", 0)
    with torch.no_grad():
        maps = attention.attention_maps(tiny_sd.unet, latents, 20, base, size=32)[:, [3, 7]]
    expected = F.interpolate(maps, size=(64, 64), mode="bilinear", align_corners=False)
    assert torch.allclose(found[1], expected[0], atol=1e-5)


def test_views_that_are_all_the_identity_average_to_the_plain_image(tiny_sd, images, base):
    still = SETTINGS.augmentation.replace(rotation=0.0, zoom_min=1.0, translation=0.0)
    settings = SETTINGS.replace(views=2, augmentation=still)
    found = reading.read_maps(tiny_sd, base, images[:1], settings, [3])[0, 0]
    latents = torch.cat([_noised(tiny_sd, images, 0, "test noise", view) for view in range(2)])
    with torch.no_grad():
        maps = attention.attention_maps(tiny_sd.unet, latents, 20, base, size=32)[:, [3]]
    expected = F.interpolate(maps, size=(64, 64), mode="bilinear", align_corners=False).mean(dim=0)
    assert torch.allclose(found, expected[0], atol=1e-5)


def test_random_views_are_brought_back(tiny_sd, images, base):
    found = reading.read_maps(tiny_sd, base, images[:1], SETTINGS.replace(views=3), [3])
    again = reading.read_maps(tiny_sd, base, images[:1], SETTINGS.replace(views=3), [3])
    plain = reading.read_maps(tiny_sd, base, images[:1], SETTINGS, [3])
    assert torch.equal(found, again) and not torch.allclose(found, plain)
    assert torch.isfinite(found).all()


@pytest.mark.parametrize("at_once", [1, 128 * 128 * 4])
def test_views_at_once_are_views_one_by_one(tiny_sd, images, base, monkeypatch, at_once):
    settings = SETTINGS.replace(views=3)
    expected = reading.read_maps(tiny_sd, base, images, settings, [3, 7])
    passes, encode = [], Diffusion.encode_image
    monkeypatch.setattr(Diffusion, "encode_image", lambda m, x: passes.append(len(x)) or encode(m, x))
    monkeypatch.setattr(reading, "PIXELS_AT_ONCE", at_once)
    found = reading.read_maps(tiny_sd, base, images, settings, [3, 7])
    assert torch.allclose(found, expected, atol=1e-6)
    assert passes == ([1] * 9 if at_once == 1 else [4, 4, 1])


def test_the_reading_has_its_precision(tiny_sd, images, base):
    """bfloat16 moves the maps a little, and both ways of reading alike."""
    rough = SETTINGS.replace(reading=READING.replace(precision="bfloat16"))
    exact = reading.read_maps(tiny_sd, base, images[:1], SETTINGS, [10])
    found = reading.read_maps(tiny_sd, base, images[:1], rough, [10])
    joint = reading.read_appended(tiny_sd, Appended(base[:9], base[9:], "best", 1), images[:1], rough)
    assert torch.allclose(joint, found[:, 0], atol=1e-6)
    assert 0 < (found - exact).abs().max() < 0.05


@pytest.mark.parametrize("mode", ["coupled", "readout"])
@pytest.mark.parametrize("how, best", [("sum", None), ("mean", None), ("best", 1)])
def test_the_map_of_a_joint(tiny_sd, images, base, mode, how, best):
    appended = Appended(base[:9], base[9:], how, best, mode)
    found = reading.read_appended(tiny_sd, appended, images[:1], SETTINGS)
    latents = _noised(tiny_sd, images, 0, "test noise", 0)
    with torch.no_grad():
        conditioning = base if mode == "coupled" else base[:9]
        asked = attention.queries(tiny_sd.unet, latents, 20, conditioning)
        maps = attention.maps_from_queries(tiny_sd.unet, asked, base, size=32)[0, 9:]
    joint = {"sum": maps.sum(0), "mean": maps.mean(0), "best": maps[1]}[how]
    expected = F.interpolate(joint[None, None], size=(64, 64), mode="bilinear", align_corners=False)
    assert found.shape == (1, 64, 64) and torch.allclose(found, expected[0], atol=1e-5)


def test_points_are_the_maximum_or_the_average_round_it():
    maps = heatmaps.gaussian_target(torch.tensor([[0.31, 0.66]]), 64, 0.05)
    assert torch.equal(reading.read_keypoints(maps, SETTINGS), keypoints.argmax_keypoints(maps))
    averaged = reading.read_keypoints(maps, SETTINGS.replace(window=5.0))
    assert torch.equal(averaged, keypoints.windowed_average(maps, 5.0))


def test_selected_tokens_are_those_that_images_choose_most_often(tiny_sd, images, base):
    settings = BaseStage(tokens=12, candidates=8, keypoints=4, reading=READING, seed=2)
    found = stages.select_tokens(tiny_sd, base, images, settings, 3)
    counts = Counter()
    for i in range(3):
        latents = _noised(tiny_sd, images, i, "selection noise")
        with torch.no_grad():
            maps = attention.attention_maps(tiny_sd.unet, latents, 20, base, size=32)[0]
        candidates = keypoints.rank_gaussian(maps, 8, 0.5)
        counts.update(keypoints.furthest_points(maps, 4, candidates).tolist())
    expected = sorted(counts, key=lambda token: (-counts[token], token))[:3]
    assert found.tolist() == expected
    with pytest.raises(ValueError, match="k is 13"):
        stages.select_tokens(tiny_sd, base, images, settings, 13)


def test_tokens_have_no_mirror_image(tiny_sd, images, base):
    settings, appended = SETTINGS.replace(mirror=True), Appended(base[:9], base[9:])
    with pytest.raises(ValueError, match="mirror is True, expected False: tokens do not know the other side"):
        reading.read_maps(tiny_sd, base, images, settings, [3])
    with pytest.raises(ValueError, match="mirror is True, expected False: tokens do not know the other side"):
        reading.read_appended(tiny_sd, appended, images, settings)


class Pooling:
    """A model whose latents are means of 8 x 8 pixels: moved by whole cells, they are the moved picture's."""

    default_timestep = 0
    encoded = 0

    def encode_image(self, images):
        self.encoded += len(images)
        return F.avg_pool2d(images - 0.5, 8)

    def add_noise(self, latents, timestep, noise):
        return latents


def shifts(settings, image, view):
    """A view that is moved by `view` cells of eight to the right and one down."""
    return torch.tensor([[[1.0, 0.0, 2 * view / 8], [0.0, 1.0, 2 / 8]]])


def latents_of(images, encode, monkeypatch):
    monkeypatch.setattr(reading, "view_of_test", shifts)
    seen = []

    def maps_of(latents, mirrored):
        seen.append((latents, mirrored))
        return latents[:, :1]

    settings = TestTime(views=3, mirror=True, read_size=8, encode=encode)
    reading.over_views(Pooling(), images, settings, maps_of)
    return {side: torch.cat([one for one, mirrored in seen if mirrored == side]) for side in (False, True)}


def test_latents_that_are_warped_are_those_of_the_warped_picture(monkeypatch):
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    every, once = (latents_of(images, encode, monkeypatch) for encode in ("views", "once"))
    for side in (False, True):
        torch.testing.assert_close(once[side], every[side], atol=1e-6, rtol=0)


def test_each_picture_is_encoded_once_however_few_views_pass_at_a_time(monkeypatch):
    monkeypatch.setattr(reading, "PIXELS_AT_ONCE", 64 * 64)
    model = Pooling()
    settings = TestTime(views=5, mirror=True, read_size=8, encode="once")
    reading.over_views(model, torch.rand(2, 3, 64, 64), settings, lambda latents, _: latents[:, :1])
    assert model.encoded == 2 + 1  # and the black outside
