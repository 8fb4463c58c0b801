"""What was measured as a person reads it: a row a measure, a column a method."""

from collections.abc import Iterable

import pandas as pd

from kp_helpers.evaluate.scores import Measured


def table(measured: Iterable[Measured]) -> pd.DataFrame:
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
