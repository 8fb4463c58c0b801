"""The claims of `claims.toml`, and what the runs say of each: the verdicts that they saved with its id."""

import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

from kp_helpers.metrics.paper import AREA, FAILS, HOLDS, OPEN, UNTESTABLE
from kp_helpers.results.runs import Run, Verdict

PROTOCOL, WEIGHTS = "08_evaluate_3dpw", "07_ablation_loss_weights_and_steps"
BEYOND = "10_beyond_the_paper"
ABSENT = "not measured"
"""The verdict on a claim that no run has a row of."""
VERDICTS = (HOLDS, FAILS, OPEN, UNTESTABLE, ABSENT)
LISTS = {
    "paper": "In-context keypoints: what the paper claims",
    "stablekeypoints": "StableKeypoints: what its paper claims",
    "beside": "ODISE, Prompt-to-Prompt and InstructPix2Pix: what their papers claim",
    "kit": "The kit's own findings",
}
"""The lists, which are never mixed, with their titles."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One claim. id: of its rows in `verdicts.csv` of the runs of `notebook`, and its anchor on the page.

    list: of `LISTS`. title: the claim. paper: what the paper says of it. figure: of the run's `figures`.
    notebook and figure are empty for a claim that none measures.
    """

    id: str
    list: str
    title: str
    paper: str = ""
    notebook: str = ""
    figure: str = ""


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

    @property
    def headline(self) -> Verdict | None:
        """The row that the verdict hangs on, by the area under the PCK curve where the claim asks that.

        Of a claim that fails it is the surest, else the least sure: the one that would change the verdict
        first.
        """
        rows = [row for row in self.rows if row.verdict == self.verdict] or list(self.rows)
        rows = [row for row in rows if row.measure == AREA] or rows
        pick = min if self.verdict == FAILS else max
        return pick(rows, key=lambda row: row.p or 0.0, default=None)


def read_claims(path: Path) -> tuple[Claim, ...]:
    """The claims of a TOML file; TypeError where one has a field that a claim has not, or lacks one."""
    return tuple(Claim(**fields) for fields in tomllib.loads(path.read_text(encoding="utf-8"))["claims"])


CLAIMS = read_claims(Path(__file__).with_name("claims.toml"))
"""All claims, in the order of the page."""


def list_of(notebook: str, claim: str) -> str:
    """The list of a claim that a notebook decides; ValueError for one that is not in `claims.toml`."""
    for known in CLAIMS:
        if (known.notebook, known.id) == (notebook, claim):
            return known.list
    expected = "expected the id of a claim of this notebook in claims.toml"
    raise ValueError(f"{notebook} decides {claim!r}, {expected}")


def answers_of(runs: list[Run]) -> list[Answer]:
    """What the runs say of each claim."""
    return [answer(claim, runs) for claim in CLAIMS]


def answer(claim: Claim, runs: list[Run]) -> Answer:
    """The verdict on a claim, from the rows with its id in its notebook's runs.

    The best run is that on real data, and then that with the most cases behind one of these rows.
    """
    answers = []
    for run in runs:
        rows = tuple(row for row in run.verdicts if row.id == claim.id)
        if run.notebook == claim.notebook and rows:
            verdict = combined([row.verdict for row in rows])
            answers.append(Answer(claim=claim, verdict=verdict, run=run, rows=rows))
    if not answers:
        return Answer(claim=claim)
    best, *others = sorted(answers, key=_evidence)
    return replace(best, others=tuple(others))


def combined(verdicts: list[str]) -> str:
    """One verdict of several parts: a claim fails if one part does, and has another only if all parts do."""
    if FAILS in verdicts:
        return FAILS
    return verdicts[0] if len(set(verdicts)) == 1 else OPEN


def _evidence(answer: Answer) -> tuple:
    """Sorts the answers to a claim, the best first."""
    cases = max(row.n or 0 for row in answer.rows)
    return (answer.run.data != "3DPW", -cases, answer.run.rank())
