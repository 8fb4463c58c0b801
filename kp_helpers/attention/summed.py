"""The share of each pixel that several tokens have together, the substitute for a sum over `maps.plain_maps`.

Read-out mode sums its tokens' maps, so no token's own map is needed. With l_n the upsampled logits of a head
and r the rivals' log-sum-exp, the tokens' weights are x_n = exp(l_n - r), and their share together is
s / (1 + s), s = sum_n x_n. Its gradient is x_n / (1 + s)^2. One head of one image is taken at a time, which
stays near the processor.
"""

from collections.abc import Sequence

import torch
from torch.autograd.function import once_differentiable

from kp_helpers.attention.shares import interpolations, mean_shares, upsample

KEPT_WEIGHTS = 2**27
"""Weights up to which all of them are kept for the backward pass: 512 megabytes. Else they are made again."""
FEW = 2**21
"""Shares of one image, over layers and heads, up to which all heads at once are faster."""
_LARGEST = 60.0
"""Above this logarithm of a weight, the share is one in float32 and the gradient zero."""


def summed_share(
    coarse: Sequence[torch.Tensor], size: tuple[int, int], rivals: Sequence[torch.Tensor]
) -> torch.Tensor:
    """`mean_shares` summed over its tokens, (B, 1, H, W), with the same arguments; many tokens take less
    time.
    """
    few = sum(logits.shape[1:3].numel() for logits in coarse) * size[0] * size[1] <= FEW
    if few or coarse[0].is_cuda:  # a GPU has no use for one head at a time
        return mean_shares(coarse, size, rivals).sum(dim=1, keepdim=True)
    return _SummedShare.apply(size, rivals, *coarse)


class _SummedShare(torch.autograd.Function):
    @staticmethod
    def forward(ctx, size, rivals, *coarse):
        ctx.size, ctx.rivals, ctx.weights = size, rivals, {}
        ctx.save_for_backward(*coarse)
        numbers = sum(logits.shape[:3].numel() for logits in coarse) * size[0] * size[1]
        keep = numbers <= KEPT_WEIGHTS and any(ctx.needs_input_grad)
        total = coarse[0].new_zeros(len(coarse[0]), 1, *size)
        for layer, logits in enumerate(coarse):
            for place in _places(logits):
                weights = _weights(logits[place], rivals[layer][place], size)
                if keep:
                    ctx.weights[layer, *place] = weights
                together = weights.sum(dim=0)
                total[place[0], 0] += together.div_(together + 1) / (logits.shape[1] * len(coarse))
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        coarse, found = ctx.saved_tensors, []
        for layer, logits in enumerate(coarse):
            slope, (rows, columns) = torch.empty_like(logits), interpolations(logits, ctx.size)
            for place in _places(logits):
                weights = ctx.weights.pop((layer, *place), None)
                if weights is None:
                    weights = _weights(logits[place], ctx.rivals[layer][place], ctx.size)
                pull = grad[place[0], 0] / (logits.shape[1] * len(coarse))
                weights.mul_(pull / (1 + weights.sum(dim=0)).square())
                slope[place] = rows.T @ (weights @ columns)
            found.append(slope)
        return None, None, *found


def _places(logits: torch.Tensor) -> list[tuple[int, int]]:
    """(image, head) of logits (B, heads, N, h, w)."""
    return [(image, head) for image in range(logits.shape[0]) for head in range(logits.shape[1])]


def _weights(logits: torch.Tensor, rival: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """exp(upsampled logits - rival) of one image and head, (N, H, W); logits: (N, h, w), rival: (H, W)."""
    return upsample(logits, size).sub_(rival).clamp_(max=_LARGEST).exp_()
