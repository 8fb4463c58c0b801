"""Losses over the steps, hits run by run, and hits over the width of a direction."""

from collections.abc import Iterable, Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kp_helpers.display.pictures import COLOURS, RC, legend


def losses(records: Iterable, *, smooth: int = 10, title: str = "losses") -> Figure:
    """The total and each part over the steps: every step thin, the mean of the last `smooth` thick."""
    rows = pd.DataFrame([{"step": r.step, "weighted total": r.loss, **r.parts} for r in records])
    names = list(rows.columns[1:])
    figure, axes = _charts(len(names), (2.5, 2.2), title)
    for axis, name, colour in zip(axes, names, COLOURS, strict=False):
        sns.lineplot(rows, x="step", y=name, color=colour, alpha=0.3, linewidth=0.8, ax=axis)
        smoothed = rows[name].rolling(smooth, min_periods=1).mean()
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


def directions(rows: pd.DataFrame, *, chosen: float = 45.0, title: str = "") -> Figure:
    """Hits over the half-angle of a meaningful direction: a line a method, a band for its interval.

    rows: joint, method, half_angle in degrees, value, low, high in percent; chosen: drawn as a dashed line.
    """
    joints = list(rows["joint"].unique())
    figure, axes = _charts(len(joints), (2.7, 2.7), title, sharey=True)
    for axis, joint in zip(axes, joints, strict=True):
        groups = rows[rows["joint"] == joint].groupby("method", sort=False)
        for colour, (method, curve) in zip(COLOURS, groups, strict=False):
            axis.plot(curve["half_angle"], curve["value"], color=colour, linewidth=1.8, label=method)
            band = {"color": colour, "alpha": 0.12, "linewidth": 0}
            axis.fill_between(curve["half_angle"], curve["low"], curve["high"], **band)
        axis.axvline(chosen, color="#444444", linewidth=0.8, linestyle="--")
        axis.set(xticks=range(0, 181, 45), ylim=(-4, 104))
        axis.set_xlabel("half-angle, degrees", fontsize=8)
        axis.set_title(joint.replace("_", " "), fontsize=9)
    axes[0].set_ylabel("hits, %", fontsize=8)
    legend(figure, *axes)
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
