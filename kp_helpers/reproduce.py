"""Run one notebook safely: `python -m kp_helpers.reproduce NOTEBOOK OUT_DIR -p name value ...`.

OUT_DIR is the run's folder, `results/<NN_name>/<run>`. The notebook gets a hidden folder beside it as its
`results` and saves there; only when every cell was run and the run's `metrics.json` is there does the folder
move to OUT_DIR, with the executed notebook; its `config.json` then also holds the command, the
commit, and the minutes and the memory that it took. Whatever fails leaves OUT_DIR as it was.
"""

import argparse
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from kp_helpers.notebook.parameters import ReproduceError, checked_parameters
from kp_helpers.results.provenance import add_facts, command_line, commit
from kp_helpers.results.run_folder import (
    ResultsError,
    checked_name,
    move_into_place,
    project_path,
    write_file,
)
from kp_helpers.store import HeldError, held

PRODUCT = "metrics.json"
PATIENCE = 10
"""Seconds that a kernel has to end its cell after Ctrl-C or SIGTERM, before it is killed."""


class Terminated(BaseException):
    """SIGTERM came."""


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
    `<out_dir>.failed.ipynb` shows how far the notebook came. Ctrl-C interrupts the notebook, which may keep
    checkpoints of its own, and is then raised.
    """
    notebook, out_dir = Path(notebook).resolve(), Path(out_dir).absolute()
    run = checked_name(out_dir.name, "run")
    values = checked_parameters(notebook, parameters or {})
    if out_dir.exists() and not overwrite:
        raise ReproduceError(f"{out_dir} exists: choose another run, or give --overwrite")
    failed = out_dir.with_name(f"{run}.failed.ipynb")
    started = time.monotonic()
    facts = {"command": command_line(notebook, run, parameters or {}), "commit": commit()}
    with _staging(out_dir) as staging:
        made, executed = staging / notebook.stem / run, staging / "notebook.ipynb"
        try:
            values |= {"results": str(staging), "run": run}
            _execute_until_stopped(notebook, executed, values, timeout, kernel)
            _check_run(notebook, executed, made / PRODUCT)
        except (ReproduceError, KeyboardInterrupt, Terminated) as error:
            if executed.exists():
                os.replace(executed, failed)
                error.add_note(f"how far it came: {failed}")
            raise
        _keep_notebook(executed, made, str(staging), str(out_dir.parents[1]))
        minutes = round((time.monotonic() - started) / 60, 1)
        add_facts(made, **facts, minutes=minutes, memory_gb=_memory())
        move_into_place(made, out_dir, overwrite=overwrite)
        failed.unlink(missing_ok=True)
    return out_dir / PRODUCT


@contextmanager
def _staging(out_dir: Path) -> Iterator[Path]:
    """A fresh folder beside `out_dir`, on which one process works at a time.

    What processes that were killed left there is removed. A folder that cannot be written to is reported
    before the work.
    """
    prefix = f".{out_dir.name}.staging."
    with ExitStack() as stack:
        try:
            stack.enter_context(held(out_dir.with_name(f".{out_dir.name}.lock")))
            for leftover in out_dir.parent.glob(f"{prefix}*"):
                shutil.rmtree(leftover, ignore_errors=True)
            staging = TemporaryDirectory(prefix=prefix, dir=out_dir.parent, ignore_cleanup_errors=True)
            folder = stack.enter_context(staging)
        except OSError as error:
            reason = f"cannot be written to ({error.strerror}), expected the right to write there"
            raise ReproduceError(f"{out_dir.parent}: {reason}") from None
        yield Path(folder)


def _execute_until_stopped(*arguments) -> None:
    """`_execute` in a thread of its own, so that Ctrl-C and SIGTERM end this one's wait; papermill would not
    say that it was stopped.
    """
    with ThreadPoolExecutor(1) as pool:
        work = pool.submit(_execute, *arguments)
        try:
            work.result()
        except (KeyboardInterrupt, Terminated):
            _signal_kernel(signal.SIGINT)
            wait([work], PATIENCE)
            raise
        finally:
            while not wait([work], timeout=0.2).done:
                _signal_kernel(signal.SIGKILL)


def _signal_kernel(number: int) -> None:
    for kernel in psutil.Process().children():  # papermill does not tell its kernel's number
        with suppress(psutil.NoSuchProcess):
            kernel.send_signal(number)


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


def _memory() -> float:
    """GB that the kernel held at most: the largest process that this one has started and seen end."""
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return round(most * (1 if sys.platform == "darwin" else 1024) / 1e9, 1)


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
    notebook = options.notebook
    try:
        parameters = _once(options.parameters)
        run_notebook(
            notebook, options.out_dir, parameters, overwrite=options.overwrite, timeout=options.timeout
        )
    except (ReproduceError, ResultsError, HeldError, OSError) as error:
        return _failed(error, str(error), 1)
    except KeyboardInterrupt as error:
        return _failed(error, f"{notebook.name}: stopped by SIGINT", 128 + signal.SIGINT)
    except Terminated as error:
        return _failed(error, f"{notebook.name}: stopped by SIGTERM", 128 + signal.SIGTERM)
    print(f"{notebook.name}: wrote {options.out_dir}")
    return 0


def _failed(error: BaseException, sentence: str, status: int) -> int:
    """Print a sentence with the error's notes, and return the exit status."""
    print(sentence, *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
    return status


def _terminate(number: int, frame) -> None:
    raise Terminated


def _once(pairs: list[list[str]]) -> dict[str, str]:
    """Pairs as a mapping; a name that comes twice is refused."""
    texts: dict[str, str] = {}
    for name, text in pairs:
        if name in texts:
            raise ReproduceError(f"parameter {name!r} is given twice: {texts[name]!r} and {text!r}")
        texts[name] = text
    return texts


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminate)
    sys.exit(main())
