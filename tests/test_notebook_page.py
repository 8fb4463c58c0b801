"""The page of a notebook: what a reader needs stays, what could run does not."""

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from kp_helpers.results.notebook_page import clean, notebook_page

TABLE = "<table><tbody><tr><td style='color: red'>1</td></tr></tbody></table>"
STYLE = "<style scoped>td {color: red}</style>"


def page(*cells) -> str:
    """The part of the page that comes from the cells."""
    html = notebook_page(nbformat.writes(new_notebook(cells=list(cells))))
    return html[html.index("<main") :]


def test_headings_tables_and_code_stay():
    output = new_output(
        "execute_result", data={"text/html": STYLE + TABLE, "text/plain": ""}, execution_count=1
    )
    html = page(new_markdown_cell("# A title\n**bold** $x^2$"), new_code_cell("a < b", outputs=[output]))
    assert "<h1" in html and "<strong>bold</strong> $x^2$" in html
    assert '<td style="color: red;">1</td>' in html and "<tbody>" in html and "{color" not in html
    assert '<span class="o">&lt;</span>' in html


def test_nothing_runs():
    evil = "<script>alert(1)</script><img src=x onerror=alert(1)><a href='javascript:alert(1)'>go</a>"
    output = new_output("display_data", data={"text/html": evil, "text/plain": ""})
    html = page(new_markdown_cell(evil), new_code_cell("1", outputs=[output]))
    assert "<script" not in html and "onerror" not in html and "javascript:" not in html and "go" in html


def test_data_may_be_a_picture_and_nothing_else():
    assert "data:image/png" in clean("<img src='data:image/png;base64,eA=='>")
    assert "data:" not in clean("<a href='data:text/html,x'>a</a><img src='data:text/html,x'>")
    assert "<script" not in clean("<scr<script></script>ipt>alert(1)</script>")


def test_of_a_control_its_picture_is_shown():
    state = {"state": {"m1": {"model_name": "IntSliderModel"}}, "version_major": 2, "version_minor": 0}
    view = {"model_id": "m1", "version_major": 2, "version_minor": 0}
    data = {"application/vnd.jupyter.widget-view+json": view, "image/png": "eA==", "text/plain": "Tuner"}
    notebook = new_notebook(
        cells=[new_code_cell("1", outputs=[new_output("display_data", data=data)])],
        metadata={"widgets": {"application/vnd.jupyter.widget-state+json": state}},
    )
    html = notebook_page(nbformat.writes(notebook))
    assert "data:image/png;base64,eA==" in html
    assert "IntSliderModel" not in html and "html-manager" not in html
