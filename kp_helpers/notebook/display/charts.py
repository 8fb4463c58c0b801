"""Charts and tables: losses, hits run by run, values over a setting, errors; settings, measures, verdicts."""

from collections.abc import Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from pydantic import BaseModel

from kp_helpers.intervals import p_text
from kp_helpers.notebook.display.pictures import COLOURS, RC, legend
from kp_helpers.results import Metric


def losses(records: Iterable, *, title: str = "losses") -> Figure:
    """The total and each part over the steps: every step thin, the mean of the last ten thick."""
    rows = pd.DataFrame([{"step": r.step, "weighted total": r.loss, **r.parts} for r in records])
    names = list(rows.columns[1:])
    figure, axes = _charts(len(names), (2.5, 2.2), title)
    for axis, name, colour in zip(axes, names, COLOURS, strict=False):
        sns.lineplot(rows, x="step", y=name, color=colour, alpha=0.3, linewidth=0.8, ax=axis)
        smoothed = rows[name].rolling(10, min_periods=1).mean()
        sns.lineplot(x=rows["step"], y=smoothed, color=colour, linewidth=1.8, ax=axis)
        axis.set_title(name, fontsize=9)
        axis.set(xlabel="step", ylabel="", ylim=(0, None))
    return figure


def runs(rows: pd.DataFrame, *, paper: Mapping[str, tuple] | None = None, title: str = "") -> Figure:
    """Runs one by one. rows: joint, method, run, value in percent; paper: joint -> (mean, SD or None)."""
    joints = list(rows["joint"].unique())
    figure, axes = _charts(len(joints), (2.7, 2.7), title, sharey=True)
    for axis, joint in zip(axes, joints, strict=True):
        groups = rows[rows["joint"] == joint].groupby("method", sort=False)["value"]
        for place, (colour, (method, values)) in enumerate(zip(COLOURS, groups, strict=False)):
            beside = place + np.linspace(-0.25, 0.25, len(values)) if len(values) > 1 else [place]
            axis.scatter(beside, values, color=colour, s=30, alpha=0.75, linewidths=0, label=method)
            axis.hlines(values.mean(), place - 0.33, place + 0.33, color=colour, linewidth=2)
        if joint in (paper or {}):
            mean, sd = paper[joint]
            style = {"fmt": "D", "color": "#444444", "capsize": 4, "markersize": 5}
            axis.errorbar(len(groups), mean, yerr=sd, label="the paper's mean ± SD, on 3DPW", **style)
        axis.set(xticks=[], xlim=(-0.6, len(groups) + 0.6), ylim=(-4, 104))
        axis.set_title(joint.replace("_", " "), fontsize=9)
    axes[0].set_ylabel("hits of a run, %", fontsize=8)
    legend(figure, *axes)
    return figure


def curves(
    rows: pd.DataFrame,
    x: str,
    *,
    log: bool = False,
    marked: float | None = None,
    title: str = "",
    y: str = "",
) -> Figure:
    """A value over a setting: a chart a panel, a line with a dot a value for each `line` of it.

    rows: panel, line, value and the column `x`; low and high too where there is an interval, in the value's
    unit. log: of the setting's axis. marked: a dashed line there, for the paper's choice. y: what value is.
    """
    panels = list(rows["panel"].unique())
    figure, axes = _charts(len(panels), (3.4, 2.7), title)
    for axis, panel in zip(axes, panels, strict=True):
        groups = rows[rows["panel"] == panel].groupby("line", sort=False)
        for colour, (name, curve) in zip(COLOURS, groups, strict=False):
            marker = "o" if len(curve) < 20 else ""
            axis.plot(curve[x], curve["value"], color=colour, marker=marker, markersize=4, label=name)
            if "low" in curve:
                axis.fill_between(curve[x], curve["low"], curve["high"], color=colour, alpha=0.12, lw=0)
        if marked is not None:
            axis.axvline(marked, color="#444444", linewidth=0.8, linestyle="--")
        if log:
            _log_ticks(axis, sorted(rows[x].unique()))
        axis.set_xlabel(x.replace("_", " "), fontsize=8)
        axis.set_title(panel, fontsize=9)
    axes[0].set_ylabel(y, fontsize=8)
    legend(figure, *axes)
    return figure


