"""Files and folders that survive what happens to a process: written whole, and held by one at a time."""

import errno
import os
import socket
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

try:
    import fcntl
except ImportError:  # not on Windows, where nothing is locked
    fcntl = None


class HeldError(RuntimeError):
    """Something that another process works on; the sentence names what, and the process."""


def replace_file(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Call `write(temporary)` and move what it wrote to `path` with mode 0644; returns `path`.

    Whatever happens in `write`, a file that was at `path` before stays whole and no temporary file is left.
    When it returns the file has reached the disk. The temporary name keeps the suffix of `path`, which some
    writers look at. An OSError names `path`.
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
    except OSError as error:
        if error.errno is None:  # a library's own, with a sentence of its own
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return path


@contextmanager
def held(lock: Path) -> Iterator[None]:
    """Hold the file `lock`: a second process that asks for it meanwhile gets a HeldError naming the first.

    The system gives a lock free when its holder ends, however it ends. So a file that a killed process left
    hinders nobody; whoever takes it over is warned.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    file = _locked(lock)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        file.close()


def _locked(lock: Path) -> TextIO:
    while True:
        file = lock.open("a+", encoding="utf-8")
        try:
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(file, lock):  # else its holder has just ended and removed it
                _sign(file, lock)
                return file
        except BlockingIOError:
            holder = _signature(file) or "another process"
            file.close()
            raise HeldError(
                f"{lock}: held by {holder}, expected nobody; wait for its end or stop it"
            ) from None
        except BaseException:
            file.close()
            raise
        file.close()


def _is_at(file: TextIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _sign(file: TextIO, lock: Path) -> None:
    if before := _signature(file):
        warnings.warn(f"{lock}: taken over; its holder, {before}, was killed", stacklevel=5)
    file.truncate(0)
    since = time.strftime("%Y-%m-%d %H:%M:%S")
    file.write(f"process {os.getpid()} on {socket.gethostname()} since {since}")
    file.flush()


def _signature(file: TextIO) -> str:
    file.seek(0)
    return file.read(200)


def _sync_folder(folder: Path) -> None:
    """A move has reached the disk only when its folder has."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:  # some network file systems have no such call
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)
