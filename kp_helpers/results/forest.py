"""All comparisons of the claims in one picture: a row for each, with its interval, by list and claim."""

from pathlib import Path

from kp_helpers.results.answers import answer
from kp_helpers.results.claims import CLAIMS, LISTS
from kp_helpers.results.gathered import FAILS, HOLDS, OPEN, UNTESTABLE, Run, Verdict

FILE = "claims.png"
COLOURS = {HOLDS: "#1c7a45", FAILS: "#b3352c", OPEN: "#8a6100", UNTESTABLE: "#888888"}
_REACH = 60
"""Percent points that are shown to either side of zero; what lies farther is cut."""


def forest(runs: list[Run], path: Path) -> None:
    """Write the picture of every saved comparison that has an interval."""
    from matplotlib.figure import Figure  # here, so that indexing results does not wait for it

    rows = [(claim.list, row) for claim in CLAIMS for row in answer(claim, runs).rows if row.low is not None]
    figure = Figure(figsize=(11, 1.2 + 0.19 * (len(rows) + 2 * len(LISTS))), layout="constrained")
    axis, place, names, places = figure.subplots(), 0.0, [], []
    for name, title in LISTS.items():
        own = [row for listed, row in rows if listed == name]
        if own:
            axis.text(-_REACH, place, title, weight="bold", size=9, va="center")
            place += 1
        for row in own:
            _draw(axis, place, row)
            names.append(f"{row.id}: {row.text}, {row.measure}")
            places.append(place)
            place += 1
        place += 1
    axis.axvline(0, color="black", lw=0.8)
    axis.set_yticks(places, names, size=6.5)
    axis.set_xlim(-_REACH, _REACH)
    axis.set_ylim(place - 1, -1)
    axis.set_xlabel("percent points, with 95 % interval; the method minus what it is held against")
    axis.grid(axis="x", alpha=0.3)
    for word, colour in COLOURS.items():
        axis.plot([], [], color=colour, lw=2, label=word)
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1), fontsize=8, frameon=False)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def _draw(axis, place: float, row: Verdict) -> None:
    low, high, middle = (max(-_REACH, min(_REACH, value)) for value in (row.low, row.high, row.difference))
    colour = COLOURS[row.verdict]
    axis.plot([low, high], [place, place], color=colour, lw=1.6)
    axis.plot(middle, place, "o", color=colour, ms=3)
