"""The runs of a results folder as they are read back: settings, metrics, verdicts, pictures."""

import csv
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

from kp_helpers.results.run_folder import Metric, ResultsError

HOLDS, FAILS, OPEN, UNTESTABLE = "holds", "does not hold", "cannot be told", "not testable here"
"""The verdicts that `verdicts.csv` may hold."""
_WORDS = ("id", "verdict", "joint", "method", "side", "against", "measure", "why")
_NUMBERS = ("difference", "low", "high", "p", "runs", "n", "needed")


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One row of `verdicts.csv`, the `row`-th behind its header; None where the row says nothing.

    id: the claim's. text: what was asked, in words. measure: what was counted. difference, low, high: in
    percent points with the bounds of the 95 % interval, or a share in percent. n: cases, in so many runs.
    needed: cases that would decide what cannot be told. why: it is not testable.
    """

    row: int
    id: str
    verdict: str
    text: str
    measure: str
    why: str
    difference: float | None
    low: float | None
    high: float | None
    p: float | None
    runs: float | None
    n: float | None
    needed: float | None


@dataclass(frozen=True, kw_only=True)
class Run:
    """What was read of one run's folder, `place`. metrics: intervals as interval_low and interval_high."""

    place: Path
    config: dict
    metrics: list[dict]
    verdicts: tuple[Verdict, ...]
    pictures: tuple[str, ...]

    @property
    def notebook(self) -> str:
        return self.place.parent.name

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def folder(self) -> str:
        """Relative to the results folder."""
        return f"{self.notebook}/{self.name}"

    @property
    def data(self) -> str:
        """The kind of data: "figures", "3DPW"."""
        return str(self.config["data"]["kind"])

    @property
    def model(self) -> str:
        return str(self.config["model"]["name"]) if "model" in self.config else ""

    @property
    def mode(self) -> str:
        """Of attention: "coupled" or "readout"; empty for a run that learned nothing."""
        return str(self.config["settings"].get("appended", {}).get("mode", ""))

    @property
    def size(self) -> str:
        """How many runs of how many test pictures; empty for a run that followed no protocol."""
        protocol = self.config["settings"].get("protocol", {})
        if not {"runs", "test_images"} <= protocol.keys():
            return ""
        return f"{protocol['runs']} runs of {protocol['test_images']} pictures"

    @property
    def train_images(self) -> int | None:
        """How many labelled pictures the protocol has; None for a run that followed none."""
        return self.config["settings"].get("protocol", {}).get("train_images")

    @property
    def minutes(self) -> str:
        """Of the whole notebook; empty for a run that does not say."""
        return f"{self.config['minutes']:.1f}" if "minutes" in self.config else ""

    @property
    def machine(self) -> str:
        """Cores, processor and GPU; empty for a run that does not say."""
        found = self.config.get("machine", {})
        cores = f"{found['cores']} x {found['processor']}" if found.get("processor") else ""
        return ", ".join(filter(None, [cores, found.get("gpu", "")]))

    def rank(self) -> tuple:
        """Sorts the runs of a notebook, the best evidence first: real data, more cases, the paper's mode."""
        cases = sum(row["n"] for row in self.metrics)
        return (self.data != "3DPW", -cases, self.mode != "coupled", self.name)


def read_runs(folder: Path) -> tuple[list[Run], list[str]]:
    """All runs in order of their names, and a sentence for each that is damaged."""
    runs, damaged = [], []
    for metrics in sorted(folder.glob("*/*/metrics.json")):
        place = metrics.parent
        if not any(part.startswith(".") for part in place.relative_to(folder).parts):
            try:
                runs.append(_read(place))
            except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
                name = place.relative_to(folder).as_posix()
                found = f"metrics.json, config.json or verdicts.csv cannot be read ({error!r})"
                damaged.append(f"{name}: {found}")
    return runs, damaged


def read_table(path: Path, texts: tuple[str, ...], numbers: tuple[str, ...]) -> list[dict]:
    """The rows of a CSV file, none where there is none; cells of `numbers` are floats, or None.

    Raises ResultsError where one of these columns is missing, or a cell is no number.
    """
    if not path.is_file():
        return []
    place = "/".join(path.parts[-3:])
    with path.open(encoding="utf-8", newline="") as text:
        rows = list(csv.DictReader(text))
    for count, row in enumerate(rows, 1):
        for name in (*texts, *numbers):
            if row.get(name) is None:
                raise ResultsError(f"{place}, row {count}: found no column {name!r}, expected it")
        for name in numbers:
            try:
                row[name] = _number(row[name])
            except ValueError:
                raise ResultsError(
                    f"{place}, row {count}: {name} is {row[name]!r}, expected a number"
                ) from None
    return rows


def _number(text: str) -> float | None:
    """A cell as a number; None where it is empty or NaN."""
    value = float(text) if text else math.nan
    return None if math.isnan(value) else value


def _read(place: Path) -> Run:
    rows = json.loads((place / "metrics.json").read_text(encoding="utf-8"))
    verdicts = read_table(place / "verdicts.csv", _WORDS, _NUMBERS)
    run = Run(
        place=place,
        config=json.loads((place / "config.json").read_text(encoding="utf-8")),
        metrics=[_flat(row) for row in rows],
        verdicts=tuple(_verdict(row, cells) for row, cells in enumerate(verdicts, 1)),
        pictures=tuple(sorted(path.name for path in place.glob("figures/*.png"))),
    )
    _ = run.data, run.model, run.mode, run.size, run.minutes, run.machine  # what cannot be told is damage
    return run


def _flat(row: dict) -> dict:
    """A row of metrics.json with the interval as two columns; TypeError where it is not what Metric holds."""
    metric = Metric(**row)
    low, high = metric.interval or (None, None)
    for value in (metric.value, metric.sd, low, high, metric.paper, metric.paper_sd):
        if value is not None and not isinstance(value, int | float):
            raise TypeError(f"{metric.name!r} holds {value!r}, expected a number or null")
    if not isinstance(metric.n, int):
        raise TypeError(f"{metric.name!r} has n {metric.n!r}, expected a whole number")
    return {**asdict(metric), "interval_low": low, "interval_high": high}


def _verdict(row: int, cells: dict) -> Verdict:
    if cells["verdict"] not in (HOLDS, FAILS, OPEN, UNTESTABLE):
        raise ValueError(f"row {row} of verdicts.csv says {cells['verdict']!r}, expected {HOLDS!r} or such")
    asked = " ".join(filter(None, (cells["method"], cells["side"], cells["against"])))
    text = ": ".join(filter(None, (cells["joint"].replace("_", " "), asked)))
    given = {name: cells[name] for name in ("id", "verdict", "measure", "why", *_NUMBERS)}
    return Verdict(row=row, text=text, **given)
