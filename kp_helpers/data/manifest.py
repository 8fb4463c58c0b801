"""A data folder's `manifest.json`: the SHA-256 of every file, and what is different now.

Most flipped bytes in a pickle of arrays still load as other numbers, and a flipped byte in a picture as other
pixels; only the hashes tell.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from kp_helpers.data.errors import DataError
from kp_helpers.store import replace_file

NAME = "manifest.json"


@dataclass(frozen=True)
class Difference:
    """Paths within the folder that are missing, changed or extra, each in order; false if there are none."""

    missing: tuple[str, ...]
    changed: tuple[str, ...]
    extra: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.missing or self.changed or self.extra)


def hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of every file but the manifest, by its path within `folder` with forward slashes, in order."""
    return {name: _sha256(path) for name, path in _files(folder).items()}


def write(folder: Path, about: Mapping | None = None) -> dict:
    """Write the folder's manifest, with `about` before the hashes, and return it.

    DataError where there is one already, since it may tell of an earlier and better state of the files.
    """
    path = folder / NAME
    if path.exists():
        raise DataError(f"{path}: exists; `verify` compares with it, and it is made anew once it is deleted")
    content = {**(about or {}), "sha256": hashes(folder)}
    replace_file(path, lambda partial: partial.write_text(json.dumps(content, indent=1)))
    return content


def verify(folder: Path) -> Difference:
    """How the files differ from the folder's manifest; DataError where there is none or it is damaged."""
    noted, found = _noted(folder / NAME), _files(folder)
    common = sorted(noted.keys() & found.keys())
    return Difference(
        missing=tuple(sorted(noted.keys() - found.keys())),
        changed=tuple(name for name in common if _sha256(found[name]) != noted[name]),
        extra=tuple(sorted(found.keys() - noted.keys())),
    )


def _noted(path: Path) -> dict[str, str]:
    try:
        noted = json.loads(path.read_text(encoding="utf-8"))["sha256"]
    except OSError:
        raise DataError(
            f"{path}: no such file; `python -m kp_helpers.data manifest {path.parent}` makes it"
        ) from None
    except (ValueError, KeyError, TypeError, RecursionError):
        noted = None
    if type(noted) is not dict or not all(type(value) is str for value in noted.values()):
        raise DataError(f"{path}: holds no table sha256 of file names and hashes")
    return noted


def _files(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    paths = (path for path in folder.rglob("*") if path.is_file() and path != folder / NAME)
    return {path.relative_to(folder).as_posix(): path for path in sorted(paths)}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
