"""`shares.mean_shares` on CUDA: the same sums as one launch of each kernel a layer, forward and backward.

No head's maps ever stand in device memory. What is kept of a pixel is, for each head, the log-sum-exp over
its tokens, and in the backward pass sum_n p_n g_n.

The backward pass has no atomics, so it repeats to the last bit: a program owns the gradient of a band of
coarse rows for one head and a few tokens, walks over the map's rows that reach into the band, and holds the
sum in registers until the end.

The sizes of blocks below were chosen from what the compiler reports for an H200 (compute capability 9.0):
no kernel spills more than a few registers, and two programs or more fit a multiprocessor.
"""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
import triton
from torch.autograd.function import once_differentiable

from kp_helpers.attention import kernels

WIDEST = 64
"""Columns of the widest layer whose rows, twice buffered, leave room in shared memory for two programs."""
TOKENS, PIXELS, WEIGHTS = 32, 128, 4096
"""A forward program takes TOKENS tokens, and PIXELS of a row or fewer: with the layer's columns at most
WEIGHTS interpolation weights.
"""
OWNED_TOKENS, OWNED_PIXELS, OWNED = 16, 32, 4096
"""A backward program owns OWNED numbers of the gradient, 32 registers of each thread, and takes OWNED_PIXELS
at a time.
"""
WARPS = 4


class MeanShares(torch.autograd.Function):
    """`apply(matrices, rivals, kept, *coarse)` as `shares.mean_shares`, (B, T, H, W).

    matrices: for each layer the vertical (H, h) and the horizontal (W, w) interpolation; a vertical row fills
    four neighbouring columns at most. rivals: None, or (B, heads, H, W) for each layer. kept: (T,) indices of
    different tokens. coarse: (B, heads, N, h, w) float32 for each layer, w at most WIDEST.
    """

    @staticmethod
    def forward(ctx, matrices, rivals, kept, *coarse):
        rivals = rivals or [None] * len(coarse)
        layers = [_Layer(*given) for given in zip(coarse, matrices, strict=True)]
        height, width = layers[0].size
        total = coarse[0].new_zeros(len(coarse[0]), len(kept), height, width)
        sums = [layer.log_sums(rival) for layer, rival in zip(layers, rivals, strict=True)]
        for layer, log_sums in zip(layers, sums, strict=True):
            layer.add_shares(total, log_sums, kept, 1 / (len(layers) * layer.heads))
        ctx.matrices = matrices
        ctx.save_for_backward(kept, *sums, *coarse)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        kept, *saved = ctx.saved_tensors
        count = len(ctx.matrices)
        found = []
        for coarse, pair, log_sums in zip(saved[count:], ctx.matrices, saved[:count], strict=True):
            layer = _Layer(coarse, pair)
            found.append(layer.gradient(grad.contiguous(), log_sums, kept, 1 / (count * layer.heads)))
        return None, None, None, *found


class _Layer:
    """One layer's coarse logits with tokens last, and the interpolation to the map, ready for the kernels."""

    def __init__(self, coarse: torch.Tensor, matrices: Sequence[torch.Tensor]):
        self.batch, self.heads, self.count, *self.sides = coarse.shape
        self.coarse = coarse.detach().permute(0, 1, 3, 4, 2).contiguous()
        self.vertical, self.horizontal = (matrix.contiguous() for matrix in matrices)
        self.size = (len(self.vertical), len(self.horizontal))
        self.first = _first_filled(self.vertical)
        self.columns = max(16, triton.next_power_of_2(self.sides[1]))  # a matrix product's sides begin at 16
        self.pixels = min(PIXELS, WEIGHTS // self.columns, max(16, triton.next_power_of_2(self.size[1])))

    def log_sums(self, rival: torch.Tensor | None) -> torch.Tensor:
        """log sum_n exp(logits), with the rival's as one more, (B, heads, H, W)."""
        found = self._per_head()
        given = found if rival is None else rival.contiguous()
        self._launch(
            kernels.log_sums, self._rows(self.batch * self.heads), given, found, HAS_RIVAL=rival is not None
        )
        return found

    def add_shares(self, total, log_sums, kept, scale: float) -> None:
        """Add scale times the sum over heads of the kept tokens' shares to total (B, T, H, W)."""
        grid = self._rows(self.batch * triton.cdiv(len(kept), TOKENS))
        self._launch(kernels.add_shares, grid, kept, log_sums, total, len(kept), self.heads, scale)

    def gradient(self, grad, log_sums, kept, scale: float) -> torch.Tensor:
        """The gradient (B, heads, N, h, w) of the coarse logits by that of the total, grad (B, T, H, W)."""
        dots, slots = self._per_head(), torch.full((self.count,), -1, device=kept.device)
        slots[kept] = torch.arange(len(kept), device=kept.device)
        given = (log_sums, grad, len(kept), self.heads, scale, dots)
        self._launch(kernels.dots, self._rows(self.batch * self.heads), kept, *given)
        found = torch.empty_like(self.coarse)
        band = min(triton.next_power_of_2(self.sides[0]), OWNED // OWNED_TOKENS // self.columns)
        first, last = _reach(self.vertical, band)
        grid = (self.batch * self.heads, triton.cdiv(self.count, OWNED_TOKENS), len(first))
        blocks = {"PIXELS": OWNED_PIXELS, "TOKENS": OWNED_TOKENS, "BAND": band, "num_stages": 1}
        self._launch(kernels.gradient, grid, slots, *given, first, last, found, **blocks)
        return found.permute(0, 1, 4, 2, 3)

    def _per_head(self) -> torch.Tensor:
        return self.coarse.new_empty(self.batch, self.heads, *self.size)

    def _rows(self, first: int) -> tuple[int, int, int]:
        return first, self.size[0], triton.cdiv(self.size[1], self.pixels)

    def _launch(self, kernel, grid, *given, **blocks) -> None:
        device = self.coarse.device
        blocks = {"PIXELS": self.pixels, "TOKENS": TOKENS, "num_stages": 2} | blocks
        sizes = (*self.size, *self.sides, self.count)
        with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
            kernel[grid](
                self.coarse,
                self.vertical,
                self.horizontal,
                self.first,
                *sizes,
                *given,
                COLUMNS=self.columns,
                num_warps=WARPS,
                **blocks,
            )


def _first_filled(matrix: torch.Tensor) -> torch.Tensor:
    """The first column of each row that is not zero, int32."""
    return (matrix != 0).to(torch.uint8).argmax(dim=1).to(torch.int32)


def _reach(vertical: torch.Tensor, band: int) -> tuple[torch.Tensor, torch.Tensor]:
    """For each `band` coarse rows the first of the map's rows that mix one of them, and the one behind the
    last.
    """
    bands = triton.cdiv(vertical.shape[1], band)
    filled = torch.nn.functional.pad(vertical != 0, (0, bands * band - vertical.shape[1]))
    mixes = filled.unflatten(1, (bands, band)).any(dim=2).T  # (bands, H)
    return _first_filled(mixes), len(vertical) - _first_filled(mixes.flip(1))
