"""Compile the CUDA kernels for an H200 without one: prints kernel, columns and bytes of shared memory."""

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from kp_helpers.attention import fused, kernels

INTEGERS = {"H", "W", "h", "w", "count", "T", "heads"}
TYPES = {"scale": "fp32", "kept": "*i64", "slots_of": "*i64"} | dict.fromkeys(INTEGERS, "i32")
TYPES |= dict.fromkeys(("first", "rows_from", "rows_to"), "*i32")


def main() -> None:
    for columns in (16, 32, fused.WIDEST):
        pixels = min(fused.PIXELS, fused.WEIGHTS // columns)
        rows = {"COLUMNS": columns, "PIXELS": pixels, "TOKENS": fused.TOKENS}
        band = fused.OWNED // fused.OWNED_TOKENS // columns
        owned = {"COLUMNS": columns, "PIXELS": fused.OWNED_PIXELS, "TOKENS": fused.OWNED_TOKENS, "BAND": band}
        _compile(kernels.log_sums, rows | {"HAS_RIVAL": True}, 2)
        _compile(kernels.add_shares, rows, 2)
        _compile(kernels.dots, rows, 2)
        _compile(kernels.gradient, owned, 1)


def _compile(kernel, blocks: dict, stages: int) -> None:
    types = {name: "constexpr" if name in blocks else TYPES.get(name, "*fp32") for name in kernel.arg_names}
    aligned = {(i,): [["tt.divisibility", 16]] for i, kind in enumerate(types.values()) if kind[0] == "*"}
    source = ASTSource(fn=kernel, signature=types, constexprs=blocks, attrs=aligned)
    options = {"num_warps": fused.WARPS, "num_stages": stages}
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)
    print(kernel.__name__, blocks["COLUMNS"], compiled.metadata.shared)


if __name__ == "__main__":
    main()
