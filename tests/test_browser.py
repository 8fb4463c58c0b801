"""The notebooks' controls in a real JupyterLab, read and clicked by a real browser."""

import json
import re
from pathlib import Path

import pytest

browser = pytest.importorskip("helpers.browser", reason="selenium is not installed")

ROOT = Path(__file__).parents[1]
BASE = ROOT / "results" / "02_stable_keypoints" / "reference" / "embedding.safetensors"
TUNER = "//div[contains(@class,'jp-OutputArea-child')][.//button[normalize-space()='Save config']]"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(browser.missing()), reason=f"not installed: {', '.join(browser.missing())}"),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """A small figures world."""
    from kp_helpers.figures.export import export

    root = tmp_path_factory.mktemp("world") / "figures"
    export(root, sequences=12, frames=2)
    return root


@pytest.fixture(scope="module")
def driver():
    with browser.chromium() as made:
        yield made


def steps_told(page) -> int:
    """How many steps of run 1 the tuner says are done."""
    told = re.search(r"run 1, \w+: step (\d+) of", page.text(".widget-html-content"))
    return int(told[1]) if told else 0


def picture(page) -> str:
    return page.driver.find_element("css selector", "img.widget-image").get_attribute("src")


def test_the_tuner_in_notebook_03(driver, world, tmp_path, warm_python):
    # In coupled mode 500 steps last until a busy browser has pressed "Pause".
    given = {"data": str(world), "base": str(BASE), "profile": "smoke", "mode": "coupled", "steps": 5}
    given |= {"results": str(tmp_path / "results"), "tuned": str(tmp_path / "tuner")}
    name = "03_appended_embedding.ipynb"
    browser.with_parameters(ROOT / "notebooks" / name, tmp_path / name, **given)
    with browser.lab(tmp_path, warm_python) as address:
        page = browser.LabPage(driver, address(name))
        page.run_all()
        page.wait(lambda: page.driver.find_elements("xpath", TUNER) or page.errors(), 240)
        assert not page.errors()
        assert "run 0, finished: step 5 of 5" in page.text(".widget-html-content")
        before = page.readout("target weight")
        page.drag("target weight", 40)
        page.drag("steps", 120)
        assert float(page.readout("target weight")) > float(before)
        page.press("Run")
        page.wait(lambda: steps_told(page) > 8, 120)
        steps, seen = steps_told(page), picture(page)
        page.wait(lambda: steps_told(page) > steps + 5 and picture(page) != seen, 60)
        page.screenshot("tuner_running", TUNER)
        page.press("Pause")
        page.wait(lambda: "run 1, paused" in page.text(".widget-html-content"))
        page.press("Save config")
        told = page.wait(lambda: re.search(r"saved: (\S+\.json)", page.text(".widget-html-content")))
        config = json.loads(Path(told[1]).read_text())
        assert config["settings"]["appended"]["target_weight"] > 5 and config["step"] > 8
        page.press("Save embedding")
        told = page.wait(lambda: re.search(r"saved: (\S+\.safetensors)", page.text(".widget-html-content")))
        assert Path(told[1]).is_file()
        page.screenshot("tuner_history", TUNER)
