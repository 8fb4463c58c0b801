"""A run's folder, `results/<NN_name>/<run>/`: written aside, moved into place when it is whole."""

import gzip
import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from kp_helpers.metrics import Metric
from kp_helpers.results.lighter import drawn
from kp_helpers.store import replace_file

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_PREDICTION_COLUMNS = ("run", "method", "image", "keypoint", "visible", "x", "y", "true_x", "true_y", "error")
_WIDTH = 900
"""Pixels of a figure in a row at most: what is committed is small, and no page shows more."""
_CHECKOUT = Path(__file__).resolve().parents[2]


class ResultsError(ValueError):
    """A result that cannot be written or read; the sentence names the file or field."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """One row of `predictions.csv.gz`: (x, y) in pixels of the frame, `true` None where unknown."""

    image: str
    keypoint: str
    visible: bool
    predicted: tuple[float, float]
    true: tuple[float, float] | None = None
    method: str = ""
    run: int = 0


class RunFolder:
    """The folder of one run, to be used as a context manager.

    Files go to a hidden folder beside the final one, which appears whole at the end, or not at all after an
    exception. A run that exists is refused unless `overwrite` is true; then it is replaced as the last act.
    """

    def __init__(self, root: str | Path, notebook: str, run: str, *, overwrite: bool = False):
        run = str(run)  # papermill takes a run called 20261126 for a number
        parent = Path(root) / checked_name(notebook, "notebook")
        self.path = parent / checked_name(run, "run")
        self.overwrite = overwrite
        if self.path.exists() and not overwrite:
            raise ResultsError(f"{self.path} exists: choose another run, or ask for overwriting")
        parent.mkdir(parents=True, exist_ok=True)
        self.partial: Path | None = Path(tempfile.mkdtemp(prefix=f".{run}.", dir=parent))
        self.partial.chmod(0o755)

    def __enter__(self) -> "RunFolder":
        return self

    def __exit__(self, kind, error, trace) -> None:
        if kind is None:
            move_into_place(self.partial, self.path, overwrite=self.overwrite)
            self.partial = None
        else:
            self.discard()

    def discard(self) -> None:
        """Remove what was written; the run does not come to exist."""
        shutil.rmtree(self.partial, ignore_errors=True)
        self.partial = None

    def file(self, name: str) -> Path:
        """Path of a file to be written, such as `embedding.safetensors` or `figures/losses.png`."""
        if self.partial is None:
            raise ResultsError(f"{self.path.name} is closed: {name} came too late")
        for part in Path(name).parts:
            checked_name(part, "file")
        path = self.partial / name
        path.parent.mkdir(mode=0o755, exist_ok=True)
        return path

    def config(self, settings: Mapping, **facts) -> None:
        """`config.json`: the settings of the run and the facts round it, see `provenance.run_facts`."""
        write_json(self.file("config.json"), {"settings": dict(settings), **facts})

    def metrics(self, rows: Iterable[Metric]) -> None:
        """`metrics.json`: a list of rows; a number that is not finite is refused, None says "no cases"."""
        write_json(self.file("metrics.json"), [row.row() for row in rows])

    def predictions(self, rows: Iterable[Prediction]) -> None:
        """`predictions.csv.gz`: one row a prediction; error in pixels, empty where the truth is unknown.

        Packed, since it is most of what a run writes; equal rows are equal files.
        """
        cells = [_prediction_row(row) for row in rows]
        text = _csv(pd.DataFrame(cells, columns=_PREDICTION_COLUMNS))
        packed = gzip.compress(text.encode(), mtime=0)
        replace_file(self.file("predictions.csv.gz"), lambda partial: partial.write_bytes(packed))

    def table(self, name: str, rows: pd.DataFrame) -> None:
        """`<name>.csv` of a pandas table, without its index."""
        write_file(self.file(f"{name}.csv"), _csv(rows))

    def figure(self, name: str, figure) -> None:
        """`figures/<name>.png` of a matplotlib figure, `drawn`; equal pictures are equal files."""
        png = drawn(figure, _WIDTH, dpi=120, bbox_inches="tight", facecolor="white")
        replace_file(self.file(f"figures/{name}.png"), lambda partial: partial.write_bytes(png))


def _csv(rows: pd.DataFrame) -> str:
    return rows.to_csv(index=False, lineterminator="\n")


def project_path(path: str | Path) -> Path:
    """A path as notebooks take it: a relative one starts at the checkout, whatever the working directory."""
    return _CHECKOUT / Path(path).expanduser()


def checked_name(name: str, field: str) -> str:
    """The name of one folder or file, refused where it could lead elsewhere."""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise ResultsError(f"{field} is {name!r}, expected letters, digits, '.', '_' and '-'")
    return name


def write_file(path: Path, content: str) -> None:
    """Write text as UTF-8, whole or not at all."""
    replace_file(path, lambda partial: partial.write_bytes(content.encode()))


def write_json(path: Path, content) -> None:
    """JSON with sorted keys and no NaN, so that equal content is an equal file."""
    try:
        text = json.dumps(content, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False)
    except (TypeError, ValueError) as error:
        raise ResultsError(f"{path.name}: {error}; expected plain finite values") from None
    write_file(path, text + "\n")


def move_into_place(partial: Path, target: Path, *, overwrite: bool) -> None:
    """Rename a finished folder to its final name; an existing one is replaced only if `overwrite` is true."""
    if not target.exists():
        os.rename(partial, target)
    elif not overwrite:
        raise ResultsError(f"{target} exists: choose another run, or ask for overwriting")
    else:
        old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
        os.rename(target, old / "run")
        os.rename(partial, target)
        shutil.rmtree(old)


def _prediction_row(row: Prediction) -> list:
    x, y = row.predicted
    place = [f"{x:.4f}", f"{y:.4f}"]
    truth = ["", "", ""]
    if row.true:
        true_x, true_y = row.true
        error = ((x - true_x) ** 2 + (y - true_y) ** 2) ** 0.5
        truth = [f"{true_x:.4f}", f"{true_y:.4f}", f"{error:.4f}"]
    return [row.run, row.method, row.image, row.keypoint, int(row.visible), *place, *truth]