def ranges(rows: pd.DataFrame, *, marked: str = "", title: str = "") -> Figure:
    """Variants one below the other, each a dot with its interval. rows: method, value, low, high.

    marked: the variant that the others are compared with, in colour, with a dashed line at its value.
    """
    figure, (axis,) = _charts(1, (6.0, 0.6 + 0.28 * len(rows)), title)
    for place, (_, row) in enumerate(rows.iterrows()):
        colour = COLOURS[0] if row["method"] == marked else COLOURS[1]
        _dots(axis, place, row, colour)
        if row["method"] == marked:
            axis.axvline(row["value"], color=colour, linewidth=0.8, linestyle="--")
    _name_places(axis, rows["method"], "hits, %")
    return figure


def grouped(rows: pd.DataFrame, by: str, *, title: str = "", x: str = "hits, %") -> Figure:
    """Methods side by side for each value of a column, one below the other, each a dot with its interval.

    rows: method, value, low, high and the column `by`, in the order in which they are drawn.
    """
    places = {value: place for place, value in enumerate(rows[by].unique())}
    methods = rows.groupby("method", sort=False)
    figure, (axis,) = _charts(1, (6.4, 0.8 + 0.16 * len(places) * (len(methods) + 1)), title)
    offsets = np.linspace(-0.32, 0.32, len(methods)) if len(methods) > 1 else [0.0]
    for offset, colour, (method, part) in zip(offsets, COLOURS, methods, strict=False):
        _dots(axis, part[by].map(places) + offset, part, colour, method)
    _name_places(axis, [str(value).replace("_", " ") for value in places], x)
    axis.set(xlim=(-2, 102))
    legend(figure, axis)
    return figure


def matrices(panels: Mapping[str, object], names: Sequence[str], *, title: str = "") -> Figure:
    """Square tables of numbers from -1 to 1 side by side, each with its numbers in it.

    panels: name -> (n, n). names: of the n rows and columns.
    """
    side = 0.9 + 0.42 * len(names)
    figure, axes = _charts(len(panels), (side, side), title, sharey=True)
    for axis, (name, values) in zip(axes, panels.items(), strict=True):
        options = {"cmap": "RdBu_r", "vmin": -1, "vmax": 1, "annot": True, "fmt": ".2f", "cbar": False}
        sns.heatmap(np.asarray(values), ax=axis, square=True, annot_kws={"size": 6.5}, **options)
        axis.set_xticks(np.arange(len(names)) + 0.5, names, rotation=90, fontsize=7)
        axis.set_yticks(np.arange(len(names)) + 0.5, names, rotation=0, fontsize=7)
        axis.set_title(name, fontsize=9)
    return figure


def histogram(groups: Mapping[str, object], *, title: str = "", x: str = "") -> Figure:
    """Shares of values in 40 bins that are even on a logarithmic axis, one chart a group; values above 0."""
    figure, axes = _charts(len(groups), (3.4, 2.4), title, sharex=True, sharey=True)
    logarithms = np.log10(np.concatenate([np.asarray(values, float) for values in groups.values()]))
    reach = (logarithms.min(), logarithms.max())
    for axis, colour, (name, values) in zip(axes, COLOURS, groups.items(), strict=False):
        bars = {"stat": "percent", "bins": 40, "binrange": reach, "log_scale": True}
        sns.histplot(np.asarray(values, float), color=colour, ax=axis, **bars)
        axis.set_xlabel(x, fontsize=8)
        axis.set_title(f"{name}, n {len(values)}", fontsize=9)
    axes[0].set_ylabel("% of the predictions", fontsize=8)
    return figure


