"""The outputs of the reference runs in the notebooks: `python -m kp_helpers.results publish [NN ...]`.

A run's executed notebook lies beside it and is not committed. Its outputs are copied into the notebook cell by
cell, without what a page cannot show: messages on stderr, progress bars, controls that hold no picture. The
notebook's metadata name the run and hold the hash of the code that was run, so that outputs cannot go stale.
"""

import base64
import hashlib
import os
import re
import tempfile
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_output

from kp_helpers.results.found import answered
from kp_helpers.results.lighter import lighter
from kp_helpers.results.run_folder import ResultsError, project_path, write_file
from kp_helpers.results.runs import REFERENCE, Run, best_of, read_runs

FACTS = "keypoint_kit"
"""The key of a notebook's metadata that says which run its outputs are of."""
COMMAND = "python -m kp_helpers.results publish"
LIMIT = 1_000_000
"""Bytes of a notebook with its outputs."""
WIDTHS = (None, 1600, 1200, 900, 700, 560)
"""Pixels that pictures are narrowed to, one after the other, until the notebook is light enough."""
_NOT_THE_METHOD = {"setup", "injected-parameters", "papermill-error-cell-tag"}
_CONTROL = "application/vnd.jupyter.widget-view+json"
_PICTURES = {"image/png", "image/svg+xml", "text/html", "text/markdown"}


def publish(notebook: Path, results: Path) -> Run | None:
    """Write the outputs of a notebook's best reference run into it, and return the run; None without one.

    Raises ResultsError where the run's executed notebook is not there, is of other code, names a place on the
    machine, or stays heavier than `LIMIT`; the notebook is then left as it was.
    """
    runs = [run for run in read_runs(results)[0] if run.name.startswith(REFERENCE)]
    run = best_of(runs, notebook.stem)
    if run is None:
        return None
    executed = run.place / "notebook.ipynb"
    if not executed.is_file():
        raise ResultsError(f"{notebook.name}: {run.folder} lacks its notebook.ipynb, {_again(notebook)}")
    page = nbformat.read(notebook, as_version=4)
    cells, ran = code_cells(page), code_cells(nbformat.read(executed, as_version=4))
    if [cell.source for cell in cells] != [cell.source for cell in ran]:
        raise ResultsError(f"{notebook.name}: {run.folder} ran other code, {_again(notebook)}")
    for cell, twin in zip(cells, ran, strict=True):
        cell.execution_count = twin.execution_count
        cell.outputs = _found(cell, notebook.stem, results) or visible_outputs(twin.outputs)
    page.metadata[FACTS] = _facts(run, page)
    text = _light_enough(page, notebook.name)
    changed = notebook.stat()
    write_file(notebook, text)
    os.utime(notebook, ns=(changed.st_atime_ns, changed.st_mtime_ns))  # outputs make no result out of date
    return run


def stale(notebook: Path) -> str:
    """What is wrong with a notebook whose outputs are of other code, and what mends it; else empty."""
    page = nbformat.read(notebook, as_version=4)
    facts = page.metadata.get(FACTS)
    if facts is None or facts["code_sha256"] == code_hash(page):
        return ""
    return f"{notebook.name}: its code is not that of its outputs, {_again(notebook)}"


def code_cells(page: NotebookNode) -> list[NotebookNode]:
    """The cells that make the results: neither that which installs the kit nor what papermill put in."""
    cells = [cell for cell in page.cells if cell.cell_type == "code"]
    return [cell for cell in cells if not _NOT_THE_METHOD & set(cell.metadata.get("tags", ()))]


def code_hash(page: NotebookNode) -> str:
    """SHA-256 of the sources of `code_cells`."""
    sources = "\0".join(cell.source for cell in code_cells(page))
    return hashlib.sha256(sources.encode()).hexdigest()


def visible_outputs(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """What a page shows of a cell's outputs."""
    visible = []
    for output in outputs:
        if output.output_type == "stream" and output.name == "stdout":
            overwritten = re.compile(r"^.*\r(?!\n)", re.MULTILINE)
            visible.append(new_output("stream", name="stdout", text=overwritten.sub("", output.text)))
        elif output.output_type in ("display_data", "execute_result"):
            data = {kind: content for kind, content in output.data.items() if kind != _CONTROL}
            if _CONTROL not in output.data or _PICTURES & data.keys():
                visible.append(NotebookNode({**output, "data": data, "metadata": {}}))
    return visible


def _found(cell: NotebookNode, notebook: str, results: Path) -> list[NotebookNode]:
    """The output of the cell that tells the verdicts, which the run's own were not yet among as it ran."""
    if "found_here(" not in cell.source:
        return []
    text, picture = answered(notebook, results)
    outputs = [new_output("display_data", {"text/markdown": text})]
    if picture:
        png = base64.b64encode(picture.read_bytes()).decode()
        outputs.append(new_output("display_data", {"image/png": png}))
    return outputs


def _facts(run: Run, page: NotebookNode) -> dict:
    return {
        "run": f"results/{run.folder}",
        "command": str(run.config.get("command", "make reference")),
        "commit": str(run.config.get("commit", "")),
        "model_sha256": str(run.config.get("model", {}).get("sha256", "")),
        "code_sha256": code_hash(page),
    }


def _light_enough(page: NotebookNode, name: str) -> str:
    """The notebook's text, with smaller pictures where it is too heavy."""
    text = _text(page, name)
    for width in WIDTHS:
        if len(text.encode()) <= LIMIT:
            return text
        text = _text(lighter(page, width), name)
    if len(text.encode()) > LIMIT:
        size = len(text.encode()) // 1000
        raise ResultsError(f"{name}: {size} kB with its outputs, expected {LIMIT // 1000} kB at most")
    return text


def _text(page: NotebookNode, name: str) -> str:
    text = nbformat.writes(page) + "\n"
    for place in {str(project_path(".")), str(Path.home()), tempfile.gettempdir()}:
        if f"{place}/" in text:
            raise ResultsError(f"{name}: an output names the place {place} on this machine")
    return text


def _again(notebook: Path) -> str:
    return f"run `make reference` and `{COMMAND} {notebook.stem}`"
