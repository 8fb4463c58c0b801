"""A token's share of each pixel, the substitute for `maps.plain_maps` with less memory and time.

All heads' maps of 500 tokens at 128 x 128 are a quarter of a gigabyte, for each layer and image. So the
forward pass goes through a few rows of the map at a time and keeps only the sum over heads; the backward pass
computes those rows again. Tokens lie last meanwhile, where softmax is fastest. Few tokens on small maps are
kept whole instead, which is faster.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from kp_helpers.attention.layers import AttentionError

ROWS_NUMBERS = {"cpu": 2**22, "cuda": 2**26}
"""Numbers that the rows taken at a time may hold, over all heads and tokens of one image: 16 megabytes, which
stay near a processor; 256 on a GPU, which is to have few calls of many numbers.
"""
KEPT_NUMBERS = {"cpu": 2**24, "cuda": 2**27}
"""Numbers up to which all shares, of every layer and image, are kept for the backward pass: 64 megabytes, 512
on a GPU.
"""


def mean_shares(
    coarse: Sequence[torch.Tensor],
    size: int | tuple[int, int],
    rivals: Sequence[torch.Tensor] | None = None,
    tokens: Sequence[int] | slice | torch.Tensor | None = None,
) -> torch.Tensor:
    """mean over layers and heads of softmax_n(upsampled logits), (B, T, H, W) of the T `tokens` (None: all).

    coarse: a layer's logits (B, heads, N, h, w) each, float32. rivals: a layer's log-sum-exp (B, heads, H, W)
    each of tokens that compete without being in `coarse`. Differentiable in `coarse`.
    """
    kept, size = _kept(tokens, coarse[0]), _pair(size)
    numbers = sum(logits.shape[:3].numel() for logits in coarse) * size[0] * size[1]
    means = _KeptShares if numbers <= _limit(KEPT_NUMBERS, coarse[0]) else _MeanShares
    return means.apply(size, kept, rivals, *coarse)


def upsample(coarse: torch.Tensor, size: int | tuple[int, int]) -> torch.Tensor:
    """Bicubic interpolation (..., h, w) -> (..., H, W) as two matrix products.

    They have a deterministic backward on every device, which F.interpolate does not have.
    """
    rows, columns = interpolations(coarse, _pair(size))
    return rows @ coarse @ columns.T


class _MeanShares(torch.autograd.Function):
    @staticmethod
    def forward(ctx, size, kept, rivals, *coarse):
        ctx.size, ctx.kept, ctx.rivals = size, kept, rivals
        ctx.save_for_backward(*coarse)
        batch, _, count = coarse[0].shape[:3]
        total = coarse[0].new_zeros(
            batch, *size, len(range(count)[kept] if isinstance(kept, slice) else kept)
        )
        for layer, logits in enumerate(coarse):
            for images, rows, shares, _ in _rows_of_shares(logits, size, rivals and rivals[layer]):
                total[images, rows] += shares[..., kept].mean(dim=3)
        return (total / len(coarse)).permute(0, 3, 1, 2).contiguous()

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        coarse, found = ctx.saved_tensors, []
        kept, grad = _pulled(ctx.kept, coarse[0].shape[2], grad)
        grad = grad.permute(0, 2, 3, 1).contiguous() / len(coarse)
        for layer, logits in enumerate(coarse):
            wide = None
            for images, rows, shares, matrix in _rows_of_shares(
                logits, ctx.size, ctx.rivals and ctx.rivals[layer]
            ):
                weighted = shares[..., kept] * (grad[images, rows] / logits.shape[1])[:, :, :, None]
                # d softmax: p_n (g_n - sum_m p_m g_m), g zero for tokens that no loss reads
                slope = shares.mul_(-weighted.sum(dim=-1, keepdim=True))
                slope[..., kept] += weighted
                if wide is None:
                    wide = logits.new_zeros(len(logits), logits.shape[3], *slope.shape[2:])
                transposed = matrix.T.expand(len(slope), -1, -1)
                wide[images].flatten(2).baddbmm_(transposed, slope.flatten(2))
            found.append(_narrowed(wide, logits, ctx.size))
        return None, None, None, *found


class _KeptShares(torch.autograd.Function):
    """`_MeanShares` where all shares fit into memory: they are computed once, with the pixels last."""

    @staticmethod
    def forward(ctx, size, kept, rivals, *coarse):
        ctx.size, ctx.kept, total = size, kept, 0
        every = []
        for layer, logits in enumerate(coarse):
            shares = _shares(upsample(logits, size), rivals and rivals[layer])
            total = total + shares[:, :, kept].mean(dim=1)
            every.append(shares)
        ctx.save_for_backward(*coarse, *every)
        return total / len(coarse)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        count = len(ctx.saved_tensors) // 2
        found = []
        for logits, shares in zip(ctx.saved_tensors[:count], ctx.saved_tensors[count:], strict=True):
            pull = (grad / (count * logits.shape[1]))[:, None]
            weighted = shares[:, :, ctx.kept] * pull
            slope = shares * -weighted.sum(dim=2, keepdim=True)
            slope[:, :, ctx.kept] += weighted
            rows, columns = interpolations(logits, ctx.size)
            found.append(rows.T @ (slope @ columns))
        return None, None, None, *found


def _shares(fine: torch.Tensor, rival: torch.Tensor | None) -> torch.Tensor:
    """softmax over N of (B, heads, N, H, W), which it overwrites; rival: (B, heads, H, W), one more logit."""
    top = fine.amax(dim=2, keepdim=True)
    if rival is not None:
        top = torch.maximum(top, rival[:, :, None])
    shares = fine.sub_(top).exp_()
    below = shares.sum(dim=2, keepdim=True)
    if rival is not None:
        below += (rival[:, :, None] - top).exp_()
    return shares.div_(below)


def _kept(tokens, coarse: torch.Tensor) -> slice | torch.Tensor:
    """The wanted tokens as a slice or indices that count from the first token, whatever follows the last."""
    count = coarse.shape[2]
    if tokens is None or isinstance(tokens, slice):
        return slice(*(tokens or slice(None)).indices(count))
    kept = torch.arange(count, device=coarse.device)[torch.as_tensor(tokens, device=coarse.device)]
    if len(kept.unique()) < len(kept):
        raise AttentionError(f"tokens are {kept.tolist()}, expected each of them once")
    return kept


def _pulled(kept, count: int, grad: torch.Tensor) -> tuple[slice | torch.Tensor, torch.Tensor]:
    """The tokens whose maps some loss reads, and the gradient of their maps: often few of many."""
    pulled = grad.abs().amax(dim=(0, 2, 3)) != 0  # true for NaN
    if pulled.all():
        return kept, grad
    return torch.arange(count, device=grad.device)[kept][pulled], grad[:, pulled]


def _rows_of_shares(logits: torch.Tensor, size: tuple[int, int], rival: torch.Tensor | None) -> Iterator:
    """Yields (images, rows, shares (b, r, W, heads, N), the matrix (r, h) that made these rows): a few images
    at a time, or a few rows of one.

    rival: (B, heads, H, W), takes part in the softmax as one more token behind the last.
    """
    if rival is not None:
        logits = F.pad(logits, (0, 0, 0, 0, 0, 1))
    heads, count = logits.shape[1:3]
    vertical, horizontal = interpolations(logits, size)
    in_a_row, most = heads * count * size[1], _limit(ROWS_NUMBERS, logits)
    for images in _slices(len(logits), most // (in_a_row * size[0])):
        wide = (horizontal @ logits[images].permute(0, 3, 4, 1, 2).flatten(3)).flatten(2)
        for rows in _slices(size[0], most // in_a_row):
            fine = (vertical[rows] @ wide).unflatten(2, (size[1], heads, count))
            if rival is not None:
                fine[..., -1] = rival[images, :, rows].permute(0, 2, 3, 1)
            yield images, rows, fine.softmax(dim=-1), vertical[rows]


def _limit(numbers: Mapping[str, int], like: torch.Tensor) -> int:
    return numbers.get(like.device.type, numbers["cpu"])


def _slices(count: int, step: int) -> list[slice]:
    """0 to count in slices of `step`, of 1 at least."""
    return [slice(first, first + max(1, step)) for first in range(0, count, max(1, step))]


def _narrowed(wide: torch.Tensor, like: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The transpose of the horizontal upsampling: (B, h, W, heads, N or N + 1) -> (B, heads, N, h, w)."""
    _, horizontal = interpolations(like, size)
    narrow = (horizontal.T @ wide.flatten(3)).unflatten(3, wide.shape[3:])
    return narrow.permute(0, 3, 4, 1, 2)[:, :, : like.shape[2]]


def interpolations(coarse: torch.Tensor, size: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
    """The vertical (H, h) and the horizontal (W, w) interpolation of maps (..., h, w)."""
    pairs = zip(coarse.shape[-2:], size, strict=True)
    vertical, horizontal = (_bicubic(n, m, coarse.dtype, coarse.device) for n, m in pairs)
    return vertical, horizontal


@lru_cache(maxsize=32)
def _bicubic(source: int, size: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """F.interpolate's bicubic for one axis, corners not aligned, as a matrix (size, source)."""
    with torch.inference_mode(False), torch.no_grad():
        unit = torch.eye(source)[None, :, :, None]  # channel i is the i-th unit vector
        matrix = F.interpolate(unit, size=(size, 1), mode="bicubic", align_corners=False)
        return matrix[0, :, :, 0].T.contiguous().to(device=device, dtype=dtype)


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)