def simplex(values: Mapping[str, tuple], corners: Sequence[str], *, title: str = "") -> Figure:
    """Numbers on a triangle of three weights. values: name -> (the weights (3,), of which only the ratios
    count, the number); corners: the weights' names.
    """
    figure, (axis,) = _charts(1, (4.2, 3.6), title)
    place = np.array([(0.0, 0.0), (1.0, 0.0), (0.5, 0.87)])
    axis.fill(*place.T, facecolor="none", edgecolor="#999999", linewidth=0.8)
    for (x, y), corner in zip(place, corners, strict=True):
        axis.text(x, y + (0.05 if y else -0.05), corner, ha="center", va="bottom" if y else "top", fontsize=8)
    points = np.array([np.asarray(weights) / sum(weights) @ place for weights, _ in values.values()])
    numbers = [number for _, number in values.values()]
    dots = axis.scatter(*points.T, c=numbers, cmap="viridis", s=90, zorder=3, edgecolors="white")
    for (x, y), (name, (_, number)) in zip(points, values.items(), strict=True):
        axis.text(x + 0.035, y, f"{name}\n{number:.1f}", fontsize=7, va="center")
    figure.colorbar(dots, ax=axis, shrink=0.7)
    axis.set(xlim=(-0.15, 1.15), ylim=(-0.15, 1.0), aspect="equal")
    axis.axis("off")
    return figure


def _charts(count: int, side: tuple[float, float], title: str, **options) -> tuple[Figure, list[Axes]]:
    """An empty figure with `count` charts in a row, each (width, height) inches."""
    with plt.rc_context(RC):
        size = (side[0] * count, side[1])
        figure, axes = plt.subplots(1, count, figsize=size, layout="constrained", squeeze=False, **options)
    plt.close(figure)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=10)
    for axis in axes.flat:
        axis.tick_params(labelsize=8)
    return figure, list(axes.flat)


def _log_ticks(axis: Axes, ticks: Sequence[float]) -> None:
    """A logarithmic axis with these ticks as plain numbers, without those that would touch the one before."""
    apart = [tick for n, tick in enumerate(ticks) if not n or tick > 1.25 * ticks[n - 1]]
    axis.set(xscale="log", xticks=apart, xticklabels=[f"{tick:.3g}" for tick in apart])
    axis.minorticks_off()


def _dots(axis: Axes, places, rows, colour: str, name: str | None = None) -> None:
    """Values as dots with their intervals, at these heights."""
    axis.hlines(places, rows["low"], rows["high"], color=colour, linewidth=1.5, alpha=0.6)
    axis.scatter(rows["value"], places, color=colour, s=24, zorder=3, label=name)


def _name_places(axis: Axes, names: Sequence[str], x: str) -> None:
    """What stands at the heights 0, 1 and so on, from above."""
    axis.set_yticks(range(len(names)), names)
    axis.invert_yaxis()
    axis.set_xlabel(x, fontsize=8)


pd.options.display.max_colwidth = 120  # the meaning of a setting is a sentence


def settings_table(settings: BaseModel) -> pd.DataFrame:
    """Every setting of a group with its value and what it means."""
    fields = type(settings).model_fields
    rows = {name: (str(getattr(settings, name)), field.description) for name, field in fields.items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "meaning"])


def metrics_table(measured: Iterable[Metric]) -> pd.DataFrame:
    """What a run will save: name, value to three digits, unit and n."""
    rows = {m.name: ("no cases" if m.value is None else f"{m.value:.3g}", m.unit, m.n) for m in measured}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "unit", "n"])


def verdicts_table(verdicts: pd.DataFrame) -> pd.DataFrame:
    """Rows of `evaluate.judged` as a person reads them."""
    rows = verdicts.reset_index(drop=True)
    table = rows[["id", "verdict", "joint"]].assign(
        asked=rows["method"] + " " + rows["side"] + " " + rows["against"],
        measure=rows["measure"],
        points=[f"{r.difference:+.1f} [{r.low:+.1f}, {r.high:+.1f}]" for r in rows.itertuples()],
        p=[p_text(p) if p == p else "" for p in rows["p"]],
        n=[f"{r.n:.0f}" + (f" in {r.runs:.0f} runs" if r.runs > 1 else "") for r in rows.itertuples()],
    )
    return table.assign(needed=rows["needed"], why=rows["why"]).fillna("")
