"""All comparisons of the claims in one picture: a row for each, with its intervals, by list and claim."""

from itertools import groupby
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from kp_helpers.metrics.paper import EXACT, FAILS, HOLDS, OPEN, UNTESTABLE
from kp_helpers.results.claims import LISTS, Answer
from kp_helpers.results.lighter import drawn
from kp_helpers.results.runs import Verdict
from kp_helpers.results.tables import short

COLOURS = {HOLDS: "#1c7a45", FAILS: "#b3352c", OPEN: "#b07a00", UNTESTABLE: "#888888"}
REACH = 60
"""Percent points that are shown to either side of zero; what lies farther is cut."""


def forest(answers: list[Answer], path: Path) -> None:
    """Write the picture of every saved comparison that has an interval: exact hits as a ring, above the area
    under the PCK curve or what else was counted, as a dot.
    """
    lists = {title: _comparisons(name, answers) for name, title in LISTS.items()}
    lists = {title: comparisons for title, comparisons in lists.items() if comparisons}
    count = sum(map(len, lists.values())) + 2 * len(lists)
    figure = Figure(figsize=(10, 1.5 + 0.24 * count), layout="constrained")
    axis = figure.subplots()
    place = 0
    names = {}
    for title, comparisons in lists.items():
        axis.text(-REACH, place, title, weight="bold", size=8.5, va="center")
        for name, rows in comparisons:
            place += 1
            names[place] = name
            for row in rows:
                _draw(axis, place - 0.17 if row.measure == EXACT else place + 0.17, row)
        place += 2
    axis.axvline(0, color="black", lw=0.8)
    axis.set_yticks(list(names), list(names.values()), size=7.5)
    axis.set(xlim=(-REACH, REACH), ylim=(max(1, place - 1), -1))
    axis.set_xlabel("difference in percent points, with 95 % interval")
    axis.grid(axis="x", alpha=0.3)
    for word, colour in COLOURS.items():
        axis.plot([], [], color=colour, lw=2, label=word)
    axis.plot([], [], "o", color="black", mfc="white", ms=4, label="exact hits")
    axis.plot([], [], "o", color="black", ms=4, label="AUC, or as named")
    figure.legend(loc="outside upper center", ncols=6, fontsize=8, frameon=False)
    path.write_bytes(drawn(figure, dpi=100))


def _comparisons(name: str, answers: list[Answer]) -> list[tuple[str, list[Verdict]]]:
    """The rows of a list of claims by what was asked, those of both measures together."""
    rows = [row for answer in answers if answer.claim.list == name for row in answer.rows]
    rows = [row for row in rows if row.low is not None]
    groups = groupby(rows, lambda row: f"{row.id}: {short(row.text)}")
    return [(text, list(group)) for text, group in groups]


def _draw(axis: Axes, place: float, row: Verdict) -> None:
    low, high, middle = (max(-REACH, min(REACH, value)) for value in (row.low, row.high, row.difference))
    colour = COLOURS[row.verdict]
    axis.plot([low, high], [place, place], color=colour, lw=1.6)
    axis.plot(middle, place, "o", color=colour, ms=4, mfc="white" if row.measure == EXACT else colour)
