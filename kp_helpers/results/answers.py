"""What the runs say of each claim: the verdicts that they saved, and none where no run saved one."""

from dataclasses import dataclass

from kp_helpers.results.claims import Claim
from kp_helpers.results.gathered import FAILS, HOLDS, OPEN, UNTESTABLE, Run, Verdict

ABSENT = "not measured"
VERDICTS = (HOLDS, FAILS, OPEN, UNTESTABLE, ABSENT)
"""Those of `verdicts.csv`, and the one of a claim that no run has a row of."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The verdict on a claim by the best run that asks it, and by all other runs that do, in `others`."""

    claim: Claim
    verdict: str = ABSENT
    run: Run | None = None
    rows: tuple[Verdict, ...] = ()
    others: tuple["Answer", ...] = ()

    @property
    def figure(self) -> str:
        """The file of the claim's figure in the run's folder, empty where the run has no such picture."""
        name = f"{self.claim.figure}.png"
        return f"figures/{name}" if self.run and name in self.run.pictures else ""


def answer(claim: Claim, runs: list[Run]) -> Answer:
    """The verdict on a claim, from the rows with its id in its notebook's runs.

    The best run is that on real data, and then that with the most cases behind one of these rows.
    """
    asked = [run for run in runs if run.notebook == claim.notebook and _rows(claim, run)]
    asked.sort(key=lambda run: (run.data != "3DPW", -_cases(claim, run), run.rank()))
    first, *others = [_of_run(claim, run) for run in asked] or [Answer(claim=claim)]
    return Answer(**{**vars(first), "others": tuple(others)})


def combined(verdicts: list[str]) -> str:
    """One verdict of several parts: a claim fails with any part, and has another only if all parts have it."""
    if FAILS in verdicts:
        return FAILS
    found = set(verdicts) or {ABSENT}
    return found.pop() if len(found) == 1 else OPEN


def _of_run(claim: Claim, run: Run) -> Answer:
    rows = _rows(claim, run)
    return Answer(claim=claim, verdict=combined([row.verdict for row in rows]), run=run, rows=rows)


def _cases(claim: Claim, run: Run) -> float:
    return max(row.n or 0 for row in _rows(claim, run))


def _rows(claim: Claim, run: Run) -> tuple[Verdict, ...]:
    return tuple(row for row in run.verdicts if row.id == claim.id)
