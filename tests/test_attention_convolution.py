"""Convolutions with frozen weights, against torch's own."""

import pytest
import torch
import torch.nn.functional as F

from kp_helpers.attention import convolution


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(3, 1, 1), (3, 2, 1), (1, 1, 0)])
def test_values_and_gradients_are_those_of_torch(small, bias, kernel, stride, padding, monkeypatch):
    monkeypatch.setattr(convolution, "LARGE_WEIGHTS", 0 if small else 2**40)
    torch.manual_seed(0)
    layer = torch.nn.Conv2d(5, 7, kernel, stride, padding, bias=bias).requires_grad_(False)
    layer.to(memory_format=torch.channels_last)
    image = torch.randn(2, 5, 6, 9, requires_grad=True)
    expected = layer(image)
    slope = torch.randn_like(expected)
    with convolution.FrozenConvolutions():
        found = layer(image)
    assert torch.allclose(found, expected, atol=1e-6)
    wanted, mine = (torch.autograd.grad(y, image, slope)[0] for y in (expected, found))
    assert torch.allclose(mine, wanted, atol=1e-6)


def test_the_input_is_not_kept():
    weight, image = torch.randn(4, 4, 3, 3), torch.randn(1, 4, 8, 8, requires_grad=True)
    kept = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.shape) or t, lambda t: t):
        F.conv2d(image, weight, None, (1, 1), (1, 1))
        assert image.shape in kept
        kept.clear()
        with convolution.FrozenConvolutions():
            F.conv2d(image, weight, None, (1, 1), (1, 1), (1, 1), 1)
    assert kept == [weight.shape]


def test_weights_that_learn_are_left_to_torch():
    layer, image = torch.nn.Conv2d(3, 3, 3, padding=1), torch.randn(1, 3, 4, 4, requires_grad=True)
    with convolution.FrozenConvolutions():
        layer(image).sum().backward()
    assert layer.weight.grad is not None
