"""Convolutions with frozen weights on a CPU: they keep no input, and small pictures become matrix products.

torch's convolution keeps its input for the gradient of its weights, which nobody asks for here. And for each
call it brings the weights into the processor's own order; with a thousand channels and a picture of 16 x 16
or 8 x 8 that takes as long as the convolution itself, so those are done as products with the weights as they
lie.
"""

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

SMALL_PIXELS = 1024
"""Output pixels of a batch up to which large weights are multiplied as they lie."""
LARGE_WEIGHTS = 2**20


class FrozenConvolutions(TorchFunctionMode):
    """Inside, which is on a CPU, `F.conv2d` with plain settings and frozen float32 weights runs as above."""

    def __torch_function__(self, function, types, args=(), kwargs=None):
        if function is F.conv2d and not kwargs and _applies(*args):
            image, weight, bias, stride, padding = args[:5]
            return _Frozen.apply(image, weight, bias, stride, padding)
        return function(*args, **(kwargs or {}))


def _applies(image, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> bool:
    frozen = (
        image.requires_grad and not weight.requires_grad and not (bias is not None and bias.requires_grad)
    )
    known = isinstance(padding, tuple) and dilation == (1, 1) and groups == 1
    full = image.dtype == weight.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    return frozen and known and full


class _Frozen(torch.autograd.Function):
    @staticmethod
    def forward(ctx, image, weight, bias, stride, padding):
        ctx.save_for_backward(weight)
        ctx.shape, ctx.stride, ctx.padding = image.shape, stride, padding
        ctx.small = _small(image, weight, stride, padding)
        if ctx.small:
            return _product(image, weight, bias)
        return F.conv2d(image, weight, bias, stride, padding)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        (weight,) = ctx.saved_tensors
        if ctx.small:
            return _transposed_product(grad, weight), None, None, None, None
        # Only its shape is looked at, since no gradient of the weights is asked for.
        image = grad.new_empty(1).expand(ctx.shape)
        options = (None, ctx.stride, ctx.padding, (1, 1), False, (0, 0), 1, (True, False, False))
        found = torch.ops.aten.convolution_backward(grad, image, weight, *options)[0]
        return found, None, None, None, None


def _small(image, weight, stride, padding) -> bool:
    three = weight.shape[2:] == (3, 3) and tuple(stride) == (1, 1) and tuple(padding) == (1, 1)
    pixels = image.shape[0] * image.shape[2] * image.shape[3]
    return three and pixels <= SMALL_PIXELS and weight.numel() >= LARGE_WEIGHTS


def _product(image, weight, bias):
    """A 3 x 3 convolution as one matrix product: (B, C, H, W) -> (B, O, H, W), channels last in memory."""
    batch, channels, height, width = image.shape
    padded = F.pad(image.permute(0, 2, 3, 1), (0, 0, 1, 1, 1, 1))
    windows = padded.unfold(1, 3, 1).unfold(2, 3, 1).permute(0, 1, 2, 4, 5, 3)
    found = windows.reshape(-1, 9 * channels) @ _flat(weight).T
    if bias is not None:
        found += bias
    return found.view(batch, height, width, -1).permute(0, 3, 1, 2)


def _transposed_product(grad, weight):
    """The gradient of `_product` to its image."""
    batch, _, height, width = grad.shape
    windows = grad.permute(0, 2, 3, 1).flatten(0, 2) @ _flat(weight)
    windows = windows.view(batch, height, width, 3, 3, -1)
    padded = grad.new_zeros(batch, height + 2, width + 2, weight.shape[1])
    for row in range(3):
        for column in range(3):
            padded[:, row : row + height, column : column + width] += windows[:, :, :, row, column]
    return padded[:, 1:-1, 1:-1].permute(0, 3, 1, 2)


def _flat(weight: torch.Tensor) -> torch.Tensor:
    """(O, C, 3, 3) -> (O, 9 C), a view where the weights lie channels last."""
    return weight.permute(0, 2, 3, 1).flatten(1)
