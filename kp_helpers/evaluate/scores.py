"""Scores of predictions, their summary over runs and images, and the table beside the paper's numbers."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from fractions import Fraction

import numpy as np
import pandas as pd

from kp_helpers import intervals, metrics
from kp_helpers.evaluate.protocol import Found

MEASURES = {"in_direction": "in a meaningful direction", "within": "within 1/48 of the frame"}
PAPER = {
    ("left_foot", 5): {"in_direction": (26.25, 18.06), "within": (17.50, 15.86)},
    ("left_foot", 20): {"in_direction": (21.00, 27.89), "within": (14.00, 15.72)},
    ("head", 20): {"in_direction": (12.00, 16.85), "within": (9.00, 15.94)},
    ("left_elbow", 20): {"within": (0.00, None)},
}
"""(joint, training images) -> measure -> mean and standard deviation over runs, in percent, on 3DPW [S]."""

_LONG_SIDE = {"normaliser": "the frame's long side"}
_DISC = {"threshold": "1/48", **_LONG_SIDE}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One number of a joint and method, with the fields of `results.Metric` behind the first three."""

    joint: str
    method: str
    measure: str
    value: float | None
    n: int
    unit: str = "%"
    threshold: str = ""
    normaliser: str = ""
    sd: float | None = None
    interval: tuple[float, float] | None = None
    paper: float | None = None
    paper_sd: float | None = None
    source: str = ""

    def metric(self) -> dict:
        """The fields of `results.Metric`."""
        fields = asdict(self)
        joint, method, measure = (fields.pop(key) for key in ("joint", "method", "measure"))
        return {"name": f"{joint}, {method}: {measure}", **fields}


def score(found: Iterable[Found], half_angle: float = 45.0) -> pd.DataFrame:
    """One row for each prediction of a visible joint: hits, misses on the other side, errors.

    error: a fraction of the frame's long side; box_error: of the longer side of the person's box.
    half_angle: of the sector in degrees. A joint without a meaningful direction, or without another side, has
    NaN in that column.
    """
    return pd.DataFrame([_row(one, half_angle) for one in found if one.sample.visible[one.joint]])


def _row(found: Found, half_angle: float) -> dict:
    sample, joint, point, size = found.sample, found.joint, found.point, found.sample.frame_size
    true, other = sample.joints[joint], metrics.mirrored(joint)
    hit, direction, mirror = metrics.within(point, true, size), np.nan, np.nan
    if joint in metrics.SECTOR:
        ends = [sample.skeleton[end] for end in metrics.LIMB_ENDS[joint]]
        reach = metrics.SECTOR[joint]
        direction = metrics.in_direction(point, true, ends, size, reach=reach, half_angle=half_angle)
    if other in sample.skeleton:
        mirror = metrics.within(point, sample.skeleton[other], size)
    about = {"joint": joint, "method": found.method, "run": found.run, "image": sample.name}
    values = {"within": hit, "in_direction": direction, "mirror": mirror}
    errors = {
        "error": metrics.normalised_error(point, true, metrics.long_side(size)),
        "box_error": metrics.normalised_error(point, true, metrics.box_side(sample.box)),
    }
    numbers = {key: float(value) for key, value in {**values, **errors}.items()}
    return {**about, "sequence": sample.sequence, **numbers}


def summarise(scores: pd.DataFrame, train_images: int) -> list[Measured]:
    """The numbers of each joint and method, over all runs and images of `score`'s rows."""
    found = []
    for (joint, method), rows in scores.groupby(["joint", "method"], sort=False):
        about = {"joint": joint, "method": method}
        for measure in MEASURES:
            if rows[measure].notna().all():
                paper = _paper(joint, train_images, measure) if method.startswith("appended") else {}
                found.append(_share(rows, measure, {**about, **paper}))
        if rows["mirror"].notna().all():
            misses = metrics.mean(100 * rows["mirror"], rows["within"] == 0)
            measure = "misses that hit the other side"
            found.append(Measured(**about, measure=measure, value=misses.value, n=misses.n, **_DISC))
        error = metrics.mean(100 * rows["error"])
        found.append(Measured(**about, measure="mean error", value=error.value, n=error.n, **_LONG_SIDE))
    return found


def _share(rows: pd.DataFrame, measure: str, about: dict) -> Measured:
    """A share of hits in percent, its spread over runs and its interval over runs and sequences."""
    table = 100 * rows.pivot_table(index="run", columns="sequence", values=measure)
    mean, sd = intervals.mean_sd(table.mean(axis=1))
    reach = metrics.DISC if measure == "within" else metrics.SECTOR[about["joint"]]
    named = {
        "measure": MEASURES[measure],
        "threshold": str(Fraction(reach).limit_denominator(1000)),
        "interval": _interval(table.to_numpy()),
    }
    return Measured(**about, **named, value=mean, sd=sd, n=len(rows), **_LONG_SIDE)


def _interval(table: np.ndarray) -> tuple[float, float] | None:
    """Bounds in percent of (runs, sequences); a share that never varied gets Wilson's over the sequences."""
    columns = table.shape[1]
    if columns < 2:
        return None
    if np.nanmin(table) == np.nanmax(table):
        found = intervals.wilson(round(np.nanmin(table) / 100 * columns), columns)
        return 100 * found.low, 100 * found.high
    found = intervals.two_way_bootstrap(table)
    return max(found.low, 0.0), min(found.high, 100.0)


def _paper(joint: str, train_images: int, measure: str) -> dict:
    """The paper's number for the joint with the nearest number of training images, {} where it has none."""
    known = [n for name, n in PAPER if name == joint and measure in PAPER[name, n]]
    if not known:
        return {}
    nearest = min(known, key=lambda n: abs(n - train_images))
    value, sd = PAPER[joint, nearest][measure]
    return {"paper": value, "paper_sd": sd, "source": f"paper's, on 3DPW, {nearest} training images"}


def table(measured: Iterable[Measured]) -> pd.DataFrame:
    """The numbers as a person reads them, in percent: rows are measures, columns methods and the paper."""
    ours, paper = {}, {}
    for one in measured:
        row = (one.joint, one.measure)
        ours.setdefault(row, {})[one.method] = _text(one.value, one.sd, one.interval)
        if one.paper is not None:
            images = one.source.split(", ")[-1].replace("training ", "")
            paper[row] = {"paper's, on 3DPW": f"{_text(one.paper, one.paper_sd)}, {images}"}
    columns = [pd.DataFrame.from_dict(cells, orient="index") for cells in (ours, paper) if cells]
    return pd.concat(columns, axis=1).fillna("").rename_axis(["joint", "%"])


def beside_paper(measured: Iterable[Measured]) -> pd.DataFrame:
    """Ours, the paper's and the difference, for the numbers that the paper has."""
    columns = ("joint", "measure", "ours", "paper's", "difference", "source")
    rows = [
        (one.joint, one.measure, one.value, one.paper, one.value - one.paper, one.source)
        for one in measured
        if one.paper is not None
    ]
    return pd.DataFrame(rows, columns=columns).round(2)


def _text(value: float | None, sd: float | None, interval: tuple[float, float] | None = None) -> str:
    if value is None:
        return "no cases"
    spread = "" if sd is None else f" ± {sd:.1f}"
    bounds = "" if interval is None else f" [{interval[0]:.0f}, {interval[1]:.0f}]"
    return f"{value:.1f}{spread}{bounds}"
