"""Pieces of HTML that the page is put together from. Whatever comes from a run is escaped here."""

from html import escape
from pathlib import Path
from urllib.parse import quote

from kp_helpers.results.answers import ABSENT
from kp_helpers.results.gathered import FAILS, HOLDS, OPEN, Verdict
from kp_helpers.results.tables import Table

_MARKS = {HOLDS: ("holds", "✓"), FAILS: ("fails", "✗"), OPEN: ("open", "?"), ABSENT: ("absent", "–")}
_REACH = 60
"""Percent points that the drawn interval shows to either side of zero."""


def link(path: str) -> str:
    """A relative address as the value of an attribute."""
    return escape(quote(path))


def badge(verdict: str) -> str:
    """A verdict as a coloured word with a mark, so that it can be told without the colour."""
    kind, mark = _MARKS[verdict]
    return (
        f'<span class="badge {kind}"><span aria-hidden="true">{mark}</span> '
        f'<span class="word">{escape(verdict)}</span></span>'
    )


def table(of: Table) -> str:
    """A table that scrolls by itself where it is wider than the page."""
    head = "".join(f"<th>{escape(name)}</th>" for name in of.head)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>\n" for row in of.rows
    )
    return f'<div class="scroll"><table>\n<tr>{head}</tr>\n{rows}</table></div>\n'


def picture(address: str, caption: str) -> str:
    """A picture of a run, loaded when it comes into sight, that opens in full."""
    return (
        f'<figure><a href="{link(address)}"><img loading="lazy" src="{link(address)}" '
        f'alt="{escape(caption)}"></a><figcaption>{escape(caption)}</figcaption></figure>\n'
    )


def title(name: str) -> str:
    """figures/error_by_joint.png -> error by joint"""
    return Path(name).stem.replace("_", " ")


def interval(row: Verdict) -> str:
    """The 95 % interval of a difference in percent points as a bar on an axis round zero, cut at its ends."""
    if row.low is None or row.difference is None:
        return ""
    low, high, at = (max(-_REACH, min(_REACH, value)) for value in (row.low, row.high, row.difference))
    words = f"from {row.low:+.1f} to {row.high:+.1f} percent points, zero in the middle"
    return (
        f'<svg class="interval" viewBox="{-_REACH} -5 {2 * _REACH} 10" role="img" aria-label="{words}" '
        'preserveAspectRatio="none">'
        f'<line class="axis" x1="{-_REACH}" x2="{_REACH}" y1="0" y2="0"/>'
        '<line class="zero" x1="0" x2="0" y1="-5" y2="5"/>'
        f'<line class="bar" x1="{low:.1f}" x2="{high:.1f}" y1="0" y2="0"/>'
        f'<line class="at" x1="{at:.1f}" x2="{at:.1f}" y1="-3" y2="3"/></svg>'
    )
