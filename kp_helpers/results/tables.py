"""The tables that the page and the project's texts share: rows of plain text, made from the runs alone."""

from dataclasses import dataclass

from kp_helpers.intervals import p_text
from kp_helpers.results.answers import Answer
from kp_helpers.results.gathered import FAILS, Run, Verdict
from kp_helpers.results.known import AREA, DISC, Beside

_DATA = {"figures": "the synthetic figures world", "3DPW": "3DPW"}
_METHODS = {
    "unsupervised keypoint": "without: unsupervised keypoint",
    "base token": "control: best base token",
    "mean position": "control: mean label position",
    "random embedding": "control: random embedding",
    "nearest neighbour": "control: nearest neighbour",
}


@dataclass(frozen=True)
class Table:
    """Cells as plain text, neither HTML nor Markdown."""

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def data_name(kind: str) -> str:
    """The data's name in titles; a result on figures is never called 3DPW's."""
    return _DATA.get(kind, kind)


def ground(run: Run) -> str:
    """What a run was measured on, how the appended tokens enter, and how much of it there is."""
    mode = {"readout": "read-out mode", "coupled": "coupled mode"}.get(run.mode, "")
    first = f"{data_name(run.data)} with the model {run.model}"
    return ", ".join(filter(None, [first, mode, run.size]))


def hits(run: Run) -> Table:
    """The protocol's exact hits and areas by joint and number of labelled pictures: every method, and the
    paper's number.
    """
    cells: dict[tuple, dict[str, dict]] = {}
    for row in run.metrics:
        if row["measure"] in (DISC, AREA):
            method = row["method"].split(", training images")[0]
            cells.setdefault((row["joint"], row["train_images"], row["measure"]), {})[method] = row
    methods = list(dict.fromkeys(method for own in cells.values() for method in own))
    rows = []
    for (joint, images, measure), own in cells.items():
        quoted = next((row for row in own.values() if row["paper"] is not None), None)
        shown = [within(own.get(method)) for method in methods]
        n = str(next(iter(own.values()))["n"])
        rows.append((joint.replace("_", " "), str(images or ""), short(measure), *shown, papers(quoted), n))
    head = ("joint", "labels", "measure", *map(_method, methods), "paper's, on 3DPW", "n")
    return Table(head, tuple(rows))


def taught(run: Run) -> Table:
    """The protocol's exact hits with its first number of labels: taught, and beside it what needs no learning."""
    own = [row for row in run.metrics if row["measure"] == DISC and row["train_images"] == run.train_images]
    ridge = f"ridge, {run.train_images} label{'s' * (run.train_images != 1)}"
    found: dict[str, dict[str, dict]] = {}
    for row in own:
        found.setdefault(row["joint"], {})["taught" if row["method"].startswith("appended") else row["method"]] = row
    rows = []
    for joint, by in found.items():
        beside = [by.get(name) for name in ("unsupervised keypoint", "mean position", ridge)]
        numbers = ["" if row is None or row["value"] is None else f"{row['value']:.0f}" for row in beside]
        rows.append((joint.replace("_", " "), within(by.get("taught")), *numbers))
    head = (f"exact hits, %, {run.train_images} labels", "taught", "unsupervised", "mean position", "ridge fit")
    return Table(head, tuple(rows))


def metrics(run: Run) -> Table:
    """All rows of a run's `metrics.json`."""
    rows = tuple(_metric(row) for row in run.metrics)
    return Table(("what", "threshold", "n", "value", "SD", "95 % interval", "paper", "source"), rows)


def _metric(row: dict) -> tuple[str, ...]:
    unit, low, high = str(row["unit"]), row["interval_low"], row["interval_high"]
    normaliser = f" of {row['normaliser']}" if row["normaliser"] else ""
    paper = _number(row["paper"], unit)
    if row["paper_sd"] is not None:
        paper += f" (SD {_number(row['paper_sd'])})"
    return (
        str(row["name"]),
        str(row["threshold"]) + normaliser,
        str(row["n"]),
        "no cases" if row["value"] is None else _number(row["value"], unit),
        _number(row["sd"]),
        "" if low is None else f"{_number(low)} to {_number(high)}",
        paper,
        str(row["source"]),
    )


def _number(value: float | None, unit: str = "") -> str:
    return "" if value is None else f"{value:.4g}{' ' + unit if unit else ''}"


