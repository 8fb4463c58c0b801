"""The numbers of [S], each beside the one that the kit measured with as many labelled pictures."""

from dataclasses import dataclass

from kp_helpers.results.answers import ABSENT
from kp_helpers.results.claims import PROTOCOL, WEIGHTS
from kp_helpers.results.gathered import FAILS, HOLDS, OPEN, Run

DIRECTION, DISC = "in a meaningful direction", "within 1/48 of the frame"
AREA = "AUC of PCK to 0.2 of the box"
"""Names of measures: the paper's two shares of hits, and the area under the PCK curve."""


@dataclass(frozen=True, kw_only=True)
class Known:
    """A number of [S] on 3DPW with Stable Diffusion 1.5: mean and deviation over runs, in percent."""

    joint: str
    train_images: int
    measure: str
    value: float
    sd: float | None


KNOWN = (
    Known(joint="left_foot", train_images=5, measure=DIRECTION, value=26.25, sd=18.06),
    Known(joint="left_foot", train_images=5, measure=DISC, value=17.5, sd=15.86),
    Known(joint="left_foot", train_images=20, measure=DIRECTION, value=21.0, sd=27.89),
    Known(joint="left_foot", train_images=20, measure=DISC, value=14.0, sd=15.72),
    Known(joint="head", train_images=20, measure=DIRECTION, value=12.0, sd=16.85),
    Known(joint="head", train_images=20, measure=DISC, value=9.0, sd=15.94),
    Known(joint="left_elbow", train_images=20, measure=DISC, value=0.0, sd=None),
)


@dataclass(frozen=True, kw_only=True)
class Beside:
    """A known number with the row of `metrics.json` that stands beside it, if a run has one."""

    known: Known
    verdict: str = ABSENT
    run: Run | None = None
    row: dict | None = None


def beside(known: Known, runs: list[Run]) -> Beside:
    """The number with the most cases, of the same joint, measure and number of labelled pictures.

    Real data come before figures, and the protocol's own notebook before an ablation.

    Whether the paper's number is met can be told on its own ground only, 3DPW and a model other than the
    figures model: it holds where the paper's number lies in the 95 % interval of ours.
    """
    found = [
        (run, row)
        for run in sorted(runs, key=Run.rank)
        if run.notebook in (PROTOCOL, WEIGHTS)
        for row in run.metrics
        if _is_of(known, row)
    ]
    if not found:
        return Beside(known=known)
    run, row = min(found, key=lambda one: (one[0].data != "3DPW", one[0].notebook != PROTOCOL, -one[1]["n"]))
    low, high = row["interval_low"], row["interval_high"]
    if run.data != "3DPW" or run.model == "figures" or low is None:
        verdict = OPEN
    else:
        verdict = HOLDS if low <= known.value <= high else FAILS
    return Beside(known=known, verdict=verdict, run=run, row=row)


def _is_of(known: Known, row: dict) -> bool:
    asked = (known.joint, known.measure, known.train_images)
    quoted = row["paper"] is not None and row["method"].startswith("appended")
    return quoted and (row["joint"], row["measure"], row["train_images"]) == asked
