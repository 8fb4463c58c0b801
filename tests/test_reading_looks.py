"""Several looks at a view, against each of them alone."""

import pytest
import torch
import torch.nn.functional as F

from kp_helpers import attention, embeddings, randomness, reading
from kp_helpers.config import Reading, TestTime
from kp_helpers.embeddings import Appended

READING = Reading(map_size=16, timestep=20)
SETTINGS = TestTime(read_size=32, reading=READING, seed=2)


@pytest.fixture(scope="module")
def images():
    return torch.rand(2, 3, 128, 128, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def context(tiny_sd):
    return embeddings.initialise(12, tiny_sd.context_width, 5, scale=4.0)


def _map(model, image, context, keys, timestep, tokens):
    """The summed map (S, S) of some tokens of a context, under the noise of the keys."""
    noise = randomness.generator(2, "test noise", *keys)
    latents = model.add_noise(model.encode_image(image[None]), timestep, noise)
    with torch.no_grad():
        found = attention.attention_maps(model.unet, latents, timestep, context, size=16)[0, tokens].sum(0)
    return F.interpolate(found[None, None], size=(32, 32), mode="bilinear", align_corners=False)[0, 0]


def test_draws_and_noise_levels_are_averaged(tiny_sd, images, context):
    settings = SETTINGS.replace(draws=2, timesteps=(20, 60))
    found = reading.read_maps(tiny_sd, context, images, settings, [3])
    for image in range(2):
        keys = ((0, image), (0, image, 1))
        each = [_map(tiny_sd, images[image], context, own, t, [3]) for own in keys for t in (20, 60)]
        assert torch.allclose(found[image, 0], torch.stack(each).mean(dim=0), atol=1e-5)


@pytest.mark.parametrize("mode", ["coupled", "readout"])
def test_the_mirror_image_is_read_by_the_rivals(tiny_sd, images, context, mode):
    appended = Appended(context[:8], context[8:10], mode=mode, rivals=context[10:])
    both = reading.read_appended(tiny_sd, appended, images, SETTINGS.replace(mirror=True))
    plain = reading.read_appended(tiny_sd, appended, images, SETTINGS)
    theirs = reading.read_appended(tiny_sd, appended.mirrored, images.flip(-1), SETTINGS).flip(-1)
    assert torch.allclose(both, (plain + theirs) / 2, atol=1e-5)
    if mode == "coupled":
        assert torch.allclose(plain[1], _map(tiny_sd, images[1], context, (0, 1), 20, [8, 9]), atol=1e-5)


def test_without_the_other_side_there_is_no_mirror_image(tiny_sd, images, context):
    settings = SETTINGS.replace(mirror=True)
    with pytest.raises(ValueError, match="mirror is True, expected False: these tokens have none"):
        reading.read_maps(tiny_sd, context, images, settings, [3])
    with pytest.raises(ValueError, match="mirror is True, expected False for a joint with neither rivals"):
        reading.read_appended(tiny_sd, Appended(context[:8], context[8:]), images, settings)
    head = Appended(context[:8], context[8:], midline=True)
    assert reading.read_appended(tiny_sd, head, images[:1], settings).shape == (1, 32, 32)


def test_one_level_named_twice_over_is_the_readings_own(tiny_sd, images, context):
    found = reading.read_maps(tiny_sd, context, images, SETTINGS.replace(timesteps=(20,)), [3])
    assert torch.equal(found, reading.read_maps(tiny_sd, context, images, SETTINGS, [3]))
