"""Run one notebook safely: `python -m kp_helpers.reproduce NOTEBOOK OUT_DIR -p name value ...`.

OUT_DIR is the run's folder, `results/<NN_name>/<run>`. The notebook gets a hidden folder beside it as its
`results` and saves there; only when every cell was run and the run's `metrics.json` is there does the folder
move to OUT_DIR, with the executed notebook; its `config.json` then also holds the command and the
minutes that it took. Whatever fails leaves OUT_DIR as it was.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from kp_helpers.notebook.parameters import ReproduceError, checked_parameters
from kp_helpers.notebook.stop_signals import Terminated, noted_signals, stopped_by
from kp_helpers.results.provenance import add_facts, command_line
from kp_helpers.results.run_folder import (
    ResultsError,
    checked_name,
    move_into_place,
    project_path,
    write_file,
)
from kp_helpers.store import HeldError, held

PRODUCT = "metrics.json"
STATUS = {KeyboardInterrupt: 128 + signal.SIGINT, Terminated: 128 + signal.SIGTERM}
"""The exit status after a signal; that of every failure is 1."""
AGAIN = 30
"""Seconds after which a notebook that goes on is interrupted again: between cells a kernel hears nothing."""


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
    Raises ReproduceError, and HeldError while another process works on `out_dir`; it is then untouched, and
    `<out_dir>.failed.ipynb` shows how far the notebook came. SIGINT and SIGTERM interrupt the notebook, which
    may keep checkpoints of its own, and are then raised.
    """
    notebook, out_dir = Path(notebook).resolve(), Path(out_dir).absolute()
    run = checked_name(out_dir.name, "run")
    values = checked_parameters(notebook, parameters or {})
    if out_dir.exists() and not overwrite:
        raise ReproduceError(f"{out_dir} exists: choose another run, or give --overwrite")
    failed = out_dir.with_name(f"{run}.failed.ipynb")
    started = time.monotonic()
    with _staging(out_dir) as staging:
        made, executed = staging / notebook.stem / run, staging / "notebook.ipynb"
        try:
            given = {**values, "results": str(staging), "run": run}
            _execute_until_stopped(notebook, executed, given, timeout, kernel)
            _check_run(notebook, executed, made / PRODUCT)
        except (ReproduceError, KeyboardInterrupt, Terminated) as error:
            if executed.exists():
                os.replace(executed, failed)
                error.add_note(f"how far it came: {failed}")
            raise
        _keep_notebook(executed, made, str(staging), str(out_dir.parents[1]))
        minutes = round((time.monotonic() - started) / 60, 1)
        add_facts(made, command=command_line(notebook, run, parameters or {}), minutes=minutes)
        move_into_place(made, out_dir, overwrite=overwrite)
        failed.unlink(missing_ok=True)
    return out_dir / PRODUCT


@contextmanager
def _staging(out_dir: Path) -> Iterator[Path]:
    """A fresh folder beside `out_dir`, which one process works on at a time.

    What processes that were killed left there is removed. A folder that cannot be written to is told before
    the work.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(held(out_dir.with_name(f".{out_dir.name}.lock")))
            for leftover in out_dir.parent.glob(f".{out_dir.name}.staging.*"):
                shutil.rmtree(leftover, ignore_errors=True)
            staging = Path(tempfile.mkdtemp(prefix=f".{out_dir.name}.staging.", dir=out_dir.parent))
        except OSError as error:
            reason = f"cannot be written to ({error.strerror}), expected the right to write there"
            raise ReproduceError(f"{out_dir.parent}: {reason}") from None
        stack.callback(shutil.rmtree, staging, ignore_errors=True)
        yield staging


def _execute_until_stopped(notebook: Path, *given) -> None:
    """`_execute` in a thread of its own, so that this one hears SIGINT and SIGTERM and interrupts the kernel.

    papermill would kill the kernel a few seconds after a signal, in the middle of a step.
    """
    with noted_signals() as noted, ThreadPoolExecutor(1) as pool:
        work = pool.submit(_execute, notebook, *given)
        due = 0.0
        try:
            while not wait([work], timeout=0.2).done:
                if noted and time.monotonic() >= due and _signal_kernel(signal.SIGINT):
                    due = time.monotonic() + AGAIN
        except KeyboardInterrupt:  # the second one
            _signal_kernel(signal.SIGKILL)
            raise
    if (error := work.exception()) and noted:
        raise stopped_by(noted[0], f"{notebook.name}: stopped by {noted[0].name}") from error
    if error:
        raise error


def _signal_kernel(number: int) -> bool:
    """Whether there was a kernel to send the signal to."""
    import psutil  # papermill does not tell its kernel's number

    kernels = psutil.Process().children()
    for kernel in kernels:
        with suppress(psutil.NoSuchProcess):
            kernel.send_signal(number)
    return bool(kernels)


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
    """The executed notebook joins the run, and names the folder where the run will be.

    Paths inside the checkout are written from there, so that it says nothing of the machine it ran on.
    """
    text = executed.read_text(encoding="utf-8").replace(staging, final)
    text = text.replace(f"{project_path('.')}{os.sep}", "")
    write_file(made / "notebook.ipynb", text)


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
    except (ReproduceError, ResultsError, HeldError, OSError, KeyboardInterrupt, Terminated) as error:
        print(error, *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return STATUS.get(type(error), 1)
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
