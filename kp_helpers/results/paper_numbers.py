"""The paper's numbers beside those that the kit measured, and the table of docs/deviations.md: what the papers
leave open, and what the kit does otherwise.
"""

from dataclasses import dataclass, replace
from kp_helpers.metrics.paper import FAILS, HOLDS, MEASURES, OPEN, PAPER
from kp_helpers.results.claims import ABSENT, PROTOCOL, WEIGHTS
from kp_helpers.results.run_folder import Metric
from kp_helpers.results.runs import Run
from kp_helpers.results.tables import Table, data_name, spread, words
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from kp_helpers.metrics.paper import AREA, EXACT
from kp_helpers.results.run_folder import Metric
from kp_helpers.results.runs import Run, read_table
from kp_helpers.results.tables import Table, ground, spread, words


@dataclass(frozen=True, kw_only=True)
class Beside:
    """A number of the paper, in percent, with the row of `metrics.json` that stands beside it, if a run has
    one.
    """

    joint: str
    train_images: int
    measure: str
    value: float
    sd: float | None
    verdict: str = ABSENT
    run: Run | None = None
    row: Metric | None = None


def beside_paper(runs: list[Run]) -> list[Beside]:
    """All numbers of the paper, each with the row of ours that has the most cases.

    Real data come before figures, and the protocol's own notebook before an ablation.
    """
    rows = [(run, row) for run in sorted(runs, key=Run.rank) for row in run.metrics if _quotes(run, row)]
    rows.sort(key=lambda pair: (pair[0].data != "3DPW", pair[0].notebook != PROTOCOL, -pair[1].n))
    numbers = []
    for (joint, images), measures in PAPER.items():
        for column, (value, sd) in measures.items():
            number = Beside(joint=joint, train_images=images, measure=MEASURES[column], value=value, sd=sd)
            for run, row in rows:
                if (row.joint, row.train_images, row.measure) == (joint, images, number.measure):
                    number = replace(number, run=run, row=row, verdict=_verdict(value, run, row))
                    break
            numbers.append(number)
    return numbers


def table(numbers: list[Beside]) -> Table:
    """The paper's numbers beside those with as many labelled pictures."""
    rows = []
    for number in numbers:
        paper = f"{number.value:.2f}" + ("" if number.sd is None else f" ± {number.sd:.2f}")
        ours, n, where = "", "", ""
        if number.run:
            ours, n = spread(number.row), str(number.row.n)
            where = f"{number.run.folder}, {data_name(number.run.data)}"
        what = (words(number.joint), number.measure, str(number.train_images))
        rows.append((*what, paper, ours, n, number.verdict, where))
    head = ("joint", "hit", "labelled pictures", "paper's, %", "ours, %", "n", "verdict", "run")
    return Table(head, tuple(rows))


def _quotes(run: Run, row: Metric) -> bool:
    """Whether a row is of the method that the paper's numbers are of, with its settings."""
    asks = run.notebook in (PROTOCOL, WEIGHTS)
    return asks and row.paper is not None and row.method.startswith("appended")


def _verdict(value: float, run: Run, row: Metric) -> str:
    """Whether the paper's number is met can be told on its own ground only, 3DPW and a model other than the
    figures model: it holds where the paper's number lies in the 95 % interval of ours.
    """
    if run.data != "3DPW" or run.model == "figures" or row.interval is None:
        return OPEN
    low, high = row.interval
    return HOLDS if low <= value <= high else FAILS


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
