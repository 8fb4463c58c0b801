"""Unpacking a zip or tar from somebody else: whole and inside its target, or not at all."""

import bz2
import gzip
import lzma
import stat
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from kp_helpers.data.errors import DataError

LARGEST_RATIO = 100
"""Unpacked bytes for one byte of the archive; pictures hardly shrink, and text by a factor of ten."""
ALWAYS_ALLOWED = 2**24
"""Bytes that even the smallest archive may hold."""
_CHUNK = 2**20
_DECOMPRESS = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open, b"]\0\0": lzma.open}
_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError, zlib.error, lzma.LZMAError)


def unpack(archive: str | Path, target: str | Path) -> list[str]:
    """Unpack a .zip or .tar (also .gz, .bz2, .xz) into the folder `target`; returns the files' names.

    Refused with a DataError, and without a trace in or beside `target`: a name with `..`, an absolute path, a
    link or device, more bytes than LARGEST_RATIO times the archive's, a damaged or encrypted archive, and
    anything at the top of the archive that `target` already has. What macOS leaves in archives is not
    unpacked: a second archive would bring it once more.
    """
    archive, target = Path(archive), Path(target)
    if not archive.is_file():
        raise DataError(f"{archive}: no such archive")
    if not target.parent.is_dir():
        raise DataError(f"{target.parent}: no such folder, expected the one that {target.name} is to be in")
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as name:
        aside = Path(name)
        try:
            _extract(archive, aside)
            names = [
                path.relative_to(aside).as_posix() for path in sorted(aside.rglob("*")) if path.is_file()
            ]
            _move(archive, aside, target)
        except DataError:
            raise
        except (*_DAMAGE, ValueError, OSError) as error:
            reason = f"{type(error).__name__}: {str(error)[:120]}"
            raise DataError(f"{archive}: cannot be unpacked ({reason})") from None
    return names


def _extract(archive: Path, folder: Path) -> None:
    with archive.open("rb") as file:
        start = file.read(6)
    if start.startswith(b"PK"):
        with zipfile.ZipFile(archive) as opened:  # which writes no more bytes than the sizes say
            _check_size(archive, sum(entry.file_size for entry in opened.infolist()))
            for entry in opened.infolist():
                kind = stat.S_IFMT(entry.external_attr >> 16)
                _check_entry(archive, entry.filename, kind in (0, stat.S_IFREG, stat.S_IFDIR))
            opened.extractall(folder, [name for name in opened.namelist() if not _is_litter(name)])
        return
    decompress = next((use for mark, use in _DECOMPRESS.items() if start.startswith(mark)), open)
    with decompress(archive, "rb") as raw:
        size = 0
        while chunk := raw.read(_CHUNK):  # headers can be bombs too, and tarfile reads them whole
            size += len(chunk)
            _check_size(archive, size)
        raw.seek(0)
        with tarfile.open(fileobj=raw, mode="r:") as opened:
            for entry in opened:
                plain = entry.isdir() or (entry.isreg() and not entry.issparse())
                _check_entry(archive, entry.name, plain)
            entries = [entry for entry in opened if not _is_litter(entry.name)]
            opened.extractall(folder, entries, filter="data")


def _check_entry(archive: Path, name: str, plain: bool) -> None:
    """Refuse what zipfile and tarfile would move into the folder; backslashes separate names, too."""
    path = PurePosixPath(name.replace("\\", "/"))
    if not plain:
        raise DataError(f"{archive}: {name[:120]!r} is a link or a device, expected files and folders")
    if path.is_absolute() or ".." in path.parts or ":" in name or "\0" in name:
        raise DataError(f"{archive}: {name[:120]!r} leads out of the folder, expected a path inside it")


def _is_litter(name: str) -> bool:
    path = PurePosixPath(name.replace("\\", "/"))
    return path.name.startswith("._") or bool({"__MACOSX", ".DS_Store"} & set(path.parts))


def _check_size(archive: Path, size: int) -> None:
    packed = archive.stat().st_size
    most = max(ALWAYS_ALLOWED, LARGEST_RATIO * packed)
    if size > most:
        raise DataError(f"{archive}: {packed} bytes that unpack to more than {most}")


def _move(archive: Path, aside: Path, target: Path) -> None:
    """What was unpacked into the target; nothing that is there is touched."""
    unpacked = sorted(aside.iterdir())
    there = [path.name for path in unpacked if (target / path.name).exists()]
    if there:
        raise DataError(f"{archive}: {target} already has {', '.join(there)}, expected nothing of that name")
    target.mkdir(exist_ok=True)
    for path in unpacked:
        path.rename(target / path.name)
