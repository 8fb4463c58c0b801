"""What mirrored pictures are examples of."""

import pytest
import torch

from kp_helpers.config import AppendedStage, ConfigError
from kp_helpers.stages.examples import examples_of, mirrored

IMAGES = torch.rand(3, 3, 4, 6, generator=torch.Generator().manual_seed(0))
POINTS = torch.tensor([[0.25, 0.5], [0.5, 0.75], [0.0, 1.0]])
OTHERS = torch.tensor([[0.75, 0.5], [torch.nan, torch.nan], [0.5, 0.25]])


def _examples(mirror, others=OTHERS):
    return examples_of(IMAGES, POINTS, others, AppendedStage(mirror=mirror))


def test_without_mirroring_nothing_is_added():
    found = _examples("none", None)
    assert found.images is IMAGES and torch.equal(found.points, POINTS)
    assert found.others.isnan().all() and found.rival == [False] * 3
    assert not found.midline and not found.has_rivals


def test_rivals_learn_the_mirrored_label_of_every_picture():
    found = _examples("rivals")
    assert len(found) == 6 and torch.equal(found.images[3:, :, :, 0], IMAGES[:, :, :, -1])
    assert found.points[3:].tolist() == [[0.75, 0.5], [0.5, 0.75], [1.0, 1.0]]
    assert found.others[3].tolist() == [0.25, 0.5] and found.others[4].isnan().all()
    assert found.rival == [False] * 3 + [True] * 3 and found.has_rivals
    assert _examples("rivals", None).rival == found.rival, "no further label is needed"


def test_examples_have_the_other_sides_mirrored_label_where_it_is_known():
    found = _examples("examples")
    assert len(found) == 5 and torch.equal(found.images[4], IMAGES[2].flip(-1))
    assert found.points[3:].tolist() == [[0.25, 0.5], [0.5, 0.25]]
    assert found.others[3:].tolist() == [[0.75, 0.5], [1.0, 1.0]]
    assert not found.has_rivals


@pytest.mark.parametrize("mirror", ["examples", "rivals"])
def test_a_joint_of_the_midline_is_its_own_other_side(mirror):
    found = _examples(mirror, POINTS)
    assert found.midline and not found.has_rivals and len(found) == 6
    assert torch.equal(found.points[3:], mirrored(POINTS)) and torch.equal(found.others, found.points)


def test_what_needs_the_other_side_says_so():
    for settings in (AppendedStage(mirror="examples"), AppendedStage(other_side_weight=1.0)):
        for others in (None, torch.full_like(POINTS, torch.nan)):
            with pytest.raises(ConfigError, match="others know no image's; expected the other side's joint"):
                examples_of(IMAGES, POINTS, others, settings)
    with pytest.raises(ValueError, match=r"others have shape \(2, 2\), expected \(3, 2\)"):
        _examples("rivals", OTHERS[:2])
    with pytest.raises(ValueError, match=r"others: image 1 has \[2.0, 0.5\], expected"):
        _examples("rivals", torch.tensor([[0.5, 0.5], [2.0, 0.5], [0.5, 0.5]]))
