"""Run one notebook safely: `python -m kp_helpers.reproduce NOTEBOOK OUT_DIR -p name value ...`.

OUT_DIR is the run's folder, `results/<NN_name>/<run>`. The notebook gets a hidden folder beside it as its
`results` and saves there; only when every cell was run and the run's `metrics.json` is there does the folder
move to OUT_DIR, with the executed notebook as a page; its `config.json` then also holds the command and the
minutes that it took. Whatever fails leaves OUT_DIR as it was.
"""

import argparse
import ast
import difflib
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from kp_helpers.results.provenance import add_facts, command_line
from kp_helpers.results.run_folder import (
    ResultsError,
    checked_name,
    move_into_place,
    project_path,
    write_file,
)

PRODUCT = "metrics.json"
_FROM_OUT_DIR = ("results", "run")


class ReproduceError(RuntimeError):
    """A notebook that cannot be run, or a run that failed; the sentence says which, where and why."""


def run_notebook(
    notebook: Path,
    out_dir: Path,
    parameters: dict[str, str] | None = None,
    *,
    overwrite: bool = False,
    timeout: int | None = None,
    kernel: str = "python3",
) -> Path:
    """Run a notebook into `out_dir` and return its product, `out_dir/metrics.json`.

    parameters: name -> text, read as the type of the notebook's default. timeout: seconds a cell may take.
    Raises ReproduceError; `out_dir` is then untouched, and `<out_dir>.failed.ipynb` shows how far it came.
    """
    notebook, out_dir = Path(notebook).resolve(), Path(out_dir).absolute()
    run = checked_name(out_dir.name, "run")
    values = _checked_parameters(notebook, parameters or {})
    if out_dir.exists() and not overwrite:
        raise ReproduceError(f"{out_dir} exists: choose another run, or give --overwrite")
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=f".{run}.", dir=out_dir.parent))
    made, failed = staging / notebook.stem / run, out_dir.with_name(f"{run}.failed.ipynb")
    started = time.monotonic()
    try:
        executed = staging / "notebook.ipynb"
        try:
            _execute(notebook, executed, {**values, "results": str(staging), "run": run}, timeout, kernel)
            _check_run(notebook, executed, made / PRODUCT)
        except ReproduceError as error:
            if executed.exists():
                os.replace(executed, failed)
                error.add_note(f"how far it came: {failed}")
            raise
        _keep_notebook(executed, made, str(staging), str(out_dir.parents[1]))
        minutes = round((time.monotonic() - started) / 60, 1)
        add_facts(made, command=command_line(notebook, run, parameters or {}), minutes=minutes)
        move_into_place(made, out_dir, overwrite=overwrite)
        failed.unlink(missing_ok=True)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return out_dir / PRODUCT


def _checked_parameters(notebook: Path, given: dict[str, str]) -> dict:
    """The given texts as values of the types that the notebook's defaults have."""
    import papermill  # slow to import, and not needed for --help

    if not notebook.is_file():
        raise ReproduceError(f"{notebook}: no such notebook")
    try:
        known = papermill.inspect_notebook(str(notebook))
    except Exception as error:  # nbformat and papermill raise many types on a damaged file
        raise ReproduceError(f"{notebook.name}: cannot be read as a notebook ({error})") from None
    for name in _FROM_OUT_DIR:
        if name not in known:
            raise ReproduceError(
                f"{notebook.name}: its parameters cell has no {name!r}, found {sorted(known)}"
            )
        if name in given:
            raise ReproduceError(f"parameter {name!r} follows from OUT_DIR and cannot be given beside it")
    return {name: _value(name, text, known) for name, text in given.items()}


def _value(name: str, text: str, known: dict):
    if not name.isidentifier():
        raise ReproduceError(f"parameter name {name!r} is no identifier")
    if name not in known:
        near = difflib.get_close_matches(name, known, 1, 0)
        raise ReproduceError(f"parameter {name!r} is unknown, did you mean {near[0]!r}?")
    try:
        default = ast.literal_eval(known[name]["default"])
    except (ValueError, SyntaxError):
        raise ReproduceError(
            f"parameter {name!r}: its default {known[name]['default']} is no plain value"
        ) from None
    if isinstance(default, str):
        return text
    try:
        return _parsed(text, type(default))
    except (ValueError, SyntaxError):
        wanted = type(default).__name__
        raise ReproduceError(
            f"parameter {name!r} is {text!r}, expected {wanted} as its default {default!r}"
        ) from None


