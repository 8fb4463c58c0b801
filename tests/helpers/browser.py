"""JupyterLab on a free port of this machine, and a headless Chromium that reads and clicks in it."""

import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import nbformat
from nbformat.v4 import new_code_cell, new_notebook
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException, WebDriverException
from selenium.webdriver import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

PROGRAMS = ("chromium", "chromedriver")
PYTHON = {"name": "python3", "display_name": "Python 3"}
SCREENSHOTS = Path(__file__).parents[2] / "build" / "screenshots"
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"),
)
# A traceback is drawn like what a cell writes to stderr, but has colours.
_ERROR = ".jp-OutputArea [data-mime-type='application/vnd.jupyter.stderr']:has(.ansi-red-fg)"
_IDLE = ".jp-Notebook-ExecutionIndicator[data-status='idle']"
_SELECT_KERNEL = "//dialog[.//*[text()='Select Kernel']]//button[contains(@class,'jp-mod-accept')]"
_SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},
    "docmanager-extension/plugin": {"autosave": False},
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}
"""JupyterLab's own: cells that are out of sight stay on the page, no save in between asks a question, and
nothing asks the world for news.
"""


def missing() -> list[str]:
    """The programs that this needs and this machine does not have."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


@contextmanager
def chromium(width: int = 1500, height: int = 1500) -> Iterator[webdriver.Chrome]:
    """A browser without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for flag in (*_FLAGS, f"--window-size={width},{height}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


@contextmanager
def lab(folder: Path, python: Path | str = sys.executable) -> Iterator[Callable[[str], str]]:
    """JupyterLab on a folder of notebooks, with settings of its own; yields notebook -> address.

    python: what runs it and its kernels. It listens on this machine only and asks for its token. Logs go to
    `folder`/jupyter.log.
    """
    port, token = _free_port(), secrets.token_hex(24)
    command = [python, "-m", "jupyterlab", "--no-browser", "--ip=127.0.0.1", f"--port={port}"]
    command += [f"--IdentityProvider.token={token}", "--ServerApp.port_retries=0", "--allow-root"]
    with (folder / "jupyter.log").open("w") as log:
        server = subprocess.Popen(command, cwd=folder, env=_environment(folder), stdout=log, stderr=log)
        try:
            _wait_for_server(server, f"http://127.0.0.1:{port}/api", folder / "jupyter.log")
            yield lambda name: f"http://127.0.0.1:{port}/lab/tree/{name}?token={token}&reset"
        finally:
            server.terminate()  # JupyterLab ends its kernels with it
            server.wait(timeout=30)


class LabPage:
    """A notebook open in JupyterLab, connected to its kernel."""

    def __init__(self, driver: webdriver.Chrome, address: str):
        self.driver = driver
        self._address = address
        driver.get(address)
        self.wait(lambda: driver.find_elements(By.CSS_SELECTOR, ".jp-CodeCell"), 120)
        self.wait(self._kernel_ready, 120)

    def wait(self, ready: Callable, seconds: float = 60):
        """What `ready()` returns, once that is true; an AssertionError with a screenshot otherwise."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            try:
                if found := ready():
                    return found
            except StaleElementReferenceException:
                pass  # the page drew it anew in between
            time.sleep(0.1)
        seen = self.text(".jp-InputPrompt, .jp-OutputArea-output, .jp-Dialog")
        where = self.screenshot("failed")
        raise AssertionError(f"not within {seconds} s; the page is in {where}, and on it: {seen[-2000:]}")

    def run_all(self) -> None:
        """Run > Run All Cells, again where JupyterLab did not hear it; returns once a cell has begun."""
        for _ in range(6):
            self.click("//div[contains(@class,'lm-MenuBar-itemLabel')][text()='Run']")
            self.click("//div[contains(@class,'lm-Menu-itemLabel')][text()='Run All Cells']")
            with suppress(AssertionError):
                self.wait(self._cell_begun, 20)
                return
        raise AssertionError("JupyterLab ran no cell when it was asked to")

    def click(self, xpath: str) -> None:
        """Click on the middle of what an XPath finds first."""
        self.wait(lambda: self._clicked(xpath))

    def button(self, name: str) -> WebElement:
        """A button of a control by its text."""
        path = f"//button[contains(@class,'jupyter-button')][normalize-space()='{name}']"
        return self.wait(lambda: self.driver.find_elements(By.XPATH, path))[0]

    def press(self, name: str) -> None:
        """Click on a button of a control, once it can be pressed."""
        self.wait(lambda: self.button(name).is_enabled() and self._pressed(name))

    def drag(self, slider: str, pixels: int) -> None:
        """Drag the handle of a slider, found by its label, to the right."""
        self.wait(lambda: self._dragged(slider, pixels))

    def readout(self, slider: str) -> str:
        """The number beside a slider."""
        return self.wait(lambda: self._part(slider, "widget-readout").text)

    def text(self, selector: str) -> str:
        """The texts of what a CSS selector finds, one a line."""
        (texts,) = self.wait(lambda: [self._texts(selector)])  # again where an element is drawn anew
        return "\n".join(texts)

    def errors(self) -> str:
        """What cells ended with."""
        return self.text(_ERROR)

    def screenshot(self, name: str, xpath: str | None = None) -> Path:
        """The page, or one element of it, as `build/screenshots/<name>.png`."""
        SCREENSHOTS.mkdir(parents=True, exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        shown = self.driver.find_element(By.XPATH, xpath) if xpath else self.driver
        picture = shown.screenshot_as_png if xpath else shown.get_screenshot_as_png()
        path.write_bytes(picture)
        return path

    def _kernel_ready(self) -> bool:
        """Whether the server and the page agree that the notebook is connected to an idle kernel."""
        self._clicked(_SELECT_KERNEL)
        # The page alone says idle before it has a kernel, and a run then opens "Select Kernel".
        kernels = self._kernels()
        connected = any(kernel["execution_state"] == "idle" and kernel["connections"] for kernel in kernels)
        return connected and bool(self.driver.find_elements(By.CSS_SELECTOR, _IDLE))

    def _cell_begun(self) -> bool:
        self._clicked(_SELECT_KERNEL)
        return bool(re.search(r"\[(\*|\d+)\]:", self.text(".jp-InputPrompt")))

    def _kernels(self) -> list[dict]:
        """The kernels of the notebook's sessions, as the server describes them."""
        page = urlsplit(self._address)
        sessions_address = page._replace(path="/api/sessions").geturl()  # the query still holds the token
        with urllib.request.urlopen(sessions_address, timeout=60) as answer:
            sessions = json.load(answer)
        return [session["kernel"] for session in sessions if page.path == f"/lab/tree/{session['path']}"]

    def _texts(self, selector: str) -> list[str]:
        return [element.text for element in self.driver.find_elements(By.CSS_SELECTOR, selector)]

    def _clicked(self, xpath: str) -> bool:
        found = [own for own in self.driver.find_elements(By.XPATH, xpath) if own.is_displayed()]
        try:
            return bool(found) and found[0].click() is None
        except StaleElementReferenceException:
            raise
        except WebDriverException:
            return False  # something lies over it still

    def _pressed(self, name: str) -> bool:
        self._into_view(self.button(name)).click()
        return True

    def _dragged(self, slider: str, pixels: int) -> bool:
        handle = self._into_view(self._part(slider, "noUi-handle"))
        ActionChains(self.driver).drag_and_drop_by_offset(handle, pixels, 0).perform()
        return True

    def _part(self, slider: str, kind: str) -> WebElement:
        label = f"label[normalize-space()='{slider}']"
        path = f"//div[contains(@class,'widget-hslider')][{label}]//div[contains(@class,'{kind}')]"
        return self.wait(lambda: self.driver.find_elements(By.XPATH, path))[0]

    def _into_view(self, element: WebElement) -> WebElement:
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
        return element


def with_parameters(notebook: Path, copy: Path, **values) -> Path:
    """A copy of a notebook with other defaults in its parameters cell, and without outputs."""
    content = json.loads(notebook.read_text(encoding="utf-8"))
    (cell,) = (own for own in content["cells"] if "parameters" in own["metadata"].get("tags", []))
    names = [line.split(" = ")[0] for line in cell["source"]]
    unknown = values.keys() - set(names)
    assert not unknown, f"{notebook.name} has no parameters {sorted(unknown)}"
    more = [f"\n{name} = {value!r}" for name, value in values.items()]
    cell["source"] = [*cell["source"], *more]
    for own in content["cells"]:
        if own["cell_type"] == "code":
            own.update(outputs=[], execution_count=None)
    copy.write_text(json.dumps(content), encoding="utf-8")
    return copy


def with_one_cell(path: Path, source: str, **metadata) -> Path:
    """A new notebook of one code cell."""
    nbformat.write(new_notebook(cells=[new_code_cell(source)], metadata=metadata), path)
    return path


def _environment(folder: Path) -> dict[str, str]:
    """Settings, histories and runtime files of its own, so that the user's are neither read nor written."""
    own = folder / "jupyter"
    for name, content in _SETTINGS.items():
        place = own / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(content))
    places = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython"}
    places |= {"JUPYTERLAB_SETTINGS_DIR": "settings", "JUPYTERLAB_WORKSPACES_DIR": "workspaces"}
    return {
        **os.environ,
        "JUPYTER_PREFER_ENV_PATH": "1",
        **{key: str(own / name) for key, name in places.items()},
    }


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _wait_for_server(server: subprocess.Popen, address: str, log: Path, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.poll() is None:
        try:
            with urllib.request.urlopen(address, timeout=5):
                return
        except OSError:
            time.sleep(0.3)
    raise AssertionError(f"JupyterLab did not start: {log.read_text()[-2000:]}")
