"""The tables that the page and the project's texts share: rows of plain text, made from the runs alone."""

from dataclasses import dataclass

from kp_helpers.intervals import p_text
from kp_helpers.metrics.paper import AREA, EXACT
from kp_helpers.results.claims import LISTS, VERDICTS, Answer
from kp_helpers.results.run_folder import Metric
from kp_helpers.results.runs import Run, Verdict

_DATA = {"figures": "the synthetic figures world"}
_MODES = {"readout": "read-out mode", "coupled": "coupled mode"}
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


def grounds(measured: list) -> list[str]:
    """The data that answers, or numbers beside the paper's, were measured on."""
    return sorted({data_name(number.run.data) for number in measured if number.run})


def ground(run: Run) -> str:
    """What a run was measured on, how the appended tokens enter, and how much of it there is."""
    data = f"{data_name(run.data)} with the model {run.model}"
    return ", ".join(filter(None, [data, _MODES.get(run.mode, ""), run.size]))


def hits(run: Run) -> Table:
    """The protocol's exact hits and areas by joint and number of labelled pictures: every method, and the
    paper's number.
    """
    lines: dict[tuple, dict[str, Metric]] = {}
    for row in run.metrics:
        if row.measure in (EXACT, AREA):
            method = row.method.split(", training images")[0]
            lines.setdefault((row.joint, row.train_images, row.measure), {})[method] = row
    methods = list(dict.fromkeys(method for line in lines.values() for method in line))
    rows = []
    for (joint, images, measure), line in lines.items():
        numbers = [number(line.get(method)) for method in methods]
        paper = next((_papers(row) for row in line.values() if row.paper is not None), "")
        n = str(next(iter(line.values())).n)
        rows.append((words(joint), str(images or ""), short(measure), *numbers, paper, n))
    titles = [_method(name) for name in methods]
    return Table(("joint", "labels", "measure", *titles, "paper's, on 3DPW", "n"), tuple(rows))


def taught(run: Run) -> Table:
    """The protocol's exact hits with its first number of labels: taught, and what needs no learning."""
    count = run.train_images
    beside = ("unsupervised keypoint", "mean position", f"ridge, {count} label{'s' * (count != 1)}")
    joints: dict[str, dict[str, Metric]] = {}
    for row in run.metrics:
        if row.measure == EXACT and row.train_images == count:
            method = "taught" if row.method.startswith("appended") else row.method
            joints.setdefault(row.joint, {}).setdefault(method, row)  # the run's own mode stands first
    rows = []
    for joint, methods in joints.items():
        numbers = [number(methods.get(name), interval=False) for name in beside]
        rows.append((words(joint), number(methods.get("taught")), *numbers))
    head = (f"exact hits, %, {count} labels", "taught", "unsupervised", "mean position", "ridge fit")
    return Table(head, tuple(rows))


def metrics(run: Run) -> Table:
    """All rows of a run's `metrics.json`."""
    rows = tuple(_metric(row) for row in run.metrics)
    return Table(("what", "threshold", "n", "value", "SD", "95 % interval", "paper", "source"), rows)


def times(runs: list[Run]) -> Table:
    """Which command made each run, in how many minutes and how much memory, and on what; empty where the run
    does not say.
    """
    rows = []
    for run in runs:
        command = str(run.config.get("command", ""))
        rows.append((run.folder, command, run.minutes, run.memory, run.machine))
    return Table(("run", "command", "minutes", "memory, GB", "machine"), tuple(rows))


def counts(answers: list[Answer]) -> Table:
    """How many claims of each list have which verdict."""
    rows = []
    for name, title in LISTS.items():
        verdicts = [answer.verdict for answer in answers if answer.claim.list == name]
        rows.append((title, *(str(verdicts.count(word)) for word in VERDICTS)))
    return Table(("claims", *VERDICTS), tuple(rows))


def verdicts(answers: list[Answer]) -> Table:
    """A line for each claim: its verdict, the difference that decides it, and how many pictures would tell."""
    rows = []
    for answer in answers:
        row = answer.headline
        points, needed, where = "", "", ""
        if row:
            points = f"{_points(row, digits=0)} {_brief(row.measure)}".strip()
            needed = f"{row.needed:.0f}" if row.needed else ""
            where = answer.run.notebook[:2]
        rows.append((answer.claim.id, answer.claim.title, answer.verdict, points, needed, where))
    return Table(("id", "claim", "verdict", "points", "would tell", "notebook"), tuple(rows))


