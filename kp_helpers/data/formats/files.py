"""What files of several tools have in common: names of pictures from other machines, and archives."""

import io
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import unquote
from zipfile import BadZipFile, ZipFile

from kp_helpers.data.errors import DataError
from kp_helpers.store import replace_file

LARGEST = 2**28
"""Bytes of a text; more is a bomb."""


def ends_of(address: str) -> list[str]:
    """What a picture may be called within its folder, the longest first: the ends of a path or address."""
    parts = PurePosixPath(unquote(address).replace("\\", "/")).parts
    ends = ["/".join(parts[first:]) for first in range(len(parts))]
    return [end for end in ends if not end.startswith("/") and ".." not in PurePosixPath(end).parts]


def picture(where: str | Path, address: str, root: Path) -> str:
    """The path within `root` of the picture that labels call by an address, which another machine gave it."""
    for end in ends_of(address):
        if (root / end).is_file():
            return end
    raise DataError(f"{where}: labels {address}, which is not within {root}")


def text_of(path: Path) -> str:
    """A file's text."""
    try:
        with path.open("rb") as file:
            return _decoded(str(path), file.read(LARGEST + 1))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def texts_of(path: Path, suffixes: tuple[str, ...]) -> dict[str, str]:
    """The texts in an archive, by their names, of files that end so."""
    try:
        with ZipFile(path) as archive:
            found = {}
            for name in archive.namelist():
                if name.endswith(suffixes):
                    with archive.open(name) as file:
                        found[name] = _decoded(f"{path}: {name}", file.read(LARGEST + 1))
            return found
    except (OSError, BadZipFile, NotImplementedError, RuntimeError) as error:  # the last of a locked archive
        raise DataError(f"{path}: is no zip archive that can be read ({error})") from None


def write_zip(path: Path, texts: Mapping[str, str]) -> Path:
    """Write an archive of texts by their names."""
    data = io.BytesIO()
    with ZipFile(data, "w") as archive:
        for name, text in texts.items():
            archive.writestr(name, text)
    return replace_file(path, lambda partial: partial.write_bytes(data.getvalue()))


def _decoded(where: str, data: bytes) -> str:
    if len(data) > LARGEST:
        raise DataError(f"{where}: more than {LARGEST} bytes, expected labels")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: is no text in UTF-8 ({error})") from None
