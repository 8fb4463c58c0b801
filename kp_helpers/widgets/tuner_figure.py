"""What the tuner shows of this run and the last: losses, maps with targets and points, and hits."""

import textwrap
from collections.abc import Iterable, Sequence

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle

from kp_helpers import intervals
from kp_helpers.evaluate import Framed
from kp_helpers.notebook import display
from kp_helpers.widgets.tuner_learning import Learner, Seen, TunedRun

HELD_OUT = 10
"""Held-out pictures that are drawn; all of them are counted."""
_COLUMNS = 5
_HITS = "hits, %"
_PALE = "#9e9e9e"


def figure(seen: Seen, last: TunedRun | None, learner: Learner, sigma: float, title: str) -> Figure:
    """Curves, those of the last run in grey, then maps on training and on held-out pictures.

    A target is a circle of radius sigma, a share of the picture; a map's point is a cross; a hit is framed.
    """
    rows = 1 + -(-min(len(seen.test[1]), HELD_OUT) // _COLUMNS)
    height = 2.2 + 1.8 * rows
    whole = Figure(figsize=(8.7, height))  # not pyplot's: another thread may be drawing there
    top, middle = 1 - 0.8 / height, 1 - 2.1 / height
    curves = whole.add_gridspec(1, _COLUMNS, left=0.05, right=0.99, bottom=middle, top=top, wspace=0.35)
    maps = whole.add_gridspec(rows, _COLUMNS, left=0.01, right=0.99, bottom=0.01, top=middle - 0.5 / height)
    _curves(curves.subplots(), seen.run, last)
    axes = maps.subplots(squeeze=False)
    title = textwrap.fill(title, 130)
    whole.suptitle(title, x=0.01, y=1 - 0.05 / height, ha="left", va="top", fontsize=8, parse_math=False)
    for axis in axes.flat:
        axis.axis("off")
    hits = [False] * len(seen.train[1])
    _maps(axes[0], seen.train, learner.train, learner.joint, sigma, hits)
    _maps(axes[1:].flat, seen.test, learner.test, learner.joint, sigma, seen.hit)
    axes[0, 0].set_title("learned from", loc="left", fontsize=8)
    axes[1, 0].set_title(f"held out: {hits_line(seen)}; a hit is framed", loc="left", fontsize=8)
    return whole


def hits_line(seen: Seen) -> str:
    """The hits on held-out pictures with Wilson's interval."""
    hits, pictures = seen.hits
    if not pictures:
        return "no picture shows the joint"
    found = intervals.wilson(hits, pictures)
    bounds = f"95 %: {100 * found.low:.0f} to {100 * found.high:.0f} %"
    return f"{hits} of {pictures} hit, {100 * found.value:.0f} % ({bounds}), step {seen.step}"


def curves_of(run: TunedRun) -> dict[str, tuple[list, list]]:
    """Name -> (steps done, values) of every curve of a run."""
    steps = range(1, run.step + 1)
    found = {"weighted total": (steps, [record.loss for record in run.records])}
    for name in ("localization", "equivariance", "target"):
        found[name] = steps, [record.parts[name] for record in run.records]
    shares = [100 * hits / max(pictures, 1) for hits, pictures in run.hits.values()]
    return found | {_HITS: (list(run.hits), shares)}


def _curves(axes: Sequence[Axes], run: TunedRun, last: TunedRun | None) -> None:
    before = curves_of(last) if last else {}
    for axis, colour, (name, curve) in zip(axes, display.COLOURS, curves_of(run).items(), strict=False):
        if name in before:
            axis.plot(*before[name], color=_PALE, linewidth=1)
        axis.plot(*curve, color=colour, linewidth=1.5, marker="." if len(curve[0]) < 3 else "")
        axis.set_title(f"{name} {curve[1][-1]:.3g}" if curve[1] else name, fontsize=8)
        axis.set_ylim(0, 100 if name == _HITS else None)
        axis.set_xlim(0, max(run.step, last.step if last else 0, 1))
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(labelsize=6)
        axis.locator_params(nbins=4)


def _maps(
    axes: Iterable[Axes], seen: tuple, framed: Framed, joint: str, sigma: float, hits: Sequence[bool | None]
) -> None:
    """Maps of the first pictures, with the map's point and, where the joint shows, its target."""
    targets = framed.points(joint)
    for number, (axis, heat_map, point, hit) in enumerate(zip(axes, *seen, hits, strict=False)):
        display.heat(axis, framed.images[number], heat_map)
        if framed.samples[number].visible[joint] and torch.isfinite(targets[number]).all():
            ring = {"fill": False, "edgecolor": display.TRUE, "linewidth": 1.6, "zorder": 3}
            axis.add_patch(Circle(targets[number].tolist(), max(sigma, 0.02), **ring))
        display.mark(axis, point, display.COLOURS[1])
        if hit:
            axis.add_patch(Rectangle((0, 0), 1, 1, fill=False, edgecolor=display.TRUE, linewidth=5))
        axis.set(xlim=(0, 1), ylim=(1, 0))
