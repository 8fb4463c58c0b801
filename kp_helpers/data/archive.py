"""Unpacking a zip or tar from somebody else: whole and inside its target, or not at all.

Neither `extractall` is used: of each entry only the bytes of a regular file are copied, under a name that was
checked, and what really comes out is counted against a bound.
"""

import bz2
import gzip
import lzma
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from kp_helpers.data.errors import DataError

LARGEST_RATIO = 100
"""Unpacked bytes for one byte of the archive; pictures hardly shrink, and text by a factor of ten."""
ALWAYS_ALLOWED = 2**24
"""Bytes that even the smallest archive may hold."""
MOST_ENTRIES = 1_000_000
_CHUNK = 2**20
_DECOMPRESS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_LITTER = ("__MACOSX", ".DS_Store")
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError, zlib.error, lzma.LZMAError)
_Entry = tuple[str, BinaryIO | None]
"""An entry's name and its bytes, None for a folder."""


def unpack(archive: str | Path, target: str | Path) -> list[str]:
    """Unpack a .zip or .tar (also .gz, .bz2, .xz) into the folder `target`; returns the files' names.

    Refused with a DataError, and without a trace in or beside `target`: a name with `..`, an absolute path, a
    link or device, two entries of one name, more bytes than LARGEST_RATIO times the archive's, a damaged or
    encrypted archive, and anything at the top of the archive that `target` already has. What macOS leaves in
    archives is not unpacked.
    """
    archive, target = Path(archive), Path(target)
    if not archive.is_file():
        raise DataError(f"{archive}: no such archive")
    if not target.parent.is_dir():
        raise DataError(f"{target.parent}: no such folder, expected the one that {target.name} is to be in")
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        names = _copy_all(archive, aside)
        _move(archive, aside, target)
    except DataError:
        raise
    except (*_DAMAGE, ValueError, OSError) as error:
        reason = f"{type(error).__name__}: {str(error)[:120]}"
        raise DataError(f"{archive}: cannot be unpacked ({reason})") from None
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return names


def _copy_all(archive: Path, folder: Path) -> list[str]:
    budget, names = _Budget(archive), []
    for count, (name, content) in enumerate(_entries(archive)):
        if count >= MOST_ENTRIES:
            raise DataError(f"{archive}: more than {MOST_ENTRIES} entries")
        inside = _inside(archive, name)
        if inside.name.startswith("._") or set(inside.parts) & set(_LITTER):
            continue
        if content is None:
            (folder / inside).mkdir(parents=True, exist_ok=True)
        else:
            (folder / inside).parent.mkdir(parents=True, exist_ok=True)
            _copy(content, folder / inside, budget)
            names.append(inside.as_posix())
    return names


def _copy(content: BinaryIO, path: Path, budget: "_Budget") -> None:
    with path.open("xb") as file:
        while chunk := content.read(_CHUNK):
            budget.take(len(chunk))
            file.write(chunk)


def _inside(archive: Path, name: str) -> PurePosixPath:
    """The entry's path, relative and without a way out; backslashes and drives count as separators."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name:
        raise DataError(f"{archive}: {name[:120]!r} leads out of the folder, expected a path inside it")
    return path


def _entries(archive: Path) -> Iterator[_Entry]:
    """Every entry in turn, its kind checked; the bytes must be read before the next one is asked for."""
    with archive.open("rb") as file:
        start = file.read(6)
    if start.startswith(b"PK"):
        return _zip_entries(archive)
    decompress = next((use for mark, use in _DECOMPRESS.items() if start.startswith(mark)), open)
    return _tar_entries(archive, decompress)


def _zip_entries(archive: Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            kind = stat.S_IFMT(entry.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _no_file(archive, entry.filename)
            if entry.is_dir():
                yield entry.filename, None
            else:
                with opened.open(entry) as content:
                    yield entry.filename, content


def _tar_entries(archive: Path, decompress: Callable) -> Iterator[_Entry]:
    """As a stream, so that all that is decompressed, headers too, is counted."""
    with (
        decompress(archive, "rb") as raw,
        tarfile.open(fileobj=_Counted(raw, _Budget(archive)), mode="r|") as opened,
    ):
        for entry in opened:
            if entry.isdir():
                yield entry.name, None
            elif entry.isreg() and not entry.issparse():
                yield entry.name, opened.extractfile(entry)
            else:
                raise _no_file(archive, entry.name)


def _no_file(archive: Path, name: str) -> DataError:
    return DataError(f"{archive}: {name[:120]!r} is a link or a device, expected files and folders")


class _Budget:
    """How many bytes may still come out of an archive."""

    def __init__(self, archive: Path):
        self.archive = archive
        self.left = self.most = max(ALWAYS_ALLOWED, LARGEST_RATIO * archive.stat().st_size)

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            size = self.archive.stat().st_size
            raise DataError(f"{self.archive}: {size} bytes that unpack to more than {self.most}")


class _Counted:
    """A stream whose bytes come out of a budget; tarfile asks for small pieces."""

    def __init__(self, raw: BinaryIO, budget: _Budget):
        self.raw, self.budget = raw, budget

    def read(self, size: int) -> bytes:
        data = self.raw.read(size)
        self.budget.take(len(data))
        return data


def _move(archive: Path, aside: Path, target: Path) -> None:
    """What was unpacked into the target; nothing that is there is touched."""
    unpacked = sorted(aside.iterdir())
    there = [path.name for path in unpacked if (target / path.name).exists()]
    if there:
        raise DataError(f"{archive}: {target} already has {', '.join(there)}, expected nothing of that name")
    target.mkdir(exist_ok=True)
    for path in unpacked:
        path.rename(target / path.name)
