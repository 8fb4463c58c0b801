"""Runs of the tuner in words: one line for a run's settings, a table for all runs."""

from collections.abc import Iterable
from html import escape

from kp_helpers import intervals
from kp_helpers.widgets.tuned_run import TunedRun
from kp_helpers.widgets.tuner_learning import Learner, Seen

_CELL = "padding:1px 8px;text-align:right"


def state_line(run: TunedRun, running: bool) -> str:
    """Where a run stands."""
    if not running and not run.step:
        return "no run yet: the tokens as they start"
    doing = "running" if running else "finished" if run.finished else "paused"
    return f"run {run.name}, {doing}: step {run.step} of {run.settings.steps}"


def settings_line(run: TunedRun, running: bool, learner: Learner) -> str:
    """Where a run stands and what it is, such as "run 3, paused: step 40 of 100; weights 1:1:5, ..."."""
    said = ", ".join(f"{title} {value}" for title, value in _settings(run, learner).items())
    return f"{state_line(run, running)}; {said}"


def hits_line(seen: Seen) -> str:
    """The hits on held-out pictures with Wilson's interval."""
    if not seen.pictures:
        return "no picture shows the joint"
    found = intervals.wilson(seen.hits, seen.pictures)
    bounds = f"95 %: {100 * found.low:.0f} to {100 * found.high:.0f} %"
    return f"{seen.hits} of {seen.pictures} hit, {100 * found.value:.0f} % ({bounds}), after step {seen.step}"


def history_table(runs: Iterable[TunedRun], shown: TunedRun, learner: Learner) -> str:
    """A row a run as HTML; what differs from the shown run is bold, that run is shaded.

    A star: settings were changed on the way.
    """
    rows = [_columns(run, learner) for run in runs]
    if not rows:
        return "<i>none yet</i>"
    own = _columns(shown, learner)
    head = "".join(f"<th style='{_CELL}'>{escape(name)}</th>" for name in own)
    return f"<table><tr>{head}</tr>{''.join(_row(row, own) for row in rows)}</table>"


def _row(row: dict[str, str], own: dict[str, str]) -> str:
    cells = []
    for name, value in row.items():
        strong = value != own[name] and name not in ("run", "step")
        text = f"<b>{escape(value)}</b>" if strong else escape(value)
        cells.append(f"<td style='{_CELL}'>{text}</td>")
    shade = " style='background:rgba(49,130,189,0.15)'" if row["run"] == own["run"] else ""
    return f"<tr{shade}>{''.join(cells)}</tr>"


def _columns(run: TunedRun, learner: Learner) -> dict[str, str]:
    """Title -> text of each thing that the table tells of a run."""
    return {
        "run": run.name + ("*" if run.changes else ""),
        "step": f"{run.step} of {run.settings.steps}",
        **_settings(run, learner),
        "target loss": f"{run.losses[-1][3]:.3g}" if run.losses else "",
        "hits": f"{run.hits[-1][1]} of {run.hits[-1][2]}" if run.hits else "",
    }


def _settings(run: TunedRun, learner: Learner) -> dict[str, str]:
    own = learner.values_of(run)
    weights = (own[f"{name}_weight"] for name in ("localization", "equivariance", "target"))
    return {
        "weights": ":".join(f"{weight:g}" for weight in weights),
        "target": f"{own['target']} {own['sigma']:g}",
        "rate": f"{own['learning_rate']:.3g}",
        "tokens": str(own["appended"]),
        "noise level": str(own["timestep"]),
        "mode": own["mode"],
        "maps": str(own["map_size"]),
        "views": str(own["views"]),
    }
