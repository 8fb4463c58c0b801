"""The tuner's page: its controls through the comm protocol, its pictures, and names that are only text."""

import io
import re
import textwrap
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch
from helpers import tiny_tuner
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from PIL import Image

from kp_helpers import config, widgets
from kp_helpers.stages import StepRecord
from kp_helpers.widgets import TunedRun, tuner_pictures, tuner_texts
from kp_helpers.widgets.watching import Sight

MARKUP = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def tuner(tiny_sd_folder, tiny_threedpw, tmp_path_factory):
    parts = tiny_tuner.parts(tiny_sd_folder, tiny_threedpw)
    made = widgets.LossWeightTuner(*parts, folder=tmp_path_factory.mktemp("tuner"), map_size=16)
    made.session.start()
    made.session.wait()
    return made


def sight(maps: torch.Tensor, points: list) -> Sight:
    return Sight(maps, torch.tensor(points))


def pixels(jpeg: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB")).astype(int)


def run_of(losses: int, number: int = 1, **settings) -> TunedRun:
    stage = config.AppendedStage(**settings)
    parts = {"localization": 0.1, "equivariance": 0.2, "target": 0.3}
    records = [StepRecord(step, 1.0 / (step + 1), parts) for step in range(losses)]
    state = {"step": losses, "tokens": None, "optimizer": {}, "records": records, "settings": ""}
    return TunedRun(number, stage, config.TestTime(), state, [(1, 0, 2), (losses, 1, 2)])


def test_the_controls_show_what_the_session_uses(tuner):
    slider = tuner.knobs["target_weight"]
    slider.value = float("nan")
    assert slider.value == 5.0 and "target weight is nan, expected 0 to 20" in tuner.status.value
    slider.value = 1000
    assert slider.value == 20.0 == tuner.session.values["target_weight"]
    slider.value = 5.0


def test_buttons_can_be_pressed_when_they_have_a_meaning(tuner):
    disabled = {name for name, button in tuner.buttons.items() if button.disabled}
    assert disabled == {"Pause"}
    assert tuner.progress.value == tuner.progress.max == 6
    assert "run 1, finished: step 6 of 6" in tuner.status.value and "of 2 hit" in tuner.caption.value


def test_the_history_can_be_compared_restored_and_deleted(tuner):
    tuner.knobs["sigma"].value = 0.1
    tuner.buttons["Run"].click()
    tuner.session.wait()
    assert [number for _, number in tuner.runs.options] == [1, 2]
    assert "<b>gaussian 0.05</b>" in tuner.table.value, "what differs from the run that is shown"
    tuner.runs.value = (1,)
    assert tuner.losses.value.count("<polyline") == 2 * 5, "run 1 stands behind run 2 in every chart"
    tuner.buttons["Restore"].click()
    tuner.session.wait()
    assert tuner.knobs["sigma"].value == 0.05
    tuner.runs.value = (2,)
    tuner.buttons["Delete"].click()
    tuner.session.wait()
    assert [number for _, number in tuner.runs.options] == [1]


def test_saving_names_the_file_or_says_why_not(tuner):
    tuner.buttons["Save embedding"].click()
    path = Path(re.search(r"saved: (\S+)</i>", tuner.status.value)[1])
    assert path.suffix == ".safetensors" and path.is_file()
    tuner.buttons["Reset"].click()
    tuner.session.wait()
    tuner.buttons["Save embedding"].click()
    assert "no embedding to save yet" in tuner.status.value
    tuner.session.restore(1)
    tuner.session.wait()


def test_the_command_can_be_copied(tuner):
    tuner.buttons["As papermill command"].click()
    assert tuner.command.value.startswith("papermill notebooks/03") and not tuner.command.layout.display


def test_without_a_kernel_there_is_a_picture(tuner):
    bundle = tuner._repr_mimebundle_()
    assert {"application/vnd.jupyter.widget-view+json", "image/png"} <= bundle.keys()
    picture = Image.open(io.BytesIO(bundle["image/png"]))
    assert picture.width > 600 and np.asarray(picture.convert("L")).std() > 20


def test_a_map_is_brightest_where_it_is_largest_and_the_marks_are_where_they_belong():
    maps = torch.zeros(2, 8, 8)
    maps[0, 2, 5] = maps[1, 6, 1] = 1.0
    ground = tuner_pictures.grounds(torch.full((2, 3, 16, 16), 0.5))
    seen = sight(maps, [[0.2, 0.9], [0.2, 0.9]])
    jpeg = tuner_pictures.heat_sheet(ground, seen, torch.full((2, 2), 0.4), 0.1, [False, True])
    side, gap = tuner_pictures.SIDE, tuner_pictures.GAP
    both = pixels(jpeg)
    assert both.shape == (side, 2 * side + gap, 3)
    first, second = both[:, :side], both[:, side + gap :]
    brightness = first[: side // 3].sum(axis=2)
    row, column = np.unravel_index(brightness.argmax(), brightness.shape)
    assert abs(row / side - 2.5 / 8) < 0.06 and abs(column / side - 5.5 / 8) < 0.06
    ring = first[round(0.4 * side), round((0.4 + 0.1) * side) - 1]
    assert ring[1] > 150 and ring[1] > ring[0] + 80, "green at a distance of sigma from the target"
    cross = first[round(0.9 * side), round(0.2 * side)]
    assert cross[2] > cross[0] + 60, "blue where the map's point is"
    assert second[1, side // 2, 1] > first[1, side // 2, 1] + 60, "a hit is framed"


def test_a_target_that_is_not_known_is_not_drawn():
    ground = tuner_pictures.grounds(torch.full((1, 3, 16, 16), 0.5))
    seen = sight(torch.rand(1, 8, 8), [[0.5, 0.5]])
    none = torch.full((1, 2), float("nan"))
    green = pixels(tuner_pictures.heat_sheet(ground, seen, none, 0.1))
    assert not ((green[..., 1] > 180) & (green[..., 0] < 90)).any()


def test_curves_go_through_the_losses():
    svg = ElementTree.fromstring(tuner_pictures.curves(run_of(4), [run_of(2)]))
    lines = [line.get("points").split() for line in svg.iter("polyline")]
    assert [len(line) for line in lines[:2]] == [2, 4], "the run of comparison first, behind"
    heights = [float(point.split(",")[1]) for point in lines[1]]
    bottom, top = heights[0] + (heights[-1] - heights[0]) / 0.75, heights[0]
    found = [(bottom - height) / (bottom - top) for height in heights]
    assert found == pytest.approx([1, 1 / 2, 1 / 3, 1 / 4], abs=0.01)
    assert ElementTree.fromstring(tuner_pictures.curves(run_of(0, 0))) is not None


def test_names_are_text(tuner, monkeypatch):
    monkeypatch.setattr(tuner.session, "message", MARKUP)
    tuner._show()
    assert MARKUP not in tuner.status.value and "&lt;img" in tuner.status.value
    odd = run_of(2)
    object.__setattr__(odd.settings, "target", MARKUP)
    assert MARKUP not in tuner_texts.history_table([odd], odd, tuner.session.learner)
    monkeypatch.setattr(tuner, "joint", MARKUP)
    title = tuner._laid_out().children[0].children[0].children[0]
    assert "&lt;img" in title.value and MARKUP not in title.value


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
    notebook = nbformat.v4.new_notebook(cells=cells)
    client = NotebookClient(notebook, kernel_name="python3", timeout=120)
    with client.setup_kernel():
        client.execute_cell(notebook.cells[0], 0)
        yield client


def ask(page, source: str) -> str:
    cell = page.nb.cells[1]
    cell.source = textwrap.dedent(source)
    page.execute_cell(cell, 1)
    return "".join(out.text for out in cell.outputs if out.output_type == "stream")


def send(page, model: str, state: dict) -> None:
    """What the page's script sends when a reader moves a control."""
    content = {"comm_id": model, "data": {"method": "update", "state": state, "buffer_paths": []}}
    page.kc.shell_channel.send(page.kc.session.msg("comm_msg", content))


def press(page, model: str) -> None:
    content = {"comm_id": model, "data": {"method": "custom", "content": {"event": "click"}}}
    page.kc.shell_channel.send(page.kc.session.msg("comm_msg", content))


def model_of(page, control: str) -> str:
    return ask(page, f"print(tuner.{control}.model_id)").strip()


@pytest.mark.filterwarnings("ignore:Message serialization failed")  # NaN, as Python writes it
def test_a_slider_is_moved_without_a_browser(page):
    slider = model_of(page, "knobs['target_weight']")
    show = "own, name = tuner.session, 'target_weight'; "
    show += "print(tuner.knobs[name].value, own.values[name], own.message)"
    send(page, slider, {"value": 7.5})
    assert ask(page, show).split() == ["7.5", "7.5"]
    send(page, slider, {"value": 400.0})
    assert ask(page, show).split() == ["20.0", "20.0"]
    send(page, slider, {"value": float("nan")})
    assert ask(page, show).strip() == "20.0 20.0 target weight is nan, expected 0 to 20; it stays 20"


def test_a_double_click_on_run_starts_one_run_and_the_page_stays_alive(page):
    run = model_of(page, "buttons['Run']")
    ask(
        page,
        "import threading; hold = threading.Event(); step = tuner.session.learner.step\n"
        "def slow(run):\n    hold.wait(60)\n    step(run)\n"
        "tuner.session.learner.step = slow",
    )
    press(page, run)
    press(page, run)
    assert ask(page, "print(list(tuner.session.history), tuner.session.running)").split() == ["[1]", "True"]
    told = ask(
        page, "hold.set(); tuner.session.wait(); print(tuner.session.current.step, tuner.progress.value)"
    )
    assert told.split() == ["6", "6"]


def test_the_exported_page_shows_the_picture(page):
    html, _ = HTMLExporter(sanitize_html=True).from_notebook_node(page.nb)
    assert "data:image/" in html