def parts(answers: list[Answer]) -> Table:
    """A line for each part of each claim, with all that its run's `verdicts.csv` says of it."""
    rows = []
    for answer in answers:
        for row in answer.rows:
            where = f"{answer.run.folder}/verdicts.csv, row {row.row}"
            rows.append((answer.claim.id, answer.claim.title, row.verdict, row.text, amount(row), where))
    return Table(("id", "claim", "verdict", "part", "in percent points", "where"), tuple(rows))


def judged(run: Run) -> Table:
    """All rows of a run's `verdicts.csv`."""
    rows = tuple((row.id, row.text, row.verdict, amount(row)) for row in run.verdicts)
    return Table(("claim", "asked", "verdict", "numbers"), rows)


def words(name: str) -> str:
    """A joint's name as a reader has it."""
    return name.replace("_", " ")


def short(text: str) -> str:
    """A row's words as a table of many claims has them; of two modes, their names alone are left."""
    modes = ", coupled mode", ", readout mode"
    dropped = ["appended, "] if all(mode in text for mode in modes) else modes
    for long, brief in {AREA: "AUC", EXACT: "exact hits", **dict.fromkeys(dropped, "")}.items():
        text = text.replace(long, brief)
    return text


def amount(row: Verdict) -> str:
    """The numbers of one verdict that it has: difference [95 % interval], p, the cases, what was counted, and
    how many cases would decide it or why none can.
    """
    parts = []
    if row.difference is not None:
        parts.append(_points(row))
    if row.p is not None:
        parts.append(p_text(row.p))
    if row.n is not None:
        parts.append(f"n {row.n:.0f}" + (f" in {row.runs:.0f} runs" if row.runs and row.runs > 1 else ""))
    parts += [row.measure, f"{row.needed:.0f} pictures would decide" if row.needed else "", row.why]
    return ", ".join(filter(None, parts))


def _points(row: Verdict, digits: int = 1) -> str:
    """The difference of one verdict in percent points, with its 95 % interval."""
    if row.difference is None:
        return ""
    bounds = "" if row.low is None else f" [{row.low:+.{digits}f}, {row.high:+.{digits}f}]"
    return f"{row.difference:+.{digits}f}{bounds}"


def _brief(measure: str) -> str:
    """The name of one of the two measures that most claims are decided by, nothing for another."""
    return short(measure) if measure in (AREA, EXACT) else ""


def number(row: Metric | None, *, digits: int = 0, sd: bool = False, interval: bool = True) -> str:
    """Mean ± SD over runs [95 % interval], in the row's unit; empty without a row."""
    if row is None:
        return ""
    if row.value is None:
        return "no cases"
    text = f"{row.value:.{digits}f}"
    if sd and row.sd is not None:
        text += f" ± {row.sd:.1f}"
    if interval and row.interval is not None:
        text += " [{:.0f}, {:.0f}]".format(*row.interval)
    return text


def spread(row: Metric) -> str:
    """Mean ± SD over runs [95 % interval], to one digit."""
    return number(row, digits=1, sd=True)


def _papers(row: Metric) -> str:
    """The paper's number beside a row, with the labelled pictures that it had."""
    sd = "" if row.paper_sd is None else f" ± {row.paper_sd:.1f}"
    return f"{row.paper:.1f}{sd} ({row.source.split(', ')[-1]})"


def _metric(row: Metric) -> tuple[str, ...]:
    normaliser = f" of {row.normaliser}" if row.normaliser else ""
    interval = "{:.4g} to {:.4g}".format(*row.interval) if row.interval else ""
    paper = _with_unit(row.paper, row.unit)
    if row.paper_sd is not None:
        paper += f" (SD {_with_unit(row.paper_sd)})"
    value = "no cases" if row.value is None else _with_unit(row.value, row.unit)
    threshold = row.threshold + normaliser
    return (row.name, threshold, str(row.n), value, _with_unit(row.sd), interval, paper, row.source)


def _with_unit(value: float | None, unit: str = "") -> str:
    return "" if value is None else f"{value:.4g}{' ' + unit if unit else ''}"


def _method(name: str) -> str:
    return "with the appended embedding" if name.startswith("appended") else _METHODS.get(name, name)
