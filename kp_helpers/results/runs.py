"""The runs of a results folder as they are read back: settings, metrics, verdicts, pictures."""

import json
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import TypeAdapter

from kp_helpers.metrics.paper import FAILS, HOLDS, OPEN, UNTESTABLE
from kp_helpers.results.run_folder import Metric

REFERENCE = "reference"
"""What the names of committed runs begin with; a user's own runs are on the page, and not in the texts."""
_WORDS = ("id", "verdict", "joint", "method", "side", "against", "measure", "why")
_NUMBERS = ("difference", "low", "high", "p", "runs", "n", "needed")
_METRICS = TypeAdapter(list[Metric])


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One row of `verdicts.csv`, the `row`-th after its header; None where the row says nothing.

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
    """What was read of one run's folder, `place`. What a run does not say of itself is empty.

    folder: relative to the results folder. data: its kind, "figures" or "3DPW". mode: of attention, "coupled"
    or "readout". size: how many runs of how many test pictures; train_images: how many labelled ones.
    minutes, memory: of the whole notebook, and GB of it. machine: cores, processor and GPU.
    """

    place: Path
    notebook: str
    name: str
    folder: str
    config: dict
    metrics: list[Metric]
    verdicts: tuple[Verdict, ...]
    pictures: tuple[str, ...]
    data: str
    model: str
    mode: str
    size: str
    train_images: int | None
    minutes: str
    memory: str
    machine: str

    def rank(self) -> tuple:
        """Sorts the runs of a notebook, the best evidence first: real data, more cases, the paper's mode."""
        cases = sum(row.n for row in self.metrics)
        return (self.data != "3DPW", -cases, self.mode != "coupled", self.name)


def read_runs(folder: Path) -> tuple[list[Run], list[str]]:
    """All runs in order of their names, and a sentence for each that is damaged."""
    runs, damaged = [], []
    for metrics in sorted(folder.glob("*/*/metrics.json")):
        place = metrics.parent.relative_to(folder)
        if any(part.startswith(".") for part in place.parts):
            continue
        try:
            runs.append(_read(metrics.parent))
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            sentence = f"metrics.json, config.json or verdicts.csv cannot be read ({reason})"
            damaged.append(f"{place.as_posix()}: {sentence}")
    return runs, damaged


def read_table(path: Path, words: tuple[str, ...], numbers: tuple[str, ...]) -> list[dict]:
    """The rows of a CSV file, none where there is none; a number is None where its cell is empty.

    Raises ValueError where one of these columns is missing, or a cell of `numbers` is no number.
    """
    if not path.is_file():
        return []
    types = {**dict.fromkeys(words, str), **dict.fromkeys(numbers, float)}
    empty = {name: ["", "nan"] for name in numbers}
    table = pd.read_csv(path, usecols=list(types), dtype=types, keep_default_na=False, na_values=empty)
    return table.astype(object).where(table.notna(), None).to_dict("records")


def best_of(runs: list[Run], notebook: str) -> Run | None:
    """The run of a notebook with the best evidence."""
    return min((run for run in runs if run.notebook == notebook), key=Run.rank, default=None)


def _read(place: Path) -> Run:
    config = json.loads((place / "config.json").read_text(encoding="utf-8"))
    settings = config["settings"]
    protocol, appended = settings.get("protocol", {}), settings.get("appended", {})
    size = ""
    if plan := settings.get("plan"):  # notebook 11's, which follows no protocol and appends nothing
        size, appended = f"{plan['bases']} bases, {plan['test'] or 'all'} pictures of each set", {}
    elif {"runs", "test_images"} <= protocol.keys():
        size = f"{protocol['runs']} runs of {protocol['test_images']} pictures"
    rows = read_table(place / "verdicts.csv", _WORDS, _NUMBERS)
    return Run(
        place=place,
        notebook=place.parent.name,
        name=place.name,
        folder=f"{place.parent.name}/{place.name}",
        config=config,
        metrics=_METRICS.validate_json((place / "metrics.json").read_bytes()),
        verdicts=tuple(_verdict(number, cells) for number, cells in enumerate(rows, 1)),
        pictures=tuple(sorted(path.name for path in place.glob("figures/*.png"))),
        data=str(config["data"]["kind"]),
        model=str(config["model"]["name"]) if "model" in config else "",
        mode=str(appended.get("mode", "")),
        size=size,
        train_images=protocol.get("train_images"),
        minutes=f"{config['minutes']:.1f}" if "minutes" in config else "",
        memory=f"{config['memory_gb']:.1f}" if "memory_gb" in config else "",
        machine=_machine(config.get("machine", {})),
    )


def _machine(facts: dict) -> str:
    cores = f"{facts['cores']} x {facts['processor']}" if facts.get("processor") else ""
    return ", ".join(filter(None, [cores, facts.get("gpu", "")]))


def _verdict(row: int, cells: dict) -> Verdict:
    if cells["verdict"] not in (HOLDS, FAILS, OPEN, UNTESTABLE):
        raise ValueError(f"row {row} of verdicts.csv says {cells['verdict']!r}, expected {HOLDS!r} or such")
    question = " ".join(filter(None, (cells["method"], cells["side"], cells["against"])))
    text = ": ".join(filter(None, (cells["joint"].replace("_", " "), question)))
    facts = {name: cells[name] for name in ("id", "verdict", "measure", "why", *_NUMBERS)}
    return Verdict(row=row, text=text, **facts)
