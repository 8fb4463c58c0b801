"""Writing a file whole: under a temporary name beside it, then moved into place."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path


def replace_file(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Call `write(temporary)` and move what it wrote to `path` with mode 0644; returns `path`.

    Whatever happens in `write`, a file that was at `path` before stays whole and no temporary file is left.
    The temporary name keeps the suffix of `path`, which some writers look at.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        write(partial)
        partial.chmod(0o644)
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
    return path
