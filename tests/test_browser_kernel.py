"""A cell runs also where JupyterLab connects to a kernel late, or asks which one to take; errors are seen."""

import pytest

browser = pytest.importorskip("helpers.browser", reason="selenium is not installed")

CELL = """import sys
print(40 + 2, file=sys.stderr)
1 / 0"""
SLOW_SERVER = """
const fetchNow = window.fetch;
window.fetch = async (resource, options) => {
    if (/api.sessions/.test(resource.url ?? resource)) await new Promise(done => setTimeout(done, 2000));
    return fetchNow(resource, options);
};
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(browser.missing()), reason=f"not installed: {', '.join(browser.missing())}"),
]


@pytest.mark.parametrize(
    "script, metadata", [(SLOW_SERVER, {"kernelspec": browser.PYTHON}), ("", {})], ids=["late", "asked"]
)
def test_a_cell_runs_once_there_is_a_kernel(script, metadata, tmp_path):
    notebook = browser.with_one_cell(tmp_path / "one_cell.ipynb", CELL, **metadata)
    with browser.lab(tmp_path) as address_of, browser.chromium() as driver:
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
        page = browser.LabPage(driver, address_of(notebook.name))
        page.run_all()
        page.wait(lambda: page.errors().endswith("ZeroDivisionError: division by zero"))
        page.wait(lambda: page.text(".jp-InputPrompt, .jp-OutputArea-output") == f"[1]:\n42\n{page.errors()}")
