"""Triton kernels of `fused.MeanShares`: a token's share of each pixel, and the gradient of the coarse logits.

All take the coarse logits (B, heads, h, w, N), so that loads along the tokens are contiguous; the vertical
(H, h) and the horizontal (W, w) interpolation; and `first`, the first coarse row that a row of the map mixes.
A program makes upsampled logits as it needs them: it mixes four coarse rows, then one matrix product with the
horizontal interpolation gives the row at full width. Products run on the tensor cores as "tf32x3", three
products of split numbers that together keep float32's digits.
"""

import triton
import triton.language as tl

TAPS = tl.constexpr(4)
"""Coarse rows that bicubic interpolation mixes for a row of the map."""


@triton.jit
def _mixed(coarse, vertical, first, y, tokens, there, h, w, count, COLUMNS: tl.constexpr):
    """Row y of the map before the horizontal interpolation, (COLUMNS, tokens); coarse: of one head."""
    columns = tl.arange(0, COLUMNS)[:, None]
    cells = coarse + columns * count + tokens[None, :]
    mixed = tl.zeros((COLUMNS, tokens.shape[0]), tl.float32)
    top = tl.load(first + y)
    for tap in tl.static_range(TAPS):
        row = tl.minimum(top + tap, h - 1)  # behind the last row the weight is zero
        weight = tl.where(top + tap < h, tl.load(vertical + y * h + row), 0.0)
        mixed += weight * tl.load(cells + row * w * count, mask=(columns < w) & there[None, :], other=0.0)
    return mixed


@triton.jit
def _across(horizontal, x, W, w, COLUMNS: tl.constexpr):
    """The horizontal interpolation of the pixels x, (pixels, COLUMNS), zero outside."""
    columns = tl.arange(0, COLUMNS)[None, :]
    inside = (x[:, None] < W) & (columns < w)
    return tl.load(horizontal + x[:, None] * w + columns, mask=inside, other=0.0)


@triton.jit
def log_sums(
    coarse, vertical, horizontal, first, H, W, h, w, count, rival, found, HAS_RIVAL: tl.constexpr,
    COLUMNS: tl.constexpr, PIXELS: tl.constexpr, TOKENS: tl.constexpr,
):  # fmt: skip
    """A program: one head, one row, PIXELS of it. The sum is kept relative to the largest logit so far."""
    head, y = tl.program_id(0).to(tl.int64), tl.program_id(1)
    x = tl.program_id(2) * PIXELS + tl.arange(0, PIXELS)
    across, pixel = _across(horizontal, x, W, w, COLUMNS), (head * H + y) * W + x
    coarse += head * h * w * count
    if HAS_RIVAL:
        largest = tl.load(rival + pixel, mask=x < W, other=0.0)
        total = tl.full((PIXELS,), 1.0, tl.float32)
    else:
        largest = tl.full((PIXELS,), float("-inf"), tl.float32)
        total = tl.zeros((PIXELS,), tl.float32)
    for start in range(0, count, TOKENS):
        tokens = start + tl.arange(0, TOKENS)
        mixed = _mixed(coarse, vertical, first, y, tokens, tokens < count, h, w, count, COLUMNS)
        logits = tl.dot(across, mixed, input_precision="tf32x3")
        logits = tl.where(tokens[None, :] < count, logits, float("-inf"))
        larger = tl.maximum(largest, tl.max(logits, axis=1))
        total = total * tl.exp(largest - larger) + tl.sum(tl.exp(logits - larger[:, None]), axis=1)
        largest = larger
    tl.store(found + pixel, largest + tl.log(total), mask=x < W)


