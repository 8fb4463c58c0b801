"""Outputs of a reference run in its notebook: what is shown, what is left out, what is refused, how heavy."""

import base64
import io
import os
import re

import nbformat
import numpy as np
import pytest
from helpers.results_folder import TARGET, hit, save, verdict
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image

from kp_helpers.metrics.paper import HOLDS
from kp_helpers.results import ResultsError, publish
from kp_helpers.results.__main__ import main
from kp_helpers.results.lighter import reduced

WIDGET = {"application/vnd.jupyter.widget-view+json": {"model_id": "0"}, "text/plain": "0 %|    | 0/8"}
SOURCES = ('"setup"', "found_here('x')", "steps = 3", "print(steps)", "tuner")
TAGS = (["setup"], [], ["parameters"], [], [])


def png(side: int) -> str:
    """A picture of noise, (side, side)."""
    pixels = np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def page(*, ran: bool = False, picture: str = "") -> nbformat.NotebookNode:
    """The notebook as it is kept, or as papermill leaves it."""
    cells = [new_markdown_cell("# A title")]
    for source, tags in zip(SOURCES, TAGS, strict=True):
        cells.append(new_code_cell(source, metadata={"tags": tags}))
    if ran:
        cells[2].outputs = [new_output("execute_result", {"text/markdown": "old verdicts"})]
        cells[4].outputs = [
            new_output("stream", name="stdout", text="1 %\r 99 %\r3\n"),
            new_output("stream", name="stderr", text="a warning of /some/place"),
            new_output("display_data", WIDGET),
        ]
        cells[5].outputs = [new_output("display_data", {**WIDGET, "image/png": picture})]
        for number, cell in enumerate(cells[1:], 1):
            cell.execution_count = number
        cells.insert(4, new_code_cell("steps = 100", metadata={"tags": ["injected-parameters"]}))
        del cells[1]  # the run is from before the kit could be installed by a click
    return new_notebook(cells=cells, metadata={"widgets": {}} if ran else {})


@pytest.fixture
def folders(tmp_path):
    """A notebook, and results with its reference run and a user's own."""
    save(tmp_path / "results", TARGET, "mine", metrics=[hit("x", 1.0, n=900)])
    facts = {"commit": "abc", "command": "python -m x"}
    rows = [verdict("cauchy", HOLDS, -3.0, -5.0, -1.0, 0.001)]
    run = save(tmp_path / "results", TARGET, "reference", metrics=[hit("x", 1.0)], verdicts=rows, **facts)
    nbformat.write(page(ran=True, picture=png(20)), run / "notebook.ipynb")
    notebook = tmp_path / f"{TARGET}.ipynb"
    nbformat.write(page(), notebook)
    return notebook, run


def test_what_the_run_showed_is_in_the_notebook(folders):
    notebook, run = folders
    os.utime(notebook, (1, 1))
    publish.publish(notebook, run.parents[1])
    assert notebook.stat().st_mtime == 1, "or the batch would take every result for out of date"
    done = nbformat.read(notebook, as_version=4)
    _, setup, found, parameters, printed, tuner = done.cells
    assert [cell.source for cell in done.cells[1:]] == list(SOURCES)
    assert setup.outputs == parameters.outputs == [] and parameters.source == "steps = 3"
    assert (
        "A Cauchy target is no better than the Gaussian: **holds**" in found.outputs[0].data["text/markdown"]
    )
    assert [(own.name, own.text) for own in printed.outputs] == [("stdout", "3\n")]
    assert tuner.outputs[0].data == {"image/png": png(20), "text/plain": WIDGET["text/plain"]}
    assert "widgets" not in done.metadata
    facts = done.metadata[publish.FACTS]
    assert (facts["run"], facts["commit"]) == (f"results/{TARGET}/reference", "abc")
    assert facts["model_sha256"] == "0" and facts["code_sha256"] == publish.code_hash(page())
    before = notebook.read_bytes()
    publish.publish(notebook, run.parents[1])
    assert notebook.read_bytes() == before, "once more changes nothing"


def test_a_stale_notebook_names_the_command(folders):
    notebook, run = folders
    assert publish.stale(notebook) == "", "it has no outputs yet"
    publish.publish(notebook, run.parents[1])
    content = nbformat.read(notebook, as_version=4)
    content.cells[0].source, content.cells[1].source = "# Another", "another set-up"
    nbformat.write(content, notebook)
    assert publish.stale(notebook) == ""
    content.cells[3].source = "steps = 4"
    nbformat.write(content, notebook)
    assert publish.stale(notebook) == (
        f"{TARGET}.ipynb: its code is not that of its outputs, run `make reference` and "
        f"`python -m kp_helpers.results publish {TARGET}`"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda ran: ran.cells[2].update(source="steps = 4"), "ran other code, run `make reference`"),
        (lambda ran: ran.cells[4].outputs[0].update(text=f"{os.path.expanduser('~')}/x"), "names the place"),
        (lambda ran: ran.cells[4].outputs[0].update(text=publish.LIMIT * "x"), "1003 kB with its outputs"),
    ],
)
def test_what_cannot_be_published_leaves_the_notebook(folders, change, message):
    notebook, run = folders
    before = notebook.read_bytes()
    ran = page(ran=True, picture=png(20))
    change(ran)
    nbformat.write(ran, run / "notebook.ipynb")
    with pytest.raises(ResultsError, match=message):
        publish.publish(notebook, run.parents[1])
    assert notebook.read_bytes() == before


def test_heavy_pictures_become_lighter(folders, monkeypatch):
    monkeypatch.setattr(publish, "LIMIT", 30_000)
    monkeypatch.setattr(publish, "WIDTHS", (None, 180, 120, 60))
    notebook, run = folders
    nbformat.write(page(ran=True, picture=png(200)), run / "notebook.ipynb")
    publish.publish(notebook, run.parents[1])
    assert notebook.stat().st_size <= publish.LIMIT
    data = nbformat.read(notebook, as_version=4).cells[5].outputs[0].data["image/png"]
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        assert image.width == 120 and image.mode == "P"


def test_a_narrowed_picture_shows_the_same():
    pixels = np.zeros((100, 200, 4), np.uint8)
    pixels[:, :100] = (255, 0, 0, 255)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    with Image.open(io.BytesIO(reduced(file.getvalue(), 50))) as image:
        small = image.convert("RGB")
    assert small.size == (50, 25)
    assert small.getpixel((5, 5)) == (255, 0, 0) and small.getpixel((45, 5)) == (255, 255, 255)


def test_the_command(folders, capsys):
    notebook, run = folders
    command = ["publish", "--results", str(run.parents[1]), "--notebooks", str(notebook.parent)]
    assert main([*command, "04"]) == 0
    assert re.fullmatch(rf"{TARGET}.ipynb: {TARGET}/reference, \d+ kB\n", capsys.readouterr().out)
    assert main([*command, "77"]) == 1
    assert capsys.readouterr() == ("", "77: no notebook's name begins so\n")
    (run / "notebook.ipynb").unlink()
    assert main(command) == 1
    assert "reference lacks its notebook.ipynb, run `make reference`" in capsys.readouterr().err
