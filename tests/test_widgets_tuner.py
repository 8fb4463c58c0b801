"""The tuner's page: its controls through the comm protocol, its picture, and names that are only text."""

import io
import re
import textwrap
from pathlib import Path

import nbformat
import numpy as np
import pytest
from helpers import tiny_tuner
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from PIL import Image

from kp_helpers import widgets
from kp_helpers.widgets.tuner_figure import curves_of

MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def tuner(tiny_sd_folder, tiny_threedpw, tmp_path_factory):
    parts = tiny_tuner.parts(tiny_sd_folder, tiny_threedpw)
    made = widgets.LossWeightTuner(*parts, folder=tmp_path_factory.mktemp("tuner"), map_size=16)
    made.buttons["Run"].click()
    made.session.wait()
    return made


def test_a_slider_shows_what_the_session_uses(tuner):
    slider = tuner.knobs["target_weight"]
    slider.value = float("nan")
    assert (
        slider.value == 5.0 and "target_weight is nan: Input should be a finite number" in tuner.status.value
    )
    slider.value = 1000
    assert slider.value == 20.0 == tuner.session.values["target_weight"]
    slider.value = 5.0


def test_buttons_can_be_pressed_when_they_have_a_meaning(tuner):
    assert {name for name, button in tuner.buttons.items() if button.disabled} == {"Pause", "Last run"}
    assert "run 1, finished: step 6 of 6" in tuner.status.value


def test_the_picture_shows_losses_maps_and_hits_of_this_run_and_the_last(tuner):
    before = tuner.picture.value
    tuner.knobs["sigma"].value = 0.1
    tuner.buttons["Run"].click()
    tuner.session.wait()
    picture = Image.open(io.BytesIO(tuner.picture.value))
    assert tuner.picture.value != before and np.asarray(picture.convert("L")).std() > 20
    figure = tuner.figure()
    for (name, curve), axis in zip(curves_of(tuner.session.current).items(), figure.axes, strict=False):
        last, this = axis.lines
        assert last.get_ydata().tolist() == curves_of(tuner.session.last)[name][1]
        assert this.get_ydata().tolist() == curve[1] and len(curve[1]) > (0 if name == "hits, %" else 5)
    held_out = next(axis for axis in figure.axes if axis.get_title(loc="left").startswith("held out"))
    assert "of 2 hit" in held_out.get_title(loc="left") and held_out.patches[0].radius == 0.1
    tuner.buttons["Last run"].click()
    tuner.session.wait()
    assert tuner.knobs["sigma"].value == 0.05 and "run 1 is shown" in tuner.status.value
    assert re.findall(r"<td>run (\d)", tuner.table.value) == ["1", "2"]


def test_saving_names_the_file_or_says_why_not(tuner):
    tuner.buttons["Save embedding"].click()
    path = Path(re.search(r"saved: (\S+)</i>", tuner.status.value)[1])
    assert path.suffix == ".safetensors" and path.is_file()
    tuner.buttons["Reset"].click()
    tuner.session.wait()
    tuner.buttons["Save embedding"].click()
    assert "no embedding to save yet" in tuner.status.value
    tuner.buttons["As papermill command"].click()
    assert "<i>papermill notebooks/03" in tuner.status.value


def test_names_are_text(tuner, monkeypatch):
    monkeypatch.setattr(tuner.session, "message", MARKUP)
    monkeypatch.setattr(tuner.session.learner, "joint", MARKUP)
    monkeypatch.setattr(tuner, "_described", lambda run: {MARKUP: MARKUP})
    tuner._show()
    title = tuner._laid_out().children[0].children[0].children[0]
    for text in (tuner.status.value, tuner.table.value, title.value):
        assert "&lt;img" in text and MARKUP not in text


CELLS = """
from pathlib import Path
from helpers import tiny_tuner
from kp_helpers import widgets
parts = tiny_tuner.parts(Path({model!r}), Path({data!r}))
tuner = widgets.LossWeightTuner(*parts, folder={folder!r}, map_size=16)
tuner
"""


@pytest.fixture(scope="module")
def page(tiny_sd_folder, tiny_threedpw, tmp_path_factory):
    """A notebook with a tuner and its kernel, alive."""
    folder = str(tmp_path_factory.mktemp("page"))
    source = CELLS.format(model=str(tiny_sd_folder), data=str(tiny_threedpw), folder=folder)
    paths = f"import sys; sys.path[:0] = {[str(Path(__file__).parent), str(Path(__file__).parents[1])]!r}\n"
    cells = [nbformat.v4.new_code_cell(paths + source), nbformat.v4.new_code_cell("")]
    client = NotebookClient(nbformat.v4.new_notebook(cells=cells), kernel_name="python3", timeout=120)
    with client.setup_kernel():
        client.execute_cell(cells[0], 0)
        yield client


def ask(page, source: str) -> str:
    cell = page.nb.cells[1]
    cell.source = textwrap.dedent(source)
    page.execute_cell(cell, 1)
    return "".join(out.text for out in cell.outputs if out.output_type == "stream").strip()


def send(page, control: str, data: dict) -> None:
    """What the page's script sends when a reader moves or presses a control."""
    content = {"comm_id": ask(page, f"print(tuner.{control}.model_id)"), "data": data}
    page.kc.shell_channel.send(page.kc.session.msg("comm_msg", content))


@pytest.mark.filterwarnings("ignore:Message serialization failed")  # NaN, as Python writes it
def test_a_slider_is_moved_without_a_browser(page):
    show = "print(tuner.knobs['target_weight'].value, tuner.session.values['target_weight'])"
    for sent, used in ((7.5, "7.5 7.5"), (400.0, "20.0 20.0"), (float("nan"), "20.0 20.0")):
        update = {"method": "update", "state": {"value": sent}, "buffer_paths": []}
        send(page, "knobs['target_weight']", update)
        assert ask(page, show) == used
    assert "target_weight is nan" in ask(page, "print(tuner.session.message)")


def test_a_double_click_on_run_starts_one_run_and_the_page_stays_alive(page):
    ask(
        page,
        "import threading; hold = threading.Event(); step = tuner.session.learner.step\n"
        "def slow(run):\n    hold.wait(60)\n    step(run)\n"
        "tuner.session.learner.step = slow",
    )
    for _ in range(2):
        send(page, "buttons['Run']", {"method": "custom", "content": {"event": "click"}})
    assert ask(page, "print(tuner.session.current.number, tuner.session.running)") == "1 True"
    show = "hold.set(); tuner.session.wait(); print(tuner.session.current.step, tuner.status.value)"
    assert ask(page, show).startswith("6 run 1, finished")


def test_the_exported_page_shows_the_picture(page):
    html, _ = HTMLExporter(sanitize_html=True).from_notebook_node(page.nb)
    assert "data:image/" in html
