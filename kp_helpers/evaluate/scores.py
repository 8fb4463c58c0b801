"""Predictions scored, summarised and tabulated: measures with their intervals, and paired differences."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from fractions import Fraction

import numpy as np
import pandas as pd

from kp_helpers import intervals, metrics
from kp_helpers.evaluate.measures import ALL, Measure, in_direction, values
from kp_helpers.evaluate.protocol import Found
from kp_helpers.metrics import Metric
from kp_helpers.metrics.paper import MEASURES, PAPER

PRIMARY = {column: ALL[column] for column in ("within", "auc")}
"""What claims are decided by: exact hits, and the area under the PCK curve."""
SHOWN = {column: ALL[column] for column in (*PRIMARY, "in_direction")}

_COMPARED = {column: ALL[column] for column in (*SHOWN, "error")}
_PROTOCOL = {column: ALL[column] for column in (*SHOWN, "other_side", "mirror", "error")}


def score(found: Iterable[Found], half_angle: float = 45.0) -> pd.DataFrame:
    """One row for each prediction of a visible joint: whose it is, and every column of `measures.ALL`.

    Hits are 0 or 1, errors fractions: `error` of the frame's long side, `box_error` of the longer side of the
    person's box. half_angle: of the sector in degrees. What the data set has no means to measure is NaN.
    """
    return _rows(found, lambda one: values(one, half_angle), ALL)


def report(scores: pd.DataFrame, measures: Mapping[str, Measure] = ALL) -> list[Metric]:
    """Every measure of each joint and method, in percent, over all runs and images of `score`'s rows.

    value: the mean over the n predictions that it is defined for, of misses over the misses. sd: of the runs'
    means. interval: 95 %, over runs and images by `intervals.two_way`, in which the images of a sequence
    are one. A measure that is defined nowhere for a joint is left out.
    """
    found = []
    for (joint, method), rows in scores.groupby(["joint", "method"], sort=False):
        for column, measure in measures.items():
            if rows[column].notna().any():
                found.append(_measured(joint, method, _cases(rows, measure), column, measure))
    return found


def listed(measured: Iterable[Metric]) -> pd.DataFrame:
    """One number a row, as it is saved: low and high are its interval's bounds, in `unit` like the value."""
    rows = []
    for one in measured:
        low, high = one.interval or (np.nan, np.nan)
        rows.append({**asdict(one), "low": low, "high": high})
    columns = ["joint", "method", "measure", "threshold", "normaliser"]
    return pd.DataFrame(rows, columns=[*columns, "value", "sd", "low", "high", "n", "unit"])


def summarise(scores: pd.DataFrame, train_images: int | None = None) -> list[Metric]:
    """The protocol's own numbers of `report`; with a number of training images, the paper's beside them."""
    measured = report(scores, _PROTOCOL)
    if train_images is None:
        return measured
    return [_beside_paper(replace(one, train_images=train_images), train_images) for one in measured]


def directions(found: Iterable[Found], half_angles: Iterable[float] = range(0, 181, 15)) -> pd.DataFrame:
    """How hits in a meaningful direction move with the sector's half-angle in degrees.

    Columns joint, method, half_angle, value, low, high (in percent, as in `report`) and n. A joint without
    such a direction is left out.
    """
    angles = tuple(half_angles)
    scores = _rows(found, lambda one: _curve(one, angles), angles)
    curve = {angle: replace(ALL["in_direction"], name=str(angle)) for angle in angles}
    rows = listed(report(scores, curve))
    rows["half_angle"] = rows["measure"].astype(float)
    return rows[["joint", "method", "half_angle", "value", "low", "high", "n"]]


def differences(
    scores: pd.DataFrame,
    method: str,
    others: Iterable[str],
    measures: Mapping[str, Measure] = _COMPARED,
) -> pd.DataFrame:
    """A method minus each of the others, on the same pictures of the same runs, in percent points.

    One row a joint, other method and measure: the mean difference, its 95 % interval and p by
    `intervals.paired` over runs and sequences, and how many runs and pairs of pictures. A measure of misses
    counts the pictures that both have missed. Pairs that all differ by the same have no interval: they do not
    show how far others may differ.
    """
    rows = []
    for joint, own in scores.groupby("joint", sort=False):
        for other in others:
            for column, measure in measures.items():
                found = paired(own, method, other, column, measure)
                if found:
                    rows.append({"joint": joint, "against": other, "measure": measure.name, **found.row()})
    columns = ("joint", "against", "measure", "difference", "low", "high", "p", "runs", "n")
    return pd.DataFrame(rows, columns=columns)


@dataclass(frozen=True)
class Paired:
    """A method minus another in percent points on n pairs of pictures in so many runs.

    interval: None where all pairs differ by the same, or are of fewer than two sequences.
    """

    difference: float
    interval: intervals.Interval | None
    runs: int
    n: int

    def row(self) -> dict[str, float]:
        """The columns of `differences`."""
        one = self.interval
        low, high, p = (one.low, one.high, one.p()) if one else (np.nan,) * 3
        return {
            "difference": self.difference,
            "low": low,
            "high": high,
            "p": p,
            "runs": self.runs,
            "n": self.n,
        }


