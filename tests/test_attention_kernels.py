"""The CUDA kernels against the plain rows of `shares`: on a GPU, or in Triton's interpreter on the CPU."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kp_helpers.attention import shares

pytest.importorskip("triton", reason="Triton is not installed: run `make test-kernels`")
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
if DEVICE == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
    pytest.skip("no GPU, and TRITON_INTERPRET is not 1: run `make test-kernels`", allow_module_level=True)

from kp_helpers.attention import fused  # noqa: E402 - only where it can be imported


def _coarse(*shapes):
    generator = torch.Generator().manual_seed(0)
    return [(3 * torch.randn(shape, generator=generator)).to(DEVICE).requires_grad_(True) for shape in shapes]


def _compare(monkeypatch, coarse, size, rivals=None, tokens=None):
    """Maps and gradients of both ways through `mean_shares`."""
    found = {}
    for way in (fused, None):
        monkeypatch.setattr(shares, "_fused", lambda _, way=way: way)
        maps = shares.mean_shares(coarse, size, rivals, tokens)
        slope = torch.randn(maps.shape, generator=torch.Generator().manual_seed(1)).to(DEVICE)
        found[way] = maps.detach(), torch.autograd.grad((maps * slope).sum(), coarse)
    assert torch.allclose(found[fused][0], found[None][0], atol=1e-6)
    for mine, theirs in zip(found[fused][1], found[None][1], strict=True):
        assert mine.shape == theirs.shape and theirs.abs().max() > 0.01
        assert torch.allclose(mine, theirs, atol=1e-5)


def test_two_layers_of_different_size(monkeypatch):
    _compare(monkeypatch, _coarse((1, 2, 5, 4, 6), (1, 2, 5, 3, 2)), (6, 12))


def test_some_of_more_tokens_than_a_block_in_any_order(monkeypatch):
    _compare(monkeypatch, _coarse((2, 1, 37, 2, 3)), (3, 5), tokens=[3, 0, 36, -2])


def test_rivals(monkeypatch):
    rivals = [torch.randn(1, 2, 5, 7, generator=torch.Generator().manual_seed(2)).to(DEVICE)]
    _compare(monkeypatch, _coarse((1, 2, 4, 3, 4)), (5, 7), rivals, slice(1, None))


def test_a_wide_map_and_a_tall_layer_in_several_blocks(monkeypatch):
    monkeypatch.setattr(fused, "PIXELS", 16)
    monkeypatch.setattr(fused, "OWNED_PIXELS", 16)
    monkeypatch.setattr(fused, "OWNED", 512)  # two coarse rows at a time
    _compare(monkeypatch, _coarse((1, 1, 3, 5, 4)), (11, 37))


def test_a_map_coarser_than_the_layer(monkeypatch):
    _compare(monkeypatch, _coarse((1, 1, 6, 9, 17)), (4, 5))


def test_large_logits_do_not_overflow():
    logits = torch.tensor([1e4, -1e4, 0.0]).reshape(1, 1, 3, 1, 1).expand(1, 1, 3, 2, 2).to(DEVICE)
    matrices = [shares.interpolations(logits, (2, 2))]
    found = fused.MeanShares.apply(matrices, None, torch.arange(3, device=DEVICE), logits)
    assert torch.equal(found[0, :, 0, 0].cpu(), torch.tensor([1.0, 0.0, 0.0]))


def test_the_compiler_takes_them_and_two_programs_fit_a_multiprocessor():
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    script = Path(__file__).parent / "helpers" / "compile_kernels.py"
    done = subprocess.run([sys.executable, script], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    lines = [line.split() for line in done.stdout.splitlines()]
    assert len(lines) == 12
    assert all(2 * int(line[-1]) <= 227 * 1024 for line in lines), done.stdout
