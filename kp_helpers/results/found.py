"""What a notebook's committed run found, in sentences that are made from its verdicts."""

from collections import Counter
from pathlib import Path

from kp_helpers.results.claims import Answer, answers_of
from kp_helpers.results.runs import REFERENCE, read_runs
from kp_helpers.results.tables import amount, ground, short


def answered(notebook: str, results: Path) -> tuple[str, Path | None]:
    """What the committed runs, whose names begin with `REFERENCE`, say of the claims that a notebook decides.

    Markdown with a line a claim: its verdict, and the number that this hangs on; a sentence says so where no run
    has asked one. And the picture that most of these claims refer to, None where there is none.
    """
    runs = [run for run in read_runs(results)[0] if run.name.startswith(REFERENCE)]
    answers = [answer for answer in answers_of(runs) if answer.run and answer.run.notebook == notebook]
    if not answers:
        return "**Found here**: no committed run has asked it yet.", None
    return _text(answers), _picture(answers)


def _text(answers: list[Answer]) -> str:
    run = answers[0].run
    lines = [f"**Found here**, on {ground(run)} (run `{run.name}`):", ""]
    for answer in answers:
        row = answer.headline
        number = f"{short(row.text)}: {short(amount(row))}"
        lines.append(f"- {answer.claim.title}: **{answer.verdict}**. {number}.")
    return "\n".join(lines)


def _picture(answers: list[Answer]) -> Path | None:
    figures = Counter(answer.figure for answer in answers if answer.figure)
    if not figures:
        return None
    (figure, _), *_ = figures.most_common()
    return next(answer.run.place / figure for answer in answers if answer.figure == figure)
