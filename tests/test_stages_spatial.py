"""The read-out whose map is a softmax over pixels."""

import pytest
import torch
import torch.nn.functional as F

from kp_helpers import attention, embeddings, reading
from kp_helpers.config import AppendedStage, Reading, randomness
from kp_helpers.heatmaps import gaussian_target
from kp_helpers.stages import AppendedTokens, Run

READING = Reading(map_size=16, timestep=20)
SETTINGS = AppendedStage(
    steps=2, images_per_step=1, reading=READING, seed=6, ratio=0.25, augmentation_pool=2, sigma=0.1
)
POINTS = torch.tensor([[0.2, 0.3], [0.7, 0.6]])


@pytest.fixture(scope="module")
def base(tiny_sd):
    return embeddings.initialise(8, tiny_sd.context_width, 5, scale=4.0)


def _finished(run):
    return list(run), run.result


@pytest.mark.parametrize("mode", ["coupled", "readout"])
def test_a_spatial_map_is_the_mean_logits_softmax_over_pixels(tiny_sd, two_images, base, mode):
    """The first step's target loss and what is read in the end, from mean logits that are written out."""
    settings = SETTINGS.replace(mode=mode, readout="spatial", objective="cross_entropy", steps=1)
    seed = next(seed for seed in range(99) if randomness.image_order(seed, 2, 0, 1) == [0])
    (record,), found = _finished(
        Run(AppendedTokens(tiny_sd, base, two_images, POINTS, settings.replace(seed=seed)))
    )
    tokens = embeddings.initialise(2, 32, seed, purpose="appended")
    noise = randomness.generator(seed, "noise", 0, 0)
    latents = tiny_sd.add_noise(tiny_sd.encode_image(two_images[:1].repeat(2, 1, 1, 1)), 20, noise)[:1]
    target = gaussian_target(POINTS[:1], 16, 0.1).flatten()
    for learned, loss in ((tokens, record.parts["target"]), (found.tokens, None)):
        context = torch.cat([base, learned]) if mode == "coupled" else base
        asked = attention.queries(tiny_sd.unet, latents, 20, context)
        fine = []
        for query in asked:
            module = tiny_sd.unet.get_submodule(query.layer)
            keys = module.to_k(learned).unflatten(-1, (module.heads, -1))
            logits = torch.einsum("nmd,bmdhw->bmnhw", keys, query.values).mean(dim=(1, 2))
            fine.append(F.interpolate(logits[:, None], size=(16, 16), mode="bicubic", align_corners=False))
        expected = torch.stack(fine).mean(dim=0).flatten().softmax(dim=0).detach()
        if loss is not None:
            assert loss == pytest.approx(-(target / target.sum() * expected.log()).sum().item(), rel=1e-4)
        else:
            read = reading.joint_map(tiny_sd, found, asked, 16)
            assert torch.allclose(read.flatten(), expected, atol=1e-6)
