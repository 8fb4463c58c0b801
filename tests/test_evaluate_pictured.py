"""Predictions as pictures against the pictures and points that a run is shown."""

import dataclasses

import pytest
import torch

from kp_helpers import config, evaluate

PROTOCOL = config.profile("smoke").protocol


def test_they_are_what_the_model_was_shown(tiny_threedpw):
    samples = evaluate.data_set(tiny_threedpw, "test", ("head",))[:2]
    test = evaluate.framed(samples, 32, PROTOCOL)
    points = torch.tensor([[0.25, 0.5], [0.75, 0.125]])
    found = evaluate.located(test, points, "head", "m", 0)
    images, predicted, true = evaluate.pictured(found, 32)
    assert torch.equal(torch.stack(images), test.images)
    assert torch.allclose(predicted.float(), points, atol=1e-5)
    assert torch.allclose(true.float(), test.points("head"), atol=1e-5)
    with pytest.raises(ValueError, match="test_00/00000/0: its square is not known"):
        evaluate.pictured([dataclasses.replace(found[0], square=None)], 32)
