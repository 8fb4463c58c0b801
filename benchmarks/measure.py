"""Seconds, peak memory and floating-point operations of one function, and the device's matrix rate."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

_SIDE = {"cpu": 3000, "cuda": 8192}


@dataclass(frozen=True)
class Cost:
    """seconds: of the fastest run. peak_bytes: the process's largest resident memory, weights included, on a
    CPU; what torch held at most on a GPU. flops: matrix products, convolutions and attention of one run.
    """

    seconds: float
    peak_bytes: int
    flops: int


def cost(run: Callable[[], object], device: str, repeats: int) -> Cost:
    """Run once to warm up, with operations counted, then `repeats` times; call it in a process of its own.

    Without repeats the first run is the one that counts.
    """
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    with FlopCounterMode(display=False) as counter:
        first = _timed(run, device)
    seconds = min((_timed(run, device) for _ in range(repeats)), default=first)
    return Cost(seconds, peak_bytes(device), counter.get_total_flops())


def round_products(to_tf32: bool) -> None:
    """Whether a GPU may round the products of float32 numbers to ten bits, in matrices and convolutions."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = to_tf32


def matrix_rate(device: str, dtype: torch.dtype) -> float:
    """Operations a second of a large matrix product, the best of five."""
    side = _SIDE[device]
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    left @ right
    return 2 * side**3 / min(_timed(lambda: left @ right, device) for _ in range(5))


def peak_bytes(device: str) -> int:
    """The largest memory so far of this process (CPU) or of torch on the GPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _timed(run: Callable[[], object], device: str) -> float:
    _settle(device)
    started = time.perf_counter()
    run()
    _settle(device)
    return time.perf_counter() - started


def _settle(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()