def _parsed(text: str, kind: type):
    """Text as a bool, int or float, or as a literal of the given type; ValueError for anything else."""
    if kind in (int, float):
        return kind(text)
    value = ast.literal_eval(text.capitalize() if kind is bool else text)
    if not isinstance(value, kind):
        raise ValueError(text)
    return value


def _execute(notebook: Path, executed: Path, values: dict, timeout: int | None, kernel: str) -> None:
    """papermill on the kernel of this very environment, in the notebook's folder as JupyterLab does it."""
    os.environ["JUPYTER_PREFER_ENV_PATH"] = "1"
    import papermill
    from jupyter_client.kernelspec import NoSuchKernel

    try:
        papermill.execute_notebook(
            str(notebook),
            str(executed),
            parameters=values,
            kernel_name=kernel,
            cwd=str(notebook.parent),
            execution_timeout=timeout,
            progress_bar=sys.stderr.isatty(),
            extra_arguments=["--IPKernelApp.log_level=40"],  # errors only: it warns of every local port
        )
    except NoSuchKernel:
        command = f"{sys.executable} -m ipykernel install --sys-prefix --name {kernel}"
        raise ReproduceError(f"kernel {kernel!r} is not installed: {command}") from None
    except papermill.PapermillExecutionError as error:
        raise ReproduceError(f"{notebook.name}: FAILED, {error.ename}: {error.evalue}") from error
    except Exception as error:  # a dead kernel and a time-out have types of their own
        reason = (str(error).splitlines() or ["no reason given"])[0]
        raise ReproduceError(f"{notebook.name}: FAILED, {type(error).__name__}: {reason}") from error


def _check_run(notebook: Path, executed: Path, product: Path) -> None:
    """papermill's own word is not enough: every cell must have been run, and the product must be there."""
    import nbformat

    cells = [cell for cell in nbformat.read(executed, as_version=4).cells if not _is_injected(cell)]
    for number, cell in enumerate(cells, 1):
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        if cell.execution_count is None:
            raise ReproduceError(f"{notebook.name}: FAILED, cell {number} of {len(cells)} was not run")
        for output in cell.outputs:
            if output.output_type == "error":
                raise ReproduceError(f"{notebook.name}: FAILED, cell {number} ended with {output.ename}")
    if not product.is_file():
        raise ReproduceError(f"{notebook.name}: FAILED, it ran to its end but saved no {product.name}")


def _is_injected(cell) -> bool:
    """Whether papermill put the cell in, so that the others keep the numbers that a reader counts."""
    return bool({"injected-parameters", "papermill-error-cell-tag"} & set(cell.metadata.get("tags", ())))


def _keep_notebook(executed: Path, made: Path, staging: str, final: str) -> None:
    """The executed notebook and its page join the run, and name the folder where the run will be.

    Paths inside the checkout are written from there, so that a page says nothing of the machine it ran on.
    """
    from kp_helpers.results.notebook_page import notebook_page

    text = executed.read_text(encoding="utf-8").replace(staging, final)
    text = text.replace(f"{project_path('.')}{os.sep}", "")
    write_file(made / "notebook.ipynb", text)
    write_file(made / "notebook.html", notebook_page(text))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m kp_helpers.reproduce",
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("notebook", type=Path)
    parser.add_argument(
        "out_dir", type=Path, metavar="OUT_DIR", help="the run's folder: results/<NN_name>/<run>"
    )
    parser.add_argument(
        "-p", nargs=2, action="append", default=[], metavar=("NAME", "VALUE"), dest="parameters"
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the run if it exists, as the last act"
    )
    parser.add_argument("--timeout", type=int, help="seconds that one cell may take (default: any)")
    options = parser.parse_args(arguments)
    try:
        given = _once(options.parameters)
        product = run_notebook(
            options.notebook, options.out_dir, given, overwrite=options.overwrite, timeout=options.timeout
        )
    except (ReproduceError, ResultsError, OSError) as error:
        print(error, *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1
    print(f"{options.notebook.name}: wrote {product.parent}")
    return 0


def _once(pairs: list[list[str]]) -> dict[str, str]:
    """Pairs as a mapping; a name that comes twice is refused."""
    given: dict[str, str] = {}
    for name, value in pairs:
        if name in given:
            raise ReproduceError(f"parameter {name!r} is given twice: {given[name]!r} and {value!r}")
        given[name] = value
    return given


if __name__ == "__main__":
    sys.exit(main())
