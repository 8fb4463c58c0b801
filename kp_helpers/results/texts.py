"""The tables in README.md and REPRODUCING.md, written between their markers from the committed runs."""

import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from kp_helpers.results.answers import VERDICTS, answer
from kp_helpers.results.claims import CLAIMS, LISTS, PROTOCOL
from kp_helpers.results.forest import FILE, forest
from kp_helpers.results.gathered import Run, read_runs
from kp_helpers.results.known import KNOWN, beside
from kp_helpers.results.modes import both_modes
from kp_helpers.results.run_folder import ResultsError, write_file
from kp_helpers.results.silences import deviations
from kp_helpers.results.tables import (
    Table,
    amount,
    ground,
    metrics,
    numbers,
    taught,
    times,
    verdicts,
)

from kp_helpers.store import replace_file

COMMAND = "python -m kp_helpers.results readme"
REFERENCE = "reference"
"""What the names of committed runs begin with; a user's own runs are on the page, and not in the texts."""


def write_texts(results: Path, root: Path) -> list[Path]:
    """Fill the markers of the texts under `root`, draw `results/claims.png` there, and return the texts.

    Raises ResultsError where a reference run is damaged or a text lacks a marker.
    """
    runs, damaged = read_runs(results)
    for sentence in damaged:  # each begins with <notebook>/<run>
        if sentence.split("/")[1].startswith(REFERENCE):
            raise ResultsError(sentence)
    runs = [run for run in runs if run.name.startswith(REFERENCE)]
    texts = {}
    for name, blocks in TEXTS.items():
        texts[name] = (root / name).read_text(encoding="utf-8")
        for block, write in blocks.items():
            texts[name] = filled(texts[name], block, write(runs), name)
    for name, text in texts.items():  # only when all of them could be filled
        write_file(root / name, text)
    picture = root / "results" / FILE
    picture.parent.mkdir(exist_ok=True)
    replace_file(picture, lambda partial: forest(runs, partial))
    return [root / name for name in texts]


def filled(text: str, block: str, content: str, name: str) -> str:
    """A text with the content of one block replaced; `name` is the text's, for the error's sentence."""
    begin, end = f"<!-- begin {block}: {COMMAND} -->", f"<!-- end {block} -->"
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ResultsError(f"{name}: expected one line {begin!r} and behind it one {end!r}")
    return text[: text.index(begin)] + f"{begin}\n{content}\n{end}" + text[text.index(end) + len(end) :]


def markdown(table: Table) -> str:
    """A table in Markdown, whose cells can hold no markup and no bar."""
    lines = [table.head, ("---",) * len(table.head), *table.rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def run_text(run: Run) -> str:
    """The `README.md` of one run, which GitHub shows: command, verdicts, numbers and pictures."""
    judged = tuple((row.id, row.text, row.verdict, amount(row)) for row in run.verdicts)
    parts = [
        f"# {_cell(run.folder)}",
        f"Measured on **{_cell(ground(run))}**. Settings, versions and hashes: [config.json](config.json).",
        markdown(times([run])),
        markdown(Table(("claim", "asked", "verdict", "numbers"), judged)) if judged else "",
        markdown(metrics(run)),
        *(f"![{name[:-4].replace('_', ' ')}](figures/{quote(name)})" for name in run.pictures),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _cell(text: str) -> str:
    plain = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\n", " ")
    plain = plain.replace("\\", "\\\\").replace("|", r"\|")
    if plain.startswith("python -m "):
        return f"`{plain.replace('`', '')}`"
    return re.sub(r"([`*]|(?<=\])\()", r"\\\1", plain)


def _protocol(runs: list[Run]) -> str:
    """The README's results: those of the best of the protocol's runs."""
    best = min((run for run in runs if run.notebook == PROTOCOL), key=Run.rank, default=None)
    if best is None:
        return "No run yet."
    where = f"[`results/{best.folder}`](results/{best.folder}/README.md)"
    return (
        f"{markdown(taught(best))}\n\n**Measured on {ground(best)}** ({where}): in percent of the pictures, "
        "within 1/48 of the frame's long side, with the 95 % interval over runs and sequences."
    )


def _counts(runs: list[Run]) -> str:
    """How many claims of each list have which verdict."""
    rows = []
    for name, title in LISTS.items():
        found = [answer(claim, runs).verdict for claim in CLAIMS if claim.list == name]
        rows.append((title, *(str(found.count(word)) for word in VERDICTS)))
    return markdown(Table(("claims", *VERDICTS), tuple(rows)))


def _claims(name: str, runs: list[Run]) -> str:
    """One list of claims with their verdicts."""
    found = [answer(claim, runs) for claim in CLAIMS if claim.list == name]
    return f"### {LISTS[name]}\n\n{markdown(verdicts(found))}"


def _times(runs: list[Run]) -> str:
    """What each run took, and what all runs of one name took together, where there are several."""
    lines = [markdown(times(runs))]
    for name in sorted({run.name for run in runs}):
        own = [run for run in runs if run.name == name]
        if len(own) > 1 and all(run.minutes for run in own):
            total = sum(float(run.minutes) for run in own)
            lines.append(f"All {len(own)} notebooks of {name}: {total:.0f} minutes, one after the other.")
    if not any(run.config.get("machine", {}).get("gpu") for run in runs):
        lines.append("On a GPU: not measured.")
    return "\n\n".join(lines)


TEXTS: dict[str, dict[str, Callable[[list[Run]], str]]] = {
    "README.md": {"hits": _protocol, "claims": _counts},
    "REPRODUCING.md": {
        "claims": lambda runs: "\n\n".join(_claims(name, runs) for name in LISTS),
        "numbers": lambda runs: markdown(numbers([beside(known, runs) for known in KNOWN])),
    },
    "docs/deviations.md": {
        "deviations": lambda runs: markdown(deviations(runs)),
        "modes": lambda runs: markdown(both_modes(runs)),
    },
    "docs/times.md": {"times": _times},
}
"""Text -> block -> what writes it."""
