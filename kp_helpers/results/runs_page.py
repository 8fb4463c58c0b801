"""The last part of the page: each run, folded, with all its numbers, verdicts, pictures and settings."""

import json
from html import escape

from kp_helpers.results.gathered import Run
from kp_helpers.results.markup import badge, link, picture, title
from kp_helpers.results.tables import amount, data_name


def run_part(run: Run) -> str:
    """The section of one run."""
    page = f"{link(run.folder)}/notebook.html"
    notebook = f' · <a href="{page}">executed notebook</a>' if run.has_page else ""
    pictures = "".join(picture(f"{run.folder}/figures/{name}", title(name)) for name in run.pictures)
    gallery = f'<div class="pictures">\n{pictures}</div>\n' if pictures else ""
    return (
        f'\n<section class="run" id="{escape(run.folder)}">\n<h3>{escape(run.folder)}</h3>\n'
        f'<p><span class="label">measured on {escape(data_name(run.data))}</span>{notebook}</p>\n'
        f"<details><summary>numbers, verdicts and pictures</summary>\n{_metrics(run.metrics)}"
        f"{_verdicts(run)}{gallery}{_facts(run.config)}</details>\n</section>\n"
    )


def _metrics(rows: list[dict]) -> str:
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


def _verdicts(run: Run) -> str:
    """All that the run judged, also what is none of the claims above."""
    rows = "".join(
        f"<li>{badge(row.verdict)} {escape(row.claim)}: {escape(amount(row))}</li>\n" for row in run.verdicts
    )
    return f'<ul class="verdicts">\n{rows}</ul>\n' if rows else ""


def _facts(config: dict) -> str:
    text = json.dumps(config, indent=1, sort_keys=True, ensure_ascii=False)
    return (
        "<details><summary>settings, versions, hashes</summary>"
        f'<div class="scroll"><pre class="facts">{escape(text)}</pre></div></details>\n'
    )
