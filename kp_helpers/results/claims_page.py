"""The first part of the page: every claim with its verdict, its numbers, its ground and its figure."""

from html import escape
from itertools import groupby

from kp_helpers.results.answers import ABSENT, VERDICTS, Answer
from kp_helpers.results.gathered import Verdict
from kp_helpers.results.known import Beside
from kp_helpers.results.markup import badge, interval, link, picture, table, title
from kp_helpers.results.tables import amount, data_name, ground, numbers, places

_RULE = (
    "A verdict is the one that the notebook's run saved, by a rule that was fixed before the numbers. A "
    "claim of several parts holds if all of them hold, and does not hold if one does not. Differences are in "
    "percent points of hits on the same pictures of the same runs, or a share in percent where that is "
    "asked, with 95 % intervals over runs and sequences. <em>Not measured</em> is a claim that no run here "
    "has asked."
)


def claims_part(answers: list[Answer], known: list[Beside]) -> str:
    """The overview, then the claims group by group, then the paper's numbers."""
    groups = groupby(answers, key=lambda one: one.claim.group)
    cards = "".join(
        f'<h3>{escape(name)}</h3>\n<div class="cards">\n{"".join(map(_card, group))}</div>\n'
        for name, group in groups
    )
    return (
        f'<section id="claims">\n<h2>The claims</h2>\n{_counts(answers)}<p>{_RULE}</p>\n'
        f"{_overview(answers)}{cards}{_known(known)}</section>\n"
    )


def _counts(answers: list[Answer]) -> str:
    verdicts = [one.verdict for one in answers]
    counts = "".join(f"<li><b>{verdicts.count(word)}</b> {badge(word)}</li>" for word in VERDICTS)
    grounds = sorted({data_name(one.run.data) for one in answers if one.run})
    measured = f"<p><b>Measured on {escape(' and '.join(grounds))}.</b></p>\n" if grounds else ""
    return f'<ul class="counts">{counts}</ul>\n{measured}'


def _overview(answers: list[Answer]) -> str:
    items = "".join(
        f'<li>{badge(one.verdict)} <a href="#{link(one.claim.name)}">{escape(one.claim.title)}</a></li>\n'
        for one in answers
    )
    return f'<ul class="overview">\n{items}</ul>\n'


def _card(one: Answer) -> str:
    """One claim; what the paper says of it stands above what was found here."""
    claim = one.claim
    wide = ' class="wide"' if one.figure else ""
    return (
        f'<article id="{escape(claim.name)}"{wide}>\n<div>\n<h4>{escape(claim.title)}</h4>\n'
        f"<p>{badge(one.verdict)}{_label(one)}</p>\n{_paper(claim.paper)}{_rows(one)}{_ground(one)}"
        f"{_others(one)}</div>\n{_figure(one)}</article>\n"
    )


def _label(one: Answer) -> str:
    return (
        ' <span class="label">on figures, not on 3DPW</span>' if one.run and one.run.data == "figures" else ""
    )


def _paper(words: str) -> str:
    return f'<p class="paper"><b>The paper:</b> {escape(words)}</p>\n' if words else ""


def _rows(one: Answer) -> str:
    rows = "".join(map(_row, one.rows))
    rows += "".join(f'<li>{badge(ABSENT)} <span class="text">{escape(t)}</span></li>\n' for t in one.missing)
    return f'<ul class="rows">{rows}</ul>\n' if rows else ""


def _row(row: Verdict) -> str:
    return (
        f'<li>{badge(row.verdict)} <span class="text">{escape(row.claim)}</span>'
        f'{interval(row)}<span class="amount">{escape(amount(row))}</span></li>\n'
    )


def _ground(one: Answer) -> str:
    """What it was measured on, with links to the run, its executed notebook and its rows."""
    if not one.run:
        asks = f"Notebook {one.claim.notebook} asks it." if one.claim.notebook else "No notebook asks it yet."
        return f'<p class="facts">{escape(asks)}</p>\n'
    folder = one.run.folder
    links = [f'<a href="#{link(folder)}">{escape(folder)}</a>']
    if one.run.has_page:
        links.append(f'<a href="{link(folder)}/notebook.html">executed notebook</a>')
    links.append(f'<a href="{link(folder)}/verdicts.csv">verdicts.csv</a>, {places(one)}')
    return f'<p class="facts">Measured on {escape(ground(one.run))}. {" · ".join(links)}</p>\n'


def _figure(one: Answer) -> str:
    if not one.figure:
        return ""
    return picture(f"{one.run.folder}/{one.figure}", f"{title(one.figure)}, on {data_name(one.run.data)}")


def _others(one: Answer) -> str:
    lines = "".join(
        f"<li>{badge(other.verdict)} {escape(other.run.folder)}, {escape(ground(other.run))}: "
        f"{escape('; '.join(map(amount, other.rows)))}</li>\n"
        for other in one.others
    )
    return f"<details><summary>other runs</summary><ul>{lines}</ul></details>\n" if lines else ""


def _known(known: list[Beside]) -> str:
    grounds = ", ".join(sorted({data_name(one.run.data) for one in known if one.run})) or "nothing yet"
    return (
        '<h3 id="numbers">The paper\'s numbers</h3>\n<p>The paper measured on 3DPW with Stable Diffusion '
        f"1.5; ours are measured on {escape(grounds)}. On another data set or with the figures model a "
        "number can only be set beside the paper's: whether it is met cannot be told. On 3DPW it holds "
        "where the paper's number lies in the 95 % interval of ours.</p>\n"
        f"{table(numbers(known))}"
    )
