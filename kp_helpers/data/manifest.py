"""A data folder's `manifest.json`: the SHA-256 of every file, and what is different now.

Most flipped bytes in a pickle of arrays still load as other numbers, and a flipped byte in a picture as other
pixels; only the hashes tell.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from kp_helpers.data.errors import DataError
from kp_helpers.store import replace_file, sha256

NAME = "manifest.json"


def write(folder: Path, about: Mapping | None = None) -> dict:
    """Write the folder's manifest, with `about` before the hashes, and return it.

    DataError where there is one already, since it may tell of an earlier and better state of the files.
    """
    path = folder / NAME
    if path.exists():
        raise DataError(f"{path}: exists; `verify` compares with it, and it is made anew once it is deleted")
    content = {**(about or {}), "sha256": _hashes(folder)}
    replace_file(path, lambda partial: partial.write_text(json.dumps(content, indent=1)))
    return content


def verify(folder: Path) -> list[str]:
    """A line for each file that is missing, changed or extra; DataError without a whole manifest."""
    path = folder / NAME
    try:
        noted = dict(json.loads(path.read_text(encoding="utf-8"))["sha256"])
    except OSError:
        command = f"`python -m kp_helpers.data manifest {folder}` makes it"
        raise DataError(f"{path}: no such file; {command}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise DataError(f"{path}: holds no table sha256 of file names and hashes") from None
    found = _hashes(folder)
    changed = [name for name in sorted(noted.keys() & found.keys()) if noted[name] != found[name]]
    lines = [f"missing: {name}" for name in sorted(noted.keys() - found.keys())]
    lines += [f"changed: {name}" for name in changed]
    return lines + [f"extra: {name}" for name in sorted(found.keys() - noted.keys())]


def _hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but the manifest, by its path within `folder` with forward slashes, in order."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file() and path != folder / NAME)
    return {path.relative_to(folder).as_posix(): sha256(path) for path in paths}
