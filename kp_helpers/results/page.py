"""All runs of a results folder: `summary.csv`, one page `index.html`, and each run's `README.md`."""

import csv
import io
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kp_helpers.results import tables
from kp_helpers.results.answers import answer
from kp_helpers.results.claims import CLAIMS, LISTS, PROTOCOL
from kp_helpers.results.gathered import Run, read_runs
from kp_helpers.results.known import KNOWN, beside
from kp_helpers.results.modes import both_modes
from kp_helpers.results.run_folder import write_file
from kp_helpers.results.texts import run_text

COLUMNS = (
    *("notebook", "run", "data", "name", "threshold", "normaliser", "n", "value", "unit", "sd"),
    *("interval_low", "interval_high", "paper", "paper_sd", "source"),
)
_PICTURES = (  # notebook, figure, what it shows
    ("00_figures_world", "world", "pictures, joints and captions"),
    ("00_figures_world", "words", "where the model's words attend to"),
    ("02_stable_keypoints", "keypoints", "keypoints found without labels"),
    ("03_appended_embedding", "labels", "five labelled pictures"),
    ("03_appended_embedding", "maps", "maps of the left foot before and after the appended embedding"),
    (PROTOCOL, "points", "where each method sees the left foot"),
)
_REACH = 60
"""Percent points that a drawn interval shows to either side of zero."""


def index(folder: Path) -> list[str]:
    """Write `summary.csv`, `index.html` and each run's `README.md` into a results folder; return a sentence
    for every damaged run.

    A damaged run is shown as such and leaves the others as they are. Equal runs give equal files.
    """
    runs, damaged = read_runs(folder)
    write_file(folder / "summary.csv", _summary(runs))
    write_file(folder / "index.html", _page(runs, damaged))
    for run in runs:
        write_file(run.place / "README.md", run_text(run))
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
    return (
        _templates()
        .get_template("index.html.j2")
        .render(
            runs=runs,
            damaged=damaged,
            answers=answers,
            groups=[(LISTS[name], list(own)) for name, own in groupby(answers, lambda one: one.claim.list)],
            grounds=_grounds(answers),
            known=tables.numbers(known),
            known_on=", ".join(_grounds(known)) or "nothing yet",
            pictures=_pictures(runs),
            protocols=[run for run in runs if run.notebook == PROTOCOL],
            modes=both_modes(runs),
            times=tables.times(runs),
        )
    )


def _templates() -> Environment:
    """Whatever comes from a run is escaped in what they make."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        trim_blocks=True,
        undefined=StrictUndefined,
    )
    for shown in (tables.amount, tables.ground, tables.places, tables.data_name, tables.hits, tables.metrics):
        environment.globals[shown.__name__] = shown
    environment.globals["cut"] = lambda value: max(-_REACH, min(_REACH, value))
    return environment


def _grounds(measured: list) -> list[str]:
    """The data that answers or known numbers were measured on."""
    return sorted({tables.data_name(one.run.data) for one in measured if one.run})


def _pictures(runs: list[Run]) -> list[tuple[str, str]]:
    """Addresses and captions of the pictures of the best run of each notebook."""
    shown = []
    for notebook, figure, words in _PICTURES:
        run = min((run for run in runs if run.notebook == notebook), key=Run.rank, default=None)
        if run and f"{figure}.png" in run.pictures:
            caption = f"{words}, in {tables.data_name(run.data)}"
            shown.append((f"{run.folder}/figures/{figure}.png", caption))
    return shown
