"""The labeler and the explorer in JupyterLab itself, driven by a headless Chromium; what it saw is in
`build/screenshots`.
"""

import json
import time

import numpy as np
import pytest
from PIL import Image

from kp_helpers.figures.held_out import held_out
from kp_helpers.figures.skeleton import INDEX

browser = pytest.importorskip("helpers.browser", reason="selenium is not installed")
ActionChains, By, Keys = browser.ActionChains, browser.By, pytest.importorskip("selenium.webdriver").Keys

LABELER = """from kp_helpers.widgets import KeypointLabeler
KeypointLabeler("pictures", ["head", "left_foot"], "labels.json")"""
EXPLORER = """import torch
from kp_helpers import diffusion
from kp_helpers.figures.held_out import held_out
from kp_helpers.widgets import AttentionExplorer
shown = held_out(2)
image = torch.tensor(shown.images[1]).permute(2, 0, 1).float() / 255
AttentionExplorer(diffusion.load("figures"), image, shown.texts[1])"""
MARKUP = "<img src=x onerror=document.title='broken'>.png"
SIDE = 512
OUTPUT = "//div[contains(@class,'jp-OutputArea-child')]"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(browser.missing()), reason=f"not installed: {', '.join(browser.missing())}"),
]


@pytest.fixture
def opened(tmp_path, warm_python):
    """A function: the source of a cell -> the page of a notebook of that cell, all of it run."""
    with browser.lab(tmp_path, warm_python) as address_of, browser.chromium(1300, 1000) as driver:

        def run(source: str) -> browser.LabPage:
            notebook = browser.with_one_cell(tmp_path / "one_cell.ipynb", source, kernelspec=browser.PYTHON)
            page = browser.LabPage(driver, address_of(notebook.name))
            page.run_all()
            return page

        yield run


def seen(page: browser.LabPage, selector: str) -> list:
    """Elements of the cell's output, once there are any."""
    return page.wait(lambda: page.driver.find_elements(By.CSS_SELECTOR, f".jp-OutputArea {selector}"), 120)


def test_two_pictures_labelled_by_clicking(opened, tmp_path):
    """Clicks on the true joints of two figures end in the file, within the mouse's whole pixels."""
    (tmp_path / "pictures").mkdir()
    shown, names = held_out(3).pictures[::2], (MARKUP, "second.png")
    for name, own in zip(names, shown, strict=True):
        Image.fromarray(own.image).resize((SIDE, SIDE)).save(tmp_path / "pictures" / name)
    (tmp_path / "pictures" / "third.jpg").write_text("<html>")
    page, file = opened(LABELER), tmp_path / "labels.json"
    canvas = seen(page, "canvas")[-1]
    page.wait(lambda: all(canvas.size.values()))  # it is on the page before it has a size
    width, height = canvas.size["width"], canvas.size["height"]
    true = [SIDE / 128 * own.people[0].pixels[[INDEX["head"], INDEX["left_foot"]]] for own in shown]

    def decided(count: int) -> list[list[float]]:
        """The file's keypoints, once it has `count` decided ones."""

        def found():
            written = json.loads(file.read_text())["annotations"] if file.exists() else []
            rows = [own["keypoints"] for own in written]
            return rows if sum(code > 0 for row in rows for code in row[2::3]) == count else None

        return page.wait(found)

    def click(point) -> None:
        """On a point of the picture, which fills the lower 93 % of the canvas."""
        x, y = (point[0] / SIDE - 0.5) * width, (0.07 + 0.93 * point[1] / SIDE - 0.5) * height
        ActionChains(page.driver).move_to_element_with_offset(canvas, round(x), round(y)).click().perform()

    def key(name: str) -> None:
        ActionChains(page.driver).send_keys(name).perform()

    click(true[0][0])
    decided(1)
    click(true[0][1])
    decided(2)
    key("n")
    page.wait(lambda: "second.png" in page.text(".jp-OutputArea .widget-html"))
    click(true[1][0])
    decided(3)
    key("h")
    page.wait(lambda: "hidden" in page.text(".jp-OutputArea button.mod-active"))
    click(true[1][1])
    rows = np.array(decided(4)).reshape(2, 2, 3)
    assert rows[..., 2].tolist() == [[2, 2], [2, 1]]
    assert np.abs(rows[..., :2] - np.stack(true)).max() < 2
    assert {entry["file_name"] for entry in json.loads(file.read_text())["images"]} == set(names)
    assert "third.jpg: 6 bytes that are no image" in page.text(".jp-OutputArea .widget-html")
    assert "broken" not in page.driver.title and not page.errors()
    time.sleep(1)  # for the picture to be drawn
    page.screenshot("labeler", OUTPUT)


def test_the_maps_follow_a_caption_and_a_slider(opened):
    page = opened(EXPLORER)

    def pictures() -> list[str]:
        return [own.get_attribute("src") for own in seen(page, "img.widget-image")]

    def caption(text: str) -> None:
        field = seen(page, "input[type='text']")[0]
        field.clear()
        field.send_keys(text, Keys.ENTER)

    before = page.wait(pictures)
    caption("a dog and <b>a red ball</b>")
    page.wait(lambda: "5 b\n" in page.text(".jp-OutputArea .widget-select-multiple"))
    page.wait(lambda: pictures() != before)
    caption("a dog beside a red ball")
    page.wait(lambda: "6 ball" in page.text(".jp-OutputArea .widget-select-multiple"))
    before = page.wait(pictures)
    page.drag("noise level", -20)
    page.wait(lambda: pictures() != before)
    assert int(page.readout("noise level")) < 300
    words = {own.text: own for own in seen(page, ".widget-select-multiple option")}
    before = pictures()
    with_control = ActionChains(page.driver).key_down(Keys.CONTROL)
    with_control.click(words["2 dog"]).click(words["5 red"]).key_up(Keys.CONTROL).perform()
    page.wait(lambda: pictures() != before)
    time.sleep(3)  # for the last picture of several
    page.screenshot("explorer", OUTPUT)
    assert not page.errors()