def spread(row: dict | None) -> str:
    """Mean ± SD over runs [95 % interval], in the row's unit; empty without a row."""
    if row is None:
        return ""
    if row["value"] is None:
        return "no cases"
    sd = "" if row["sd"] is None else f" ± {row['sd']:.1f}"
    low, high = row["interval_low"], row["interval_high"]
    return f"{row['value']:.1f}{sd}" + ("" if low is None else f" [{low:.0f}, {high:.0f}]")


def within(row: dict | None) -> str:
    """Mean [95 % interval], in the row's unit; empty without a row."""
    if row is None or row["value"] is None:
        return "" if row is None else "no cases"
    low, high = row["interval_low"], row["interval_high"]
    return f"{row['value']:.0f}" + ("" if low is None else f" [{low:.0f}, {high:.0f}]")


def papers(row: dict | None) -> str:
    """The paper's number beside a row, with the labelled pictures that it had."""
    if row is None:
        return ""
    sd = "" if row["paper_sd"] is None else f" ± {row['paper_sd']:.1f}"
    return f"{row['paper']:.1f}{sd} ({row['source'].split(', ')[-1]})"


def times(runs: list[Run]) -> Table:
    """Which command made each run, in how many minutes, and on what; empty where the run does not say."""
    rows = ((run.folder, str(run.config.get("command", "")), run.minutes, run.machine) for run in runs)
    return Table(("run", "command", "minutes", "machine"), tuple(rows))


def verdicts(answers: list[Answer]) -> Table:
    """A line for each claim: its verdict, the number of the part that decides it, and where that stands."""
    rows = []
    for one in answers:
        row = headline(one)
        number = f"{short(row.text)}: {short(amount(row))}" if row else ""
        more = f" and {len(one.rows) - 1} more" if len(one.rows) > 1 else ""
        where = f"{one.run.folder}/verdicts.csv, row {row.row}{more}" if row else ""
        rows.append((one.claim.id, one.claim.title, one.verdict, number, where))
    return Table(("id", "claim", "verdict", "the part that decides, in percent points", "row"), tuple(rows))


def headline(one: Answer) -> Verdict | None:
    """The row that a claim's verdict hangs on, by the area under the PCK curve where it asks that.

    Of a claim that fails it is the surest, else the least sure: the one that would change the verdict first.
    """
    own = [row for row in one.rows if row.verdict == one.verdict] or list(one.rows)
    own = [row for row in own if row.measure == AREA] or own
    pick = min if one.verdict == FAILS else max
    return pick(own, key=lambda row: row.p or 0.0, default=None)


def short(text: str) -> str:
    """A row's words as a table of many claims has them."""
    for long, brief in ((AREA, "AUC"), (DISC, "exact hits"), (", coupled mode", ""), (", readout mode", "")):
        text = text.replace(long, brief)
    return text


def numbers(found: list[Beside]) -> Table:
    """The paper's numbers beside those with as many labelled pictures."""
    rows = []
    for one in found:
        known = one.known
        sd = "" if known.sd is None else f" ± {known.sd:.2f}"
        where = f"{one.run.folder}, {data_name(one.run.data)}" if one.run else ""
        n = str(one.row["n"]) if one.row else ""
        words = (known.joint.replace("_", " "), known.measure, str(known.train_images))
        rows.append((*words, f"{known.value:.2f}{sd}", spread(one.row), n, one.verdict, where))
    head = ("joint", "hit", "labelled pictures", "paper's, %", "ours, %", "n", "verdict", "run")
    return Table(head, tuple(rows))


def amount(row: Verdict) -> str:
    """The numbers of one verdict that it has: difference [95 % interval], p, the cases, what was counted, and
    how many cases would decide it or why none can.
    """
    parts = []
    if row.difference is not None:
        bounds = "" if row.low is None else f" [{row.low:+.1f}, {row.high:+.1f}]"
        parts.append(f"{row.difference:+.1f}{bounds}")
    if row.p is not None:
        parts.append(p_text(row.p))
    if row.n is not None:
        parts.append(f"n {row.n:.0f}" + (f" in {row.runs:.0f} runs" if row.runs else ""))
    parts += [row.measure, f"{row.needed:.0f} pictures would decide" if row.needed else "", row.why]
    return ", ".join(filter(None, parts))


def places(one: Answer) -> str:
    """Which rows of `verdicts.csv` an answer stands on, from 1 behind the header."""
    numbers = ", ".join(str(row.row) for row in one.rows)
    return f"rows {numbers}" if len(one.rows) > 1 else f"row {numbers}"


def _method(name: str) -> str:
    return "with the appended embedding" if name.startswith("appended") else _METHODS.get(name, name)
