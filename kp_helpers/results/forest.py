"""All comparisons of the claims in one picture: a row for each, with its intervals, by list and claim."""

from itertools import groupby
from pathlib import Path

from kp_helpers.results.answers import answer
from kp_helpers.results.claims import CLAIMS, LISTS
from kp_helpers.results.gathered import FAILS, HOLDS, OPEN, UNTESTABLE, Run, Verdict
from kp_helpers.results.known import DISC
from kp_helpers.results.tables import short

FILE = "claims.png"
COLOURS = {HOLDS: "#1c7a45", FAILS: "#b3352c", OPEN: "#b07a00", UNTESTABLE: "#888888"}
_REACH = 60
"""Percent points that are shown to either side of zero; what lies farther is cut."""


def forest(runs: list[Run], path: Path) -> None:
    """Write the picture of every saved comparison that has an interval: exact hits as a ring, above the area
    under the PCK curve or what else was counted, as a dot.
    """
    from matplotlib.figure import Figure  # here, so that indexing results does not wait for it

    lists = {title: _comparisons(name, runs) for name, title in LISTS.items()}
    lists = {title: own for title, own in lists.items() if own}
    count = sum(map(len, lists.values())) + 2 * len(lists)
    figure = Figure(figsize=(10, 1.5 + 0.24 * count), layout="constrained")
    axis, place, ticks = figure.subplots(), 0, {}
    for title, own in lists.items():
        axis.text(-_REACH, place, title, weight="bold", size=10, va="center")
        for name, rows in own:
            place += 1
            ticks[place] = name
            for row in rows:
                _draw(axis, place - 0.17 if row.measure == DISC else place + 0.17, row)
        place += 2
    axis.axvline(0, color="black", lw=0.8)
    axis.set_yticks(list(ticks), list(ticks.values()), size=7.5)
    axis.set(xlim=(-_REACH, _REACH), ylim=(max(1, place - 1), -1))
    axis.set_xlabel("difference in percent points, with 95 % interval")
    axis.grid(axis="x", alpha=0.3)
    for word, colour in COLOURS.items():
        axis.plot([], [], color=colour, lw=2, label=word)
    axis.plot([], [], "o", color="black", mfc="white", ms=4, label="exact hits")
    axis.plot([], [], "o", color="black", ms=4, label="AUC, or as named")
    figure.legend(loc="outside upper center", ncols=6, fontsize=8, frameon=False)
    figure.savefig(path, dpi=100, metadata={"Software": None})


def _comparisons(name: str, runs: list[Run]) -> list[tuple[str, list[Verdict]]]:
    """The rows of a list of claims by what was asked, those of both measures together."""
    rows = [row for claim in CLAIMS if claim.list == name for row in answer(claim, runs).rows]
    known = [row for row in rows if row.low is not None]
    return [(name, list(own)) for name, own in groupby(known, lambda row: f"{row.id}: {short(row.text)}")]


def _draw(axis, place: float, row: Verdict) -> None:
    low, high, middle = (max(-_REACH, min(_REACH, value)) for value in (row.low, row.high, row.difference))
    colour = COLOURS[row.verdict]
    axis.plot([low, high], [place, place], color=colour, lw=1.6)
    axis.plot(middle, place, "o", color=colour, ms=4, mfc="white" if row.measure == DISC else colour)
