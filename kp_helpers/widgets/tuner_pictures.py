"""The tuner's pictures while it runs, made for speed: heat maps as one JPEG, curves as SVG."""

import io
from collections.abc import Sequence
from functools import cache

import matplotlib
import numpy as np
import torch
from PIL import Image, ImageDraw

from kp_helpers.notebook.display import COLOURS, TRUE
from kp_helpers.notebook.display.pictures import HEAT
from kp_helpers.widgets.tuned_run import TunedRun
from kp_helpers.widgets.watching import Sight

SIDE, GAP = 134, 4
"""Pixels of a picture's side, and between pictures."""
_CHARTS = ("weighted total", "localization", "equivariance", "target", "hits, %")
_WIDTH, _HEIGHT, _LEFT, _TOP = 136, 108, 32, 20
_PALE = "#9e9e9e"


def grounds(images: torch.Tensor) -> list[Image.Image]:
    """Images (n, 3, H, W) in [0,1] as the pale grey ground of heat maps."""
    pale = (255 * (0.35 + 0.65 * images.mean(dim=1))).byte().cpu().numpy()
    return [
        Image.fromarray(own).resize((SIDE, SIDE), Image.Resampling.LANCZOS).convert("RGB") for own in pale
    ]


def heat_sheet(
    ground: Sequence[Image.Image],
    sight: Sight,
    targets: torch.Tensor,
    sigma: float,
    hit: Sequence[bool] = (),
    columns: int = 5,
) -> bytes:
    """Maps over pictures as a JPEG: the target a circle of radius sigma, the map's point a cross.

    ground: of the n pictures, from `grounds`. targets: (n, 2) in [0,1], NaN where there is none. sigma: a
    share of the picture. hit: which pictures get a green frame.
    """
    columns = min(columns, len(ground))
    rows = -(-len(ground) // columns)
    size = (columns * (SIDE + GAP) - GAP, rows * (SIDE + GAP) - GAP)
    sheet = Image.new("RGB", size, "white")
    for number, picture in enumerate(ground):
        shown = _heated(picture, sight.maps[number])
        draw = ImageDraw.Draw(shown)
        _cross(draw, sight.points[number])
        if torch.isfinite(targets[number]).all():
            _ring(draw, targets[number], sigma)
        if number < len(hit) and hit[number]:
            draw.rectangle((0, 0, SIDE - 1, SIDE - 1), outline=TRUE, width=4)
        row, column = divmod(number, columns)
        sheet.paste(shown, (column * (SIDE + GAP), row * (SIDE + GAP)))
    out = io.BytesIO()
    sheet.save(out, format="jpeg", quality=90, subsampling=0)
    return out.getvalue()


def curves(run: TunedRun, beside: Sequence[TunedRun] = ()) -> str:
    """The losses and the hits of a run over its steps as SVG, those of other runs thin and grey behind."""
    last = max([1, *(len(own.losses) for own in (run, *beside))])
    charts = []
    for number, name in enumerate(_CHARTS):
        lines = [_points(own, number) for own in (*beside, run)]
        charts.append(_chart(number, name, lines, last))
    width = len(_CHARTS) * _WIDTH + _LEFT // 2
    head = f'<svg width="{width}" height="{_HEIGHT + 18}" fill="currentColor" font-family="sans-serif">'
    return head + "".join(charts) + "</svg>"


def _heated(picture: Image.Image, heat_map: torch.Tensor) -> Image.Image:
    """The map from its own minimum to its own maximum over a picture, as `display.heat` shows it."""
    low, high = float(heat_map.min()), float(heat_map.max())
    share = ((heat_map - low) * (255 / max(high - low, 1e-12))).byte().numpy()
    grey = Image.fromarray(share).resize((SIDE, SIDE), Image.Resampling.BILINEAR)
    colour = grey.copy()
    colour.putpalette(_palette())
    return Image.composite(colour.convert("RGB"), picture, grey.point(_alpha()))


def _cross(draw: ImageDraw.ImageDraw, point: torch.Tensor) -> None:
    x, y = (SIDE * float(value) for value in point)
    for width, colour in ((5, "black"), (3, COLOURS[1])):
        draw.line((x - 6, y - 6, x + 6, y + 6), fill=colour, width=width)
        draw.line((x - 6, y + 6, x + 6, y - 6), fill=colour, width=width)


def _ring(draw: ImageDraw.ImageDraw, point: torch.Tensor, sigma: float) -> None:
    x, y = (SIDE * float(value) for value in point)
    radius = max(3.0, SIDE * sigma)
    for wider, width, colour in ((1, 4, "black"), (0, 2, TRUE)):
        reach = radius + wider
        draw.ellipse((x - reach, y - reach, x + reach, y + reach), outline=colour, width=width)


@cache
def _palette() -> list[int]:
    colours = matplotlib.colormaps[HEAT](np.arange(256))[:, :3]
    return (255 * colours).astype(int).ravel().tolist()


@cache
def _alpha() -> list[int]:
    return [round(255 * (0.15 + 0.75 * share / 255)) for share in range(256)]


def _points(run: TunedRun, chart: int) -> list[tuple[float, float]]:
    """(steps done, value) of a chart's line."""
    if chart < len(_CHARTS) - 1:
        return [(step, row[chart]) for step, row in enumerate(run.losses, 1)]
    return [(step, 100 * hits / pictures) for step, hits, pictures in run.hits if pictures]


def _chart(number: int, name: str, lines: list[list[tuple[float, float]]], last: int) -> str:
    """One chart: an axis from 0 to the largest value, every line, and the last value of the last line."""
    values = [value for line in lines for _, value in line]
    top = 100.0 if name.startswith("hits") else max(values, default=0.0) or 1.0
    x0, y0 = number * _WIDTH + _LEFT, _TOP
    x1, y1 = x0 + _WIDTH - _LEFT - 4, y0 + _HEIGHT - _TOP
    now = f" {lines[-1][-1][1]:.3g}" if lines[-1] else ""
    parts = [
        f'<text x="{x0}" y="{y0 - 7}" font-size="11">{name}<tspan font-weight="bold">{now}</tspan></text>',
        f'<path d="M{x0} {y0}V{y1}H{x1}" fill="none" stroke="{_PALE}"/>',
        f'<text x="{x0 - 3}" y="{y0 + 8}" text-anchor="end" font-size="9">{top:.3g}</text>',
        f'<text x="{x0 - 3}" y="{y1}" text-anchor="end" font-size="9">0</text>',
        f'<text x="{x1}" y="{y1 + 12}" text-anchor="end" font-size="9">step {last}</text>',
    ]
    for place, line in enumerate(lines):
        own = place == len(lines) - 1
        path = " ".join(
            f"{x0 + (x1 - x0) * x / last:.1f},{y1 - (y1 - y0) * min(y / top, 1):.1f}" for x, y in line
        )
        stroke = f'stroke="{COLOURS[number % len(COLOURS)]}" stroke-width="2"' if own else f'stroke="{_PALE}"'
        parts.append(f'<polyline fill="none" {stroke} points="{path}"/>')
        if own and path:
            x, y = path.split()[-1].split(",")
            parts.append(f'<circle cx="{x}" cy="{y}" r="2.5" fill="{COLOURS[number % len(COLOURS)]}"/>')
    return "".join(parts)
