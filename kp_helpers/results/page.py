"""All runs of a results folder as one table, `summary.csv`, and one page, `index.html`."""

import csv
import io
from html import escape
from pathlib import Path

from kp_helpers.results.answers import answer
from kp_helpers.results.claims import CLAIMS, PROTOCOL
from kp_helpers.results.claims_page import claims_part
from kp_helpers.results.gathered import Run, read_runs
from kp_helpers.results.known import KNOWN, beside
from kp_helpers.results.markup import picture, table
from kp_helpers.results.modes import both_modes
from kp_helpers.results.run_folder import write_file
from kp_helpers.results.runs_page import run_part
from kp_helpers.results.style import STYLE
from kp_helpers.results.tables import data_name, ground, hits, times

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
_PICTURES = (  # notebook, figure, what it shows
    ("00_figures_world", "world", "pictures, joints and captions"),
    ("00_figures_world", "words", "where the model's words attend to"),
    ("02_stable_keypoints", "keypoints", "keypoints found without labels"),
    ("03_appended_embedding", "labels", "five labelled pictures"),
    ("03_appended_embedding", "maps", "maps of the left foot before and after the appended embedding"),
    (PROTOCOL, "points", "where each method sees the left foot"),
)


def index(folder: Path) -> list[str]:
    """Write `summary.csv` and `index.html` into a results folder; return a sentence for every damaged run.

    A damaged run is shown as such and leaves the others as they are. Equal runs give equal files.
    """
    runs, damaged = read_runs(folder)
    write_file(folder / "summary.csv", _summary(runs))
    write_file(folder / "index.html", _page(runs, damaged))
    return damaged


def _summary(runs: list[Run]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for run in runs:
        for row in run.metrics:
            writer.writerow({**row, "notebook": run.notebook, "run": run.name, "data": run.data})
    return text.getvalue()


def _page(runs: list[Run], damaged: list[str]) -> str:
    answers = [answer(claim, runs) for claim in CLAIMS]
    known = [beside(number, runs) for number in KNOWN]
    body = "".join(f'<p class="damaged">{escape(line)}</p>\n' for line in damaged)
    body += claims_part(answers, known) + _pictures(runs) + _tables(runs) + _runs(runs)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>keypoint-kit: results</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        "<h1>keypoint-kit: results</h1>\n<p>What holds of in-context keypoints, claim by claim. Every number "
        'comes from a run\'s own folder; <a href="summary.csv">summary.csv</a> holds all of them. The paper '
        "used 3DPW; beside its numbers, those of the figures world compare behaviour, not performance.</p>\n"
        '<nav><a href="#claims">claims</a> <a href="#numbers">the paper\'s numbers</a> '
        '<a href="#pictures">pictures</a> <a href="#tables">tables</a> <a href="#runs">runs</a></nav>\n'
        f"{body}</body>\n</html>\n"
    )


def _best(runs: list[Run], notebook: str) -> Run | None:
    return min((run for run in runs if run.notebook == notebook), key=Run.rank, default=None)


def _pictures(runs: list[Run]) -> str:
    shown = ""
    for notebook, figure, words in _PICTURES:
        run = _best(runs, notebook)
        if run and f"{figure}.png" in run.pictures:
            shown += picture(f"{run.folder}/figures/{figure}.png", f"{words}, in {data_name(run.data)}")
    return f'<section id="pictures">\n<h2>Pictures</h2>\n<div class="pictures">\n{shown}</div>\n</section>\n'


def _tables(runs: list[Run]) -> str:
    """The protocol's hits, of each run, both modes of attention, and what every run took."""
    hit = "".join(
        f"<h3>Hits in percent, {escape(run.folder)}</h3>\n<p>Measured on {escape(ground(run))}: mean ± SD "
        f"over runs, and the 95 % interval over runs and sequences.</p>\n{table(hits(run))}"
        for run in runs
        if run.notebook == PROTOCOL
    )
    modes = both_modes(runs)
    beside = f"<h3>Both modes of attention, hits with equal settings</h3>\n{table(modes)}" if modes.rows else ""
    took = f"<h3>Commands and times</h3>\n{table(times(runs))}"
    return f'<section id="tables">\n<h2>Tables</h2>\n{hit}{beside}{took}</section>\n'


def _runs(runs: list[Run]) -> str:
    parts = "".join(map(run_part, runs)) or "<p>No run yet: <code>make reproduce</code> makes them.</p>\n"
    return f'<section id="runs">\n<h2>Runs</h2>\n{parts}</section>\n'
