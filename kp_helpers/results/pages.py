"""What is written of all runs: one page and one table of a results folder, and the tables in the texts."""

import re
from itertools import groupby
from pathlib import Path
from urllib.parse import quote

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from kp_helpers.results import paper_numbers, tables
from kp_helpers.results.claims import BEYOND, LISTS, PROTOCOL, Answer, answers_of
from kp_helpers.results.paper_numbers import deviations
from kp_helpers.results.forest import REACH, forest
from kp_helpers.results.listing import listing
from kp_helpers.results.run_folder import ResultsError, project_path, write_file
from kp_helpers.results.runs import REFERENCE, Run, best_of, read_runs
from kp_helpers.results.tables import Table
from kp_helpers.store import replace_file

COMMAND = "python -m kp_helpers.results readme"
_COLUMNS = (
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
_RECIPES = ("best", "paper", "ridge")
_CONFIG = "Settings, versions and hashes: [config.json](config.json)."


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


def write_texts(results: Path, root: Path) -> list[Path]:
    """Fill the markers of the texts under `root`, write `results/claims.csv` and draw `results/claims.png`
    there, and return the texts.

    Raises ResultsError where a reference run is damaged or a text lacks a marker.
    """
    runs, damaged = read_runs(results)
    for sentence in damaged:  # each begins with <notebook>/<run>
        if sentence.split("/")[1].startswith(REFERENCE):
            raise ResultsError(sentence)
    runs = [run for run in runs if run.name.startswith(REFERENCE)]
    answers = answers_of(runs)
    texts = {}
    for name, blocks in blocks_of(runs, answers).items():
        texts[name] = (root / name).read_text(encoding="utf-8")
        for block, content in blocks.items():
            texts[name] = filled(texts[name], block, content, name)
    for name, text in texts.items():  # only when all of them could be filled
        write_file(root / name, text)
    parts = tables.parts(answers)
    listed = pd.DataFrame(parts.rows, columns=parts.head)
    write_file(root / "results" / "claims.csv", listed.to_csv(index=False, lineterminator="\n"))
    replace_file(root / "results" / "claims.png", lambda partial: forest(answers, partial))
    return [root / name for name in texts]


def blocks_of(runs: list[Run], answers: list[Answer]) -> dict[str, dict[str, str]]:
    """Text -> block -> what stands between its markers."""
    return {
        "README.md": {"hits": _protocol(runs), "notebooks": listing(runs, project_path("notebooks"))},
        "REPRODUCING.md": {
            "counts": markdown(tables.counts(answers)),
            "claims": "\n\n".join(_claims(name, answers) for name in LISTS),
            "numbers": markdown(paper_numbers.table(paper_numbers.beside_paper(runs))),
        },
        "docs/deviations.md": {"deviations": markdown(deviations(runs))},
        "docs/times.md": {"times": _times(runs)},
    }


def filled(text: str, block: str, content: str, name: str) -> str:
    """A text with the content of one block replaced; `name` is the text's, for the error's sentence."""
    begin, end = f"<!-- begin {block}: {COMMAND} -->", f"<!-- end {block} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ResultsError(f"{name}: expected one line {begin!r} and after it one {end!r}")
    before, _, rest = text.partition(begin)
    return f"{before}{begin}\n{content}\n{end}{rest.partition(end)[2]}"


def markdown(table: Table) -> str:
    """A table in Markdown, whose cells can hold no markup and no bar."""
    lines = [table.head, ("---",) * len(table.head), *table.rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def run_text(run: Run) -> str:
    """The `README.md` of one run, which GitHub shows: command, verdicts, numbers and pictures."""
    parts = [
        f"# {_cell(run.folder)}",
        f"Measured on **{_cell(tables.ground(run))}**. {_CONFIG}",
        markdown(tables.times([run])),
        markdown(tables.judged(run)) if run.verdicts else "",
        markdown(tables.metrics(run)),
        *(f"![{tables.words(name[:-4])}](figures/{quote(name)})" for name in run.pictures),
    ]
    return "\n\n".join(filter(None, parts)) + "\n"


def _cell(text: str) -> str:
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")
    plain = plain.replace("\\", "\\\\").replace("|", r"\|")
    if plain.startswith("python -m "):
        return f"`{plain.replace('`', '')}`"
    return re.sub(r"([`*]|(?<=\])\()", r"\\\1", plain)


def _protocol(runs: list[Run]) -> str:
    """The README's results: those of the best of the protocol's runs."""
    best = best_of(runs, PROTOCOL)
    if best is None:
        return "No run yet."
    where = f"[`results/{best.folder}`](results/{best.folder}/README.md)"
    measured = "in percent of the pictures, within 1/48 of the frame's long side"
    intervals = "with the 95 % interval over runs and sequences"
    ground = f"**Measured on {tables.ground(best)}** ({where}): {measured}, {intervals}."
    beyond = best_of(runs, BEYOND)
    return "\n\n".join([markdown(tables.taught(best)), ground, *([_recipe(beyond)] if beyond else [])])


def _recipe(run: Run) -> str:
    """What the kit's own recipe finds with the fewest labels of a run, beside what it is compared with."""
    fewest = min((row.train_images for row in run.metrics if row.train_images), default=None)
    rows = {(row.joint, row.method): row for row in run.metrics if row.train_images == fewest}
    joints = [joint for joint, method in rows if method == "best"]
    named = [joint for joint in joints if joint in ("left_foot", "head", "left_elbow") or " " in joint]
    parts = []
    for joint in named:
        best, paper, ridge = (tables.number(rows.get((joint, name)), interval=False) for name in _RECIPES)
        parts.append(f"{tables.words(joint)} {best} ({paper}, {ridge})")
    where = f"[`results/{run.folder}`](results/{run.folder}/README.md)"
    return (
        f"`kit.teach` takes the kit's own recipe, a fit without a step. In percent within 1/20 of the square, "
        f"{fewest} labels, and in brackets the paper's settings and a ridge fit: {'; '.join(parts)}; {where}."
    )


def _claims(name: str, answers: list[Answer]) -> str:
    """One list of claims with their verdicts."""
    table = tables.verdicts([answer for answer in answers if answer.claim.list == name])
    return f"### {LISTS[name]}\n\n{markdown(table)}"


def _times(runs: list[Run]) -> str:
    """What each run took, and what all runs of one name took together, where there are several."""
    lines = [markdown(tables.times(runs))]
    for name in sorted({run.name for run in runs}):
        minutes = [run.minutes for run in runs if run.name == name]
        if len(minutes) > 1 and all(minutes):
            total = sum(map(float, minutes))
            lines.append(f"All {len(minutes)} notebooks of {name}: {total:.0f} minutes, one after the other.")
    if not any(run.config.get("machine", {}).get("gpu") for run in runs):
        lines.append("On a GPU: steps alone (`benchmarks/gpu.sh`), no notebook.")
    return "\n\n".join(lines)


def _summary(runs: list[Run]) -> str:
    """Every number of every run as CSV."""
    rows = []
    for run in runs:
        place = {"notebook": run.notebook, "run": run.name, "data": run.data}
        for metric in run.metrics:
            low, high = metric.interval or (None, None)
            rows.append({**place, **vars(metric), "interval_low": low, "interval_high": high})
    table = pd.DataFrame(rows, columns=_COLUMNS, dtype=object)
    return table.to_csv(index=False, lineterminator="\n")


def _page(runs: list[Run], damaged: list[str]) -> str:
    """`index.html`; whatever comes from a run is escaped in it."""
    folder = FileSystemLoader(Path(__file__).parent)
    templates = Environment(loader=folder, autoescape=True, trim_blocks=True, undefined=StrictUndefined)
    templates.globals["cut"] = lambda value: max(-REACH, min(REACH, value))
    answers = answers_of(runs)
    numbers = paper_numbers.beside_paper(runs)
    groups = [(LISTS[name], list(group)) for name, group in groupby(answers, lambda answer: answer.claim.list)]
    return templates.get_template("index.html.j2").render(
        tables=tables,
        runs=runs,
        damaged=damaged,
        answers=answers,
        groups=groups,
        numbers=paper_numbers.table(numbers),
        numbers_on=", ".join(tables.grounds(numbers)) or "nothing yet",
        pictures=_pictures(runs),
        protocols=[run for run in runs if run.notebook == PROTOCOL],
    )


def _pictures(runs: list[Run]) -> list[tuple[str, str]]:
    """Addresses and captions of the pictures of the best run of each notebook."""
    pictures = []
    for notebook, figure, caption in _PICTURES:
        run = best_of(runs, notebook)
        if run and f"{figure}.png" in run.pictures:
            address = f"{run.folder}/figures/{figure}.png"
            pictures.append((address, f"{caption}, in {tables.data_name(run.data)}"))
    return pictures