@triton.jit
def add_shares(
    coarse, vertical, horizontal, first, H, W, h, w, count, kept, log_sums, total, T, heads, scale,
    COLUMNS: tl.constexpr, PIXELS: tl.constexpr, TOKENS: tl.constexpr,
):  # fmt: skip
    """A program: one image, TOKENS of the kept tokens, one row, PIXELS of it; over all heads."""
    blocks = tl.cdiv(T, TOKENS)
    image, y = (tl.program_id(0) // blocks).to(tl.int64), tl.program_id(1)
    x = tl.program_id(2) * PIXELS + tl.arange(0, PIXELS)
    slots = (tl.program_id(0) % blocks) * TOKENS + tl.arange(0, TOKENS)
    tokens = tl.load(kept + slots, mask=slots < T, other=0)
    across = _across(horizontal, x, W, w, COLUMNS)
    shares = tl.zeros((PIXELS, TOKENS), tl.float32)
    for head in range(image * heads, (image + 1) * heads):
        one = coarse + head * h * w * count
        mixed = _mixed(one, vertical, first, y, tokens, slots < T, h, w, count, COLUMNS)
        logits = tl.dot(across, mixed, input_precision="tf32x3")
        sums = tl.load(log_sums + (head * H + y) * W + x, mask=x < W, other=0.0)
        shares += tl.exp(logits - sums[:, None])
    place = total + ((image * T + slots) * H * W)[None, :] + (y * W + x)[:, None]
    inside = (x[:, None] < W) & (slots[None, :] < T)
    tl.store(place, tl.load(place, mask=inside, other=0.0) + scale * shares, mask=inside)


@triton.jit
def dots(
    coarse, vertical, horizontal, first, H, W, h, w, count, kept, log_sums, grad, T, heads, scale, dots,
    COLUMNS: tl.constexpr, PIXELS: tl.constexpr, TOKENS: tl.constexpr,
):  # fmt: skip
    """A program: scale sum_n p_n g_n over the kept tokens, for one head, one row, PIXELS of it."""
    head, y = tl.program_id(0).to(tl.int64), tl.program_id(1)
    x = tl.program_id(2) * PIXELS + tl.arange(0, PIXELS)
    across, pixel = _across(horizontal, x, W, w, COLUMNS), (head * H + y) * W + x
    coarse += head * h * w * count
    sums = tl.load(log_sums + pixel, mask=x < W, other=0.0)
    dot = tl.zeros((PIXELS,), tl.float32)
    for start in range(0, T, TOKENS):
        slots = start + tl.arange(0, TOKENS)
        tokens = tl.load(kept + slots, mask=slots < T, other=0)
        mixed = _mixed(coarse, vertical, first, y, tokens, slots < T, h, w, count, COLUMNS)
        shares = tl.exp(tl.dot(across, mixed, input_precision="tf32x3") - sums[:, None])
        place = grad + ((head // heads * T + slots) * H * W)[None, :] + (y * W + x)[:, None]
        inside = (x[:, None] < W) & (slots[None, :] < T)
        dot += tl.sum(shares * tl.load(place, mask=inside, other=0.0), axis=1)
    tl.store(dots + pixel, scale * dot, mask=x < W)


@triton.jit
def gradient(
    coarse, vertical, horizontal, first, H, W, h, w, count,
    slots_of, log_sums, grad, T, heads, scale, dots, rows_from, rows_to, found,
    BAND: tl.constexpr, COLUMNS: tl.constexpr, PIXELS: tl.constexpr, TOKENS: tl.constexpr,
):  # fmt: skip
    """A program: one head, TOKENS tokens, BAND coarse rows; over the map's rows that reach into the band."""
    head, band = tl.program_id(0).to(tl.int64), tl.program_id(2)
    tokens = tl.program_id(1) * TOKENS + tl.arange(0, TOKENS)
    slots = tl.load(slots_of + tokens, mask=tokens < count, other=-1)
    rows, columns = band * BAND + tl.arange(0, BAND), tl.arange(0, COLUMNS)
    coarse, found = coarse + head * h * w * count, found + head * h * w * count
    owned = tl.zeros((BAND, COLUMNS, TOKENS), tl.float32)
    for y in range(tl.load(rows_from + band), tl.load(rows_to + band)):
        mixed = _mixed(coarse, vertical, first, y, tokens, tokens < count, h, w, count, COLUMNS)
        slope = tl.zeros((COLUMNS, TOKENS), tl.float32)
        for start in range(0, W, PIXELS):
            x = start + tl.arange(0, PIXELS)
            across, pixel = _across(horizontal, x, W, w, COLUMNS), (head * H + y) * W + x
            sums = tl.load(log_sums + pixel, mask=x < W, other=0.0)
            shares = tl.exp(tl.dot(across, mixed, input_precision="tf32x3") - sums[:, None])
            place = grad + ((head // heads * T + slots) * H * W)[None, :] + (y * W + x)[:, None]
            asked = (x[:, None] < W) & (slots[None, :] >= 0)
            given = scale * tl.load(place, mask=asked, other=0.0)
            # d softmax: p_n (g_n - sum_m p_m g_m), g zero for tokens that were not asked for
            change = shares * (given - tl.load(dots + pixel, mask=x < W, other=0.0)[:, None])
            slope += tl.dot(tl.trans(across), change, input_precision="tf32x3")
        weights = tl.load(vertical + y * h + rows, mask=rows < h, other=0.0)
        owned += weights[:, None, None] * slope[None, :, :]
    cells = (rows[:, None, None] * w + columns[None, :, None]) * count + tokens[None, None, :]
    inside = (rows[:, None, None] < h) & (columns[None, :, None] < w) & (tokens[None, None, :] < count)
    tl.store(found + cells, owned, mask=inside)
