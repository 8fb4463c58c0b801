"""What the sources leave open, what the kit does, and what else would do, as far as a run has measured it."""

import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from kp_helpers.results.gathered import Run, read_table
from kp_helpers.results.known import AREA
from kp_helpers.results.tables import Table, ground


@dataclass(frozen=True, kw_only=True)
class Silence:
    """open: what the sources do not settle; choice: what the kit does.

    variants: what else was tried, as patterns of the column `variant` in the `differences.csv` of notebook's
    runs. Without a notebook no ablation asks it.
    """

    open: str
    choice: str
    notebook: str = ""
    variants: tuple[str, ...] = ()


def read_silences(path: Path) -> tuple[Silence, ...]:
    """The silences of a TOML file; TypeError where one has a field that a silence has not, or lacks one."""
    found = tomllib.loads(path.read_text(encoding="utf-8"))["silences"]
    return tuple(Silence(**{**one, "variants": tuple(one.get("variants", ()))}) for one in found)


_COLUMNS = ("variant", "measure"), ("difference", "low", "high")
SILENCES = read_silences(Path(__file__).with_name("silences.toml"))


def deviations(runs: list[Run]) -> Table:
    """A row for each silence, with the effect of doing otherwise: other minus choice, in percent points."""
    rows = tuple((one.open, one.choice, *_effect(one, runs)) for one in SILENCES)
    head = (
        "what the sources leave open",
        "what the kit does",
        f"otherwise: {AREA}",
        "measured on",
    )
    return Table(head, rows)


def _effect(silence: Silence, runs: list[Run]) -> tuple[str, str]:
    """The differences of the best run of the notebook that has them, and what that run was measured on."""
    for run in sorted((run for run in runs if run.notebook == silence.notebook), key=Run.rank):
        found = [
            _difference(row)
            for row in read_table(run.place / "differences.csv", *_COLUMNS)
            if row["measure"] == AREA and any(fnmatchcase(row["variant"], p) for p in silence.variants)
        ]
        if found:
            return "; ".join(found), f"{ground(run)} ({run.folder}/differences.csv)"
    return "not measured", ""


def _difference(row: dict) -> str:
    bounds = "" if row["low"] is None else f" [{row['low']:+.0f}, {row['high']:+.0f}]"
    return f"{row['variant']} {row['difference']:+.1f}{bounds}"
