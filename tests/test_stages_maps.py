"""Read-out mode's kept views: shared by runs that see the same, and by no others."""

import pytest
import torch

from kp_helpers import attention, embeddings, reading
from kp_helpers.config import AppendedStage, Augmentation, Reading
from kp_helpers.embeddings import Appended
from kp_helpers.stages import AppendedTokens, Run
from kp_helpers.stages.maps import ReadoutMaps, TrainingViews
from kp_helpers.stages.readout_cache import ReadoutCache

READING = Reading(map_size=32, timestep=20)
SETTINGS = AppendedStage(
    mode="readout", steps=2, images_per_step=1, reading=READING, augmentation_pool=2, ratio=0.25
)
POINTS = torch.tensor([[0.2, 0.3], [0.7, 0.6]])


def learned(tiny_sd, base, two_images, settings, **where) -> torch.Tensor:
    run = Run(AppendedTokens(tiny_sd, base, two_images, POINTS, settings, **where))
    list(run)
    return run.result.tokens


def test_a_second_run_reads_what_the_first_wrote_and_learns_the_same(
    tiny_sd, base, two_images, tmp_path, monkeypatch
):
    expected = learned(tiny_sd, base, two_images, SETTINGS)
    assert torch.equal(learned(tiny_sd, base, two_images, SETTINGS, cache=tmp_path), expected)
    assert len(list(tmp_path.iterdir())) == 2, "an image in each of two steps"

    def never(*args, **kwargs):
        raise AssertionError("the U-Net ran")

    monkeypatch.setattr(attention, "queries", never)
    assert torch.equal(learned(tiny_sd, base, two_images, SETTINGS, cache=tmp_path), expected)
    other = SETTINGS.replace(learning_rate=0.01, target="cauchy", ratio=0.5, target_weight=2.0)
    assert learned(tiny_sd, base, two_images, other, cache=tmp_path).shape == (6, 32)


def key(tiny_sd, base, two_images, settings, image: int = 0, view: int = 0) -> str:
    views = TrainingViews(tiny_sd, two_images, settings, 2)
    return ReadoutMaps(views, base, ReadoutCache())._key(image, view)


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"augmentation": Augmentation(rotation=1.0)},
        {"reading": READING.replace(map_size=16)},
        {"reading": READING.replace(timestep=21)},
        {"reading": READING.replace(precision="bfloat16")},
        {"reading": READING.replace(layers=("up_blocks.1.attentions.0.transformer_blocks.0.attn2",))},
    ],
)
def test_other_numbers_have_another_key(tiny_sd, base, two_images, changes):
    mine = key(tiny_sd, base, two_images, SETTINGS)
    assert key(tiny_sd, base, two_images, SETTINGS.replace(**changes)) != mine


def test_another_picture_view_base_or_place_has_another_key(tiny_sd, base, two_images):
    moved = two_images.roll(1, dims=0)
    found = [key(tiny_sd, base, two_images, SETTINGS, image, view) for image in (0, 1) for view in (0, 1)]
    found += [key(tiny_sd, base + 1e-6, two_images, SETTINGS), key(tiny_sd, base, moved, SETTINGS)]
    assert len(set(found)) == 6


def test_a_view_is_learned_from_as_it_is_read(tiny_sd, base, two_images):
    tokens = base[:3] + 1
    views = TrainingViews(tiny_sd, two_images, SETTINGS.replace(readout="mean"), 2)
    maps = ReadoutMaps(views, base, ReadoutCache())(tokens, 1, 0)
    queries = reading.queries(tiny_sd, views.latents(1, 0), base, READING)
    joint = reading.joint_map(tiny_sd, Appended(base, tokens, "mean", mode="readout"), queries, 32)
    assert torch.allclose(maps.mean(dim=1), joint, atol=1e-5)


def test_without_a_pool_nothing_is_held_in_memory(tiny_sd, base, two_images):
    cache = ReadoutCache()
    for pool, held in ((0, 0), (1, 1)):
        views = TrainingViews(tiny_sd, two_images, SETTINGS, pool)
        ReadoutMaps(views, base, cache)(embeddings.initialise(3, 32, 1), 0, 0)
        assert len(cache._memory) == held
