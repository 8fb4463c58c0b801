"""The tables of docs/deviations.md: what the papers leave open and what otherwise, and the two modes."""

import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from kp_helpers.metrics.paper import AREA, EXACT
from kp_helpers.results.run_folder import Metric
from kp_helpers.results.runs import Run, read_table
from kp_helpers.results.tables import Table, ground, spread, words


@dataclass(frozen=True, kw_only=True)
class Choice:
    """open: what the sources do not settle; choice: what the kit does.

    variants: what else was tried, as patterns of the column `variant` in the `differences.csv` of notebook's
    runs. Without a notebook no ablation asks it.
    """

    open: str
    choice: str
    notebook: str = ""
    variants: tuple[str, ...] = ()


def read_choices(path: Path) -> tuple[Choice, ...]:
    """The choices of a TOML file; TypeError where one has a field that a choice has not, or lacks one."""
    return tuple(Choice(**fields) for fields in tomllib.loads(path.read_text(encoding="utf-8"))["choices"])


CHOICES = read_choices(Path(__file__).with_name("deviations.toml"))


def deviations(runs: list[Run]) -> Table:
    """A row for each choice, with the effect of doing otherwise: other minus choice, in percent points."""
    rows = tuple((choice.open, choice.choice, *_effect(choice, runs)) for choice in CHOICES)
    head = ("what the sources leave open", "what the kit does", f"otherwise: {AREA}", "measured on")
    return Table(head, rows)


def both_modes(runs: list[Run]) -> Table:
    """A row for each hit that a coupled run and one in read-out mode have measured with equal settings.

    Equal are the data, the model, and all settings but the mode and the number of runs. Of several runs in
    read-out mode the one with the most cases stands beside the coupled one.
    """
    rows = []
    for coupled in (run for run in runs if run.mode == "coupled"):
        alike = [run for run in runs if run.mode == "readout" and _alike(coupled, run)]
        alike.sort(key=Run.rank, reverse=True)  # the best one last, so that its rows replace the others
        readout = {_place(row): row for run in alike for row in run.metrics}
        for row in coupled.metrics:
            other = readout.get(_place(row))
            if row.method.startswith("appended") and row.measure in (EXACT, AREA) and other:
                numbers = (spread(row), spread(other), f"{row.n} and {other.n}")
                method = _place(row)[1]
                rows.append((coupled.notebook, words(row.joint), method, row.measure, *numbers))
    head = ("notebook", "joint", "method", "measure", "coupled, %", "read-out, %", "n")
    return Table(head, tuple(rows))


def _effect(choice: Choice, runs: list[Run]) -> tuple[str, str]:
    """The differences of the best run of the notebook that has them, and what that run was measured on."""
    for run in sorted((run for run in runs if run.notebook == choice.notebook), key=Run.rank):
        path = run.place / "differences.csv"
        rows = read_table(path, ("variant", "measure"), ("difference", "low", "high"))
        texts = [
            _difference(row)
            for row in rows
            if row["measure"] == AREA and any(fnmatchcase(row["variant"], p) for p in choice.variants)
        ]
        if texts:
            return "; ".join(texts), f"{ground(run)} ({run.folder}/differences.csv)"
    return "not measured", ""


def _difference(row: dict) -> str:
    bounds = "" if row["low"] is None else f" [{row['low']:+.0f}, {row['high']:+.0f}]"
    return f"{row['variant']} {row['difference']:+.1f}{bounds}"


def _place(row: Metric) -> tuple:
    """What a row is of, whatever the mode: joint, method, measure and number of labelled pictures."""
    method = row.method.replace(", coupled mode", "").replace(", readout mode", "")
    return row.joint, method, row.measure, row.train_images


def _alike(run: Run, other: Run) -> bool:
    """Whether the runs differ in no more than the mode, the variants, and how many runs there are."""
    same_ground = all(run.config.get(part) == other.config.get(part) for part in ("data", "model"))
    return run.notebook == other.notebook and same_ground and _agree(_settings(run), _settings(other))


def _settings(run: Run) -> dict:
    """The groups of a run's settings, without its mode and without what only makes it long."""
    settings = run.config["settings"]
    groups = {name: dict(settings.get(name, {})) for name in ("base", "appended", "test", "protocol")}
    groups["appended"].pop("mode", None)
    groups["protocol"].pop("runs", None)
    return groups


def _agree(settings: dict, other: dict) -> bool:
    """Whether all that both know is equal: a setting that is newer than a run was off in it."""
    pairs = [(settings[name], other[name]) for name in settings.keys() & other.keys()]
    return all(_agree(*pair) if isinstance(pair[0], dict) else pair[0] == pair[1] for pair in pairs)
