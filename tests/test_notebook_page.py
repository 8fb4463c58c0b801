"""The page of a notebook: what a reader needs stays, what could run does not."""

import base64
import io
import re

import nbformat
import numpy as np
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

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


def test_a_progress_bar_is_left_out_and_plain_text_is_not():
    view = {"model_id": "m1", "version_major": 2, "version_minor": 0}
    bar = {"application/vnd.jupyter.widget-view+json": view, "text/plain": "0%| | 0/2"}
    outputs = [new_output("display_data", data=bar), new_output("stream", name="stdout", text="said")]
    outputs += [new_output("execute_result", data={"text/plain": "found"}, execution_count=1)]
    html = page(new_code_cell("1", outputs=outputs))
    assert "0/2" not in html and "said" in html and "found" in html


def test_it_is_named_after_its_first_heading_and_is_light():
    cells = [new_markdown_cell("no heading"), new_markdown_cell("# Keypoints & more\n## Part")]
    html = notebook_page(nbformat.writes(new_notebook(cells=cells)))
    assert "<title>Keypoints &amp; more</title>" in html and len(html) < 15_000
    assert "<title>Notebook</title>" in notebook_page(nbformat.writes(new_notebook(cells=cells[:1])))


def embedded(pixels: np.ndarray) -> tuple[str, Image.Image]:
    """The format and the picture that a page shows of an output with a PNG of some pixels."""
    png = io.BytesIO()
    Image.fromarray(pixels).save(png, "png")
    data = {"image/png": base64.b64encode(png.getvalue()).decode(), "text/plain": ""}
    html = page(new_code_cell("1", outputs=[new_output("display_data", data=data)]))
    kind, content = re.search('data:image/([a-z]+);base64,([^"]+)', html).groups()
    return kind, Image.open(io.BytesIO(base64.b64decode(content))).convert("RGB")


def test_a_large_picture_is_lighter_and_looks_the_same():
    rows, columns = np.mgrid[0:300, 0:400]
    noise = np.random.default_rng(0).integers(-6, 7, (300, 400, 3))
    pixels = (np.stack([rows / 2, columns / 2, (rows + columns) / 4], axis=-1) + 20 + noise).astype(np.uint8)
    kind, shown = embedded(pixels)
    assert kind == "jpeg" and shown.size == (400, 300)
    assert np.abs(np.asarray(shown, int) - pixels).mean() < 6


def test_a_small_picture_and_a_chart_stay_as_they_are():
    chart = np.full((1500, 1500, 3), 255, np.uint8)
    chart[::50] = 0
    for pixels in (np.random.default_rng(1).integers(0, 256, (20, 20, 3)).astype(np.uint8), chart):
        kind, shown = embedded(pixels)
        assert kind == "png" and np.array_equal(np.asarray(shown), pixels)


def test_what_is_transparent_stands_on_white():
    pixels = np.random.default_rng(2).integers(0, 256, (200, 300, 4)).astype(np.uint8)
    pixels[:100] = 0
    kind, shown = embedded(pixels)
    assert kind == "jpeg" and np.asarray(shown)[:80].min() > 240
