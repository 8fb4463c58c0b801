"""What a notebook's committed run found, in sentences that are made from its verdicts."""

from IPython.display import Markdown

from kp_helpers.results import project_path
from kp_helpers.results.answers import answer
from kp_helpers.results.claims import CLAIMS
from kp_helpers.results.gathered import read_runs
from kp_helpers.results.tables import amount, ground, headline, short
from kp_helpers.results.texts import REFERENCE


def found_here(notebook: str, results: str = "results") -> Markdown:
    """A line for each claim that the notebook decides: its verdict, and the number that this hangs on.

    Of the committed runs alone, whose names begin with `REFERENCE`; a sentence says so where there is none.
    """
    runs = [run for run in read_runs(project_path(results))[0] if run.name.startswith(REFERENCE)]
    answers = [answer(claim, runs) for claim in CLAIMS if claim.notebook == notebook]
    told = [one for one in answers if one.run]
    if not told:
        return Markdown("**Found here**: no committed run has asked it yet.")
    lines = [f"**Found here**, on {ground(told[0].run)} (run `{told[0].run.name}`):", ""]
    for one in told:
        row = headline(one)
        lines.append(f"- {one.claim.title}: **{one.verdict}**. {short(row.text)}: {short(amount(row))}.")
    return Markdown("\n".join(lines))
