"""Pseudo-labels: certainty by hand, the surest first, and learning from both kinds of labels."""

import numpy as np
import pytest
import torch

from kp_helpers import config, evaluate
from kp_helpers.evaluate.embedding_studies import certainty

SETTINGS = config.profile("smoke", preset="best")


@pytest.fixture(scope="module")
def shown(tiny_threedpw, tiny_sd):
    train = evaluate.data_set(tiny_threedpw, "train", ("head", "left_foot"))
    samples = [one for one in train if one.visible["head"] and one.visible["left_foot"]]
    parts = samples[:2], samples[2:6]
    return [evaluate.framed(part, tiny_sd.image_size, SETTINGS.protocol) for part in parts]


def test_certainty_is_the_share_of_mass_near_the_point():
    maps = torch.rand(2, 8, 8, generator=torch.Generator().manual_seed(0))
    points = torch.tensor([[0.25, 0.5], [0.9, 0.1]])
    centres = (np.arange(8) + 0.5) / 8
    for map_, point, found in zip(maps.numpy(), points.numpy(), certainty(maps, points, 0.1), strict=True):
        away = (centres[None] - point[0]) ** 2 + (centres[:, None] - point[1]) ** 2
        assert float(found) == pytest.approx((map_ * np.exp(-away / 0.02)).sum() / map_.sum(), rel=1e-4)
    assert certainty(torch.zeros(1, 8, 8), points[:1], 0.1).tolist() == [0]


@pytest.mark.parametrize("joint", ["head", "left_foot"])
def test_the_surest_are_learned_from_beside_the_labels(shown, tiny_sd, joint):
    labelled, free = shown
    base = torch.randn(6, tiny_sd.context_width, generator=torch.Generator().manual_seed(0))
    first = evaluate.learn(tiny_sd, base, labelled, joint, SETTINGS.appended, 0)
    every = evaluate.pseudo_labelled(tiny_sd, first, free, SETTINGS, len(free.samples))
    surest = evaluate.pseudo_labelled(tiny_sd, first, free, SETTINGS, 2)
    assert every.certainty.tolist() == sorted(every.certainty.tolist(), reverse=True)
    assert surest.pictures.samples == every.pictures.samples[:2] and torch.equal(
        surest.points, every.points[:2]
    )
    for sample, image in zip(every.pictures.samples, every.pictures.images, strict=True):
        assert torch.equal(image, free.images[free.samples.index(sample)])
    learned = evaluate.learn_with(tiny_sd, base, labelled, surest, joint, SETTINGS, 0)
    assert learned.tokens.shape == first.tokens.shape and not torch.equal(learned.tokens, first.tokens)
    assert learned.midline == (joint == "head")
