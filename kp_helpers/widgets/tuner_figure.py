"""The tuner's last state as one figure, for readers who have no kernel."""

from matplotlib.figure import Figure

from kp_helpers.evaluate import Framed
from kp_helpers.notebook import display
from kp_helpers.widgets.tuned_run import TunedRun
from kp_helpers.widgets.tuner_learning import Seen
from kp_helpers.widgets.watching import Sight

_COLUMNS, _SIDE = 5, 1.75
_LOSSES = ("weighted total", "localization", "equivariance", "target")


def figure(seen: Seen, train: Framed, test: Framed, joint: str, settings: str, hits: str) -> Figure:
    """Curves, then maps on training and on held-out pictures, with target and prediction.

    settings, hits: sentences about the run. Names come from files, and dollars in them are no formulas.
    """
    learned, held = len(seen.train.points), min(len(seen.test.points), 2 * _COLUMNS)
    rows = -(-held // _COLUMNS)
    size = (_SIDE * _COLUMNS, 1.6 + _SIDE * (1 + rows) + 0.9)
    whole = Figure(figsize=size, layout="constrained")  # not pyplot's: another thread may be drawing there
    parts = whole.subfigures(3, 1, height_ratios=(1.7, _SIDE + 0.25, rows * _SIDE + 0.45))
    whole.suptitle(f"{_plain(joint)}: {settings}", x=0.01, ha="left", fontsize=8)
    _curves(parts[0], seen.run)
    _row(parts[1], "learned from", seen.train, train, joint, seen.run, learned)
    axes = _row(parts[2], f"held out: {hits}", seen.test, test, joint, seen.run, held)
    display.legend(parts[2], axes[0])
    return whole


def _curves(part, run: TunedRun) -> None:
    axes = part.subplots(1, len(_LOSSES) + 1)
    columns = list(zip(*run.losses, strict=True)) or [(float("nan"),)] * len(_LOSSES)
    for axis, name, colour, values in zip(axes, _LOSSES, display.COLOURS, columns, strict=False):
        axis.plot(range(1, len(values) + 1), values, color=colour, linewidth=1.5)
        axis.set_title(name, fontsize=8)
        axis.set_ylim(0, None)
    steps = [step for step, _, pictures in run.hits if pictures]
    shares = [100 * hits / pictures for _, hits, pictures in run.hits if pictures]
    few = {"marker": "o", "markersize": 3, "clip_on": False} if len(steps) < 3 else {}
    axes[-1].plot(steps, shares, color=display.COLOURS[-1], linewidth=1.5, **few)
    axes[-1].set_title("hits, %", fontsize=8)
    axes[-1].set_ylim(0, 100)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.set_xlim(0, max(run.step, 1))
        axis.tick_params(labelsize=7)
        axis.set_xlabel("step", fontsize=7)


def _row(part, title: str, sight: Sight, framed: Framed, joint: str, run: TunedRun, count: int) -> list:
    """Maps of the first `count` pictures with the map's point and, where the joint shows, its target."""
    axes = list(part.subplots(-(-count // _COLUMNS), _COLUMNS, squeeze=False).flat)
    part.suptitle(title, x=0.01, ha="left", fontsize=9, fontweight="bold")
    targets = framed.points(joint)
    for axis in axes:
        axis.axis("off")
    for number, axis in zip(range(count), axes, strict=False):
        display.heat(axis, framed.images[number], sight.maps[number])
        if framed.samples[number].visible[joint]:
            display.mark(axis, targets[number], display.TRUE, "target", true=True, size=60)
        display.mark(axis, sight.points[number], display.COLOURS[1], "the map's point")
        axis.set(xlim=(0, 1), ylim=(1, 0))
    return axes


def _plain(text: str) -> str:
    """Text in which matplotlib reads no formula."""
    return text.replace("$", r"\$")
