"""What a notebook's committed run found, in sentences that are made from its verdicts."""

from pathlib import Path

from kp_helpers.results.claims import answers_of
from kp_helpers.results.runs import REFERENCE, read_runs
from kp_helpers.results.tables import amount, ground, short


def found_text(notebook: str, results: Path) -> str:
    """Markdown with a line for each claim that the notebook decides: its verdict, and the number that this
    hangs on.

    Of the committed runs alone, whose names begin with `REFERENCE`; a sentence says so where there is none.
    """
    runs = [run for run in read_runs(results)[0] if run.name.startswith(REFERENCE)]
    answers = [answer for answer in answers_of(runs) if answer.run and answer.run.notebook == notebook]
    if not answers:
        return "**Found here**: no committed run has asked it yet."
    run = answers[0].run
    lines = [f"**Found here**, on {ground(run)} (run `{run.name}`):", ""]
    for answer in answers:
        row = answer.headline
        number = f"{short(row.text)}: {short(amount(row))}"
        lines.append(f"- {answer.claim.title}: **{answer.verdict}**. {number}.")
    return "\n".join(lines)