def paired(scores: pd.DataFrame, method: str, other: str, column: str, measure: Measure) -> Paired | None:
    """A method minus another by a column of `score`'s rows of one joint; None where no pair has both.

    Where one has fewer predictions in a sequence of a run than the other, as many pairs count.
    """
    pair = (_cases(scores[scores["method"] == name], measure) for name in (method, other))
    first, second = (_by_run(cases, column) for cases in pair)
    (one, two), counts = first["mean"].align(second["mean"]), first["count"].align(second["count"])
    differences = (one - two).to_numpy(float)
    seen = np.isfinite(differences)
    if not seen.any():
        return None
    pairs, runs = np.where(seen, np.minimum(*counts), 0), int(seen.any(axis=1).sum())
    if seen.any(axis=0).sum() < 2 or np.ptp(differences[seen]) == 0:
        mean = float(np.where(seen, differences, 0.0).ravel() @ pairs.ravel() / pairs.sum())
        return Paired(mean, None, runs, int(pairs.sum()))
    found, farthest = intervals.paired(one, two, counts=pairs), 100.0 if measure.bounded else np.inf
    found = replace(found, low=max(found.low, -farthest), high=min(found.high, farthest))
    return Paired(found.value, found, runs, int(pairs.sum()))


def _rows(found: Iterable[Found], numbers: Callable[[Found], dict], columns: Iterable) -> pd.DataFrame:
    """A row for each prediction of a visible joint, NaN in the columns that `numbers` does not give."""
    rows = []
    for one in found:
        sample = one.sample
        if sample.visible[one.joint]:
            about = {"joint": one.joint, "method": one.method, "run": one.run, "image": sample.name}
            rows.append({**about, "sequence": sample.sequence or sample.name, **numbers(one)})
    return pd.DataFrame(rows, columns=["joint", "method", "run", "image", "sequence", *columns])


def _curve(found: Found, half_angles: tuple[float, ...]) -> dict[float, float]:
    hits = in_direction(found, half_angles)
    return {} if hits is None else dict(zip(half_angles, hits.astype(float), strict=True))


def _cases(rows: pd.DataFrame, measure: Measure) -> pd.DataFrame:
    """The rows that a measure counts."""
    return rows[rows["within"] == 0] if measure.of_misses else rows


def _by_run(rows: pd.DataFrame, column: str) -> dict[str, pd.DataFrame]:
    """By (run, sequence): the "mean" of its predictions in percent, NaN where there is none, and their
    "count".
    """
    known = rows.dropna(subset=column)
    values = known[column].to_numpy(float)
    of_run, runs = pd.factorize(known["run"], sort=True)
    of_sequence, sequences = pd.factorize(known["sequence"], sort=True)
    cells, shape = of_run * len(sequences) + of_sequence, (len(runs), len(sequences))
    count, total = (np.bincount(cells, weights, len(runs) * len(sequences)) for weights in (None, values))
    count = np.where(count > 0, count, np.nan)
    tables = {"mean": 100 * total / count, "count": count}
    return {name: pd.DataFrame(one.reshape(shape), runs, sequences) for name, one in tables.items()}


def _measured(joint: str, method: str, cases: pd.DataFrame, column, measure: Measure) -> Metric:
    """The mean of a column over its cases, with its spread over runs and its interval."""
    cases = cases.dropna(subset=column)
    mean, of_runs = metrics.mean(100 * cases[column]), 100 * cases.groupby("run")[column].mean()
    reach = Fraction(metrics.SECTOR.get(joint, 0)).limit_denominator(1000)
    return Metric(
        joint=joint,
        method=method,
        measure=measure.name,
        value=mean.value,
        n=mean.n,
        unit="%",
        threshold=str(reach) if column == "in_direction" else measure.threshold,
        normaliser=measure.normaliser,
        sd=intervals.mean_sd(of_runs)[1] if mean.n else None,
        interval=(found.low, found.high) if (found := mean_interval(cases, column, measure)) else None,
    )


def mean_interval(cases: pd.DataFrame, column: str, measure: Measure) -> intervals.Interval | None:
    """Of the mean of a column, in percent, over runs and sequences; None of fewer than two sequences."""
    by_run = _by_run(cases, column)
    table, counts = by_run["mean"].to_numpy(), by_run["count"].to_numpy()
    if table.shape[1] < 2:
        return None
    if measure.bounded:
        found = intervals.share(table / 100, counts=counts)
        return replace(
            found, **{name: 100 * getattr(found, name) for name in ("value", "low", "high", "error")}
        )
    found = intervals.two_way(table, counts=counts)
    return replace(found, low=max(found.low, 0.0))


def _beside_paper(measured: Metric, train_images: int) -> Metric:
    """With the paper's number for the joint with the nearest number of training images, if it has one."""
    column = next((key for key, name in MEASURES.items() if name == measured.measure), None)
    known = [n for name, n in PAPER if name == measured.joint and column in PAPER[name, n]]
    if not known or not measured.method.startswith("appended"):
        return measured
    nearest = min(known, key=lambda n: abs(n - train_images))
    value, sd = PAPER[measured.joint, nearest][column]
    source = f"paper's, on 3DPW, {nearest} training images"
    return replace(measured, paper=value, paper_sd=sd, source=source)


def table(measured: Iterable[Metric]) -> pd.DataFrame:
    """The numbers in percent: rows are joints and measures, columns methods and the paper.

    A cell holds the mean, its standard deviation over runs, the interval in brackets, and n.
    """
    ours, paper = {}, {}
    for one in measured:
        row = (one.joint, one.measure)
        cell = _text(one.value, one.sd, one.interval)
        ours.setdefault(row, {})[one.method] = f"{cell}, n {one.n}" if one.n else cell
        if one.paper is not None:
            images = one.source.split(", ")[-1].replace("training ", "")
            paper[row] = {"paper's, on 3DPW": f"{_text(one.paper, one.paper_sd)}, {images}"}
    if not ours:
        return pd.DataFrame()
    columns = [pd.DataFrame.from_dict(cells, orient="index") for cells in (ours, paper) if cells]
    return pd.concat(columns, axis=1).fillna("").rename_axis(["joint", "%"])


def beside_paper(measured: Iterable[Metric]) -> pd.DataFrame:
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
