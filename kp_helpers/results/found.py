"""What a notebook's committed run found, in sentences that are made from its verdicts."""

from collections import Counter
from pathlib import Path

from kp_helpers.results.claims import Answer, answers_of
from kp_helpers.results.runs import REFERENCE, read_runs
from kp_helpers.results.tables import amount, ground, short


def found_text(notebook: str, results: Path) -> str:
    """Markdown with a line for each claim that the notebook decides: its verdict, and the number that this
    hangs on.

    Of the committed runs alone, whose names begin with `REFERENCE`; a sentence says so where there is none.
    """
    answers = _answers(notebook, results)
    if not answers:
        return "**Found here**: no committed run has asked it yet."
    run = answers[0].run
    lines = [f"**Found here**, on {ground(run)} (run `{run.name}`):", ""]
    for answer in answers:
        row = answer.headline
        number = f"{short(row.text)}: {short(amount(row))}"
        lines.append(f"- {answer.claim.title}: **{answer.verdict}**. {number}.")
    return "\n".join(lines)


def found_picture(notebook: str, results: Path) -> Path | None:
    """The picture of the committed run that most claims of the notebook refer to; None where there is none."""
    answers = [answer for answer in _answers(notebook, results) if answer.figure]
    if not answers:
        return None
    (figure, _), *_ = Counter(answer.figure for answer in answers).most_common()
    return next(answer.run.place / figure for answer in answers if answer.figure == figure)


def _answers(notebook: str, results: Path) -> list[Answer]:
    """What the committed runs of a notebook say of its claims."""
    runs = [run for run in read_runs(results)[0] if run.name.startswith(REFERENCE)]
    return [answer for answer in answers_of(runs) if answer.run and answer.run.notebook == notebook]
