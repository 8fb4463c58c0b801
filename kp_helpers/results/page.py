"""All runs of a results folder as one table, `summary.csv`, and one page, `index.html`."""

import csv
import io
import json
from dataclasses import asdict, dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from kp_helpers.results.run_folder import Metric, write_file

COLUMNS = (
    "notebook",
    "run",
    "data",
    "name",
    "threshold",
    "normaliser",
    "n",
    "value",
    "unit",
    "sd",
    "interval_low",
    "interval_high",
    "paper",
    "paper_sd",
    "source",
)
_DATA = {"figures": "the synthetic figures world", "3DPW": "3DPW"}
_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8882; --mark: #2a7f62; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 0 auto; padding: 1rem; }
h1, h2, h3 { line-height: 1.2; text-wrap: balance; }
h2 { margin-top: 3rem; border-top: 2px solid var(--mark); padding-top: .6rem; }
nav a { display: inline-block; margin: 0 1rem .3rem 0; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .3rem .7rem; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number { text-align: right; white-space: nowrap; }
.pictures { display: grid; gap: 1rem; }
@media (min-width: 50rem) { .pictures { grid-template-columns: 1fr 1fr; } }
figure { margin: 0; } figure img { width: 100%; height: auto; background: #fff; border-radius: .3rem; }
figcaption, .facts { font-size: .85rem; opacity: .8; overflow-wrap: anywhere; }
.label { background: var(--mark); color: #fff; border-radius: 1rem; padding: .1rem .7rem; font-size: .8rem; }
.damaged { border-left: .3rem solid #b33; padding-left: .7rem; overflow-wrap: anywhere; }
"""


@dataclass(frozen=True)
class _Run:
    """What was read of one run's folder; `folder` is relative to the results folder."""

    notebook: str
    run: str
    config: dict
    metrics: list
    pictures: tuple[str, ...]
    has_notebook: bool

    @property
    def folder(self) -> str:
        return f"{self.notebook}/{self.run}"

    @property
    def data(self) -> str:
        return str(self.config["data"]["kind"])


def index(folder: Path) -> list[str]:
    """Write `summary.csv` and `index.html` into a results folder; return a sentence for every damaged run.

    A damaged run is shown as such and leaves the others as they are. Equal runs give equal files.
    """
    runs, damaged = [], []
    for metrics in sorted(folder.glob("*/*/metrics.json")):
        if not any(part.startswith(".") for part in metrics.relative_to(folder).parts):
            try:
                runs.append(_read(metrics))
            except (OSError, ValueError, KeyError, TypeError) as error:
                name = metrics.parent.relative_to(folder).as_posix()
                damaged.append(f"{name}: metrics.json or config.json cannot be read ({error!r})")
    write_file(folder / "summary.csv", _summary(runs))
    write_file(folder / "index.html", _page(runs, damaged))
    return damaged


def _read(metrics: Path) -> _Run:
    folder = metrics.parent
    rows = json.loads(metrics.read_text(encoding="utf-8"))
    run = _Run(
        notebook=folder.parent.name,
        run=folder.name,
        config=json.loads((folder / "config.json").read_text(encoding="utf-8")),
        metrics=[_flat(row) for row in rows],
        pictures=tuple(sorted(path.name for path in folder.glob("figures/*.png"))),
        has_notebook=(folder / "notebook.html").is_file(),
    )
    _ = run.data  # a run that does not say what it was measured on is damaged
    return run


def _flat(row: dict) -> dict:
    """A row of metrics.json with the interval as two columns; TypeError where it is not what Metric holds."""
    metric = Metric(**row)
    low, high = metric.interval or (None, None)
    for number in (metric.value, metric.sd, low, high, metric.paper, metric.paper_sd):
        if number is not None and not isinstance(number, int | float):
            raise TypeError(f"{metric.name!r} holds {number!r}, expected a number or null")
    return {**asdict(metric), "interval_low": low, "interval_high": high}


def _summary(runs: list[_Run]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for run in runs:
        for row in run.metrics:
            writer.writerow({**row, "notebook": run.notebook, "run": run.run, "data": run.data})
    return text.getvalue()


def _page(runs: list[_Run], damaged: list[str]) -> str:
    links = "".join(f'<a href="#{_link(run.folder)}">{escape(run.folder)}</a>' for run in runs)
    body = "".join(f'<p class="damaged">{escape(line)}</p>' for line in damaged)
    body += (
        "".join(_section(run) for run in runs) or "<p>No run yet: <code>make reproduce</code> makes them.</p>"
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>keypoint-kit: results</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        "<h1>keypoint-kit: results</h1>\n<p>Every number comes from a run's own folder; "
        '<a href="summary.csv">summary.csv</a> holds all of them. The paper used 3DPW; beside its numbers, '
        "those of the figures world compare behaviour, not performance.</p>\n"
        f"<nav>{links}</nav>\n{body}\n</body>\n</html>\n"
    )


def _section(run: _Run) -> str:
    page = f"{_link(run.folder)}/notebook.html"
    notebook = f' · <a href="{page}">executed notebook</a>' if run.has_notebook else ""
    return (
        f'\n<section id="{escape(run.folder)}">\n<h2>{escape(run.folder)}</h2>\n'
        f'<p><span class="label">measured on {escape(_DATA.get(run.data, run.data))}</span>{notebook}</p>\n'
        f"{_table(run.metrics)}{_pictures(run)}{_facts(run.config)}</section>\n"
    )


def _table(rows: list[dict]) -> str:
    heads = ("what", "threshold", "n", "value", "SD", "95 % interval", "paper", "source")
    head = "".join(f"<th>{name}</th>" for name in heads)
    body = "".join(f"<tr>{_cells(row)}</tr>\n" for row in rows)
    return f'<div class="scroll"><table>\n<tr>{head}</tr>\n{body}</table></div>\n'


def _cells(row: dict) -> str:
    unit = str(row["unit"])
    normaliser = f" of {row['normaliser']}" if row["normaliser"] else ""
    low, high = row["interval_low"], row["interval_high"]
    interval = "" if low is None else f"{_number(low)} to {_number(high)}"
    paper = _number(row["paper"], unit)
    if row["paper_sd"] is not None:
        paper += f" (SD {_number(row['paper_sd'])})"
    value = "no cases" if row["value"] is None else _number(row["value"], unit)
    numbers = (row["n"], value, _number(row["sd"]), interval, paper)
    return (
        f"<td>{escape(str(row['name']))}</td><td>{escape(str(row['threshold']) + normaliser)}</td>"
        + "".join(f'<td class="number">{escape(str(cell))}</td>' for cell in numbers)
        + f"<td>{escape(str(row['source']))}</td>"
    )


def _number(value, unit: str = "") -> str:
    return "" if value is None else f"{value:.4g}{' ' + unit if unit else ''}"


def _pictures(run: _Run) -> str:
    figures = "".join(
        f'<figure><img loading="lazy" src="{_link(run.folder)}/figures/{_link(name)}" '
        f'alt="{escape(_title(name))}"><figcaption>{escape(_title(name))}</figcaption></figure>\n'
        for name in run.pictures
    )
    return f'<div class="pictures">\n{figures}</div>\n' if figures else ""


def _facts(config: dict) -> str:
    text = json.dumps(config, indent=1, sort_keys=True, ensure_ascii=False)
    return (
        "<details><summary>settings, versions, hashes</summary>"
        f'<div class="scroll"><pre class="facts">{escape(text)}</pre></div></details>\n'
    )


def _title(name: str) -> str:
    return Path(name).stem.replace("_", " ")


def _link(text: str) -> str:
    return escape(quote(text))
