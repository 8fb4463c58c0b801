"""Files that are whole or not there: written aside and moved, held by one process, tensors beside JSON."""

import errno
import hashlib
import json
import os
import socket
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import safetensors.torch
import torch
from filelock import FileLock, Timeout
from safetensors import SafetensorError

LARGEST_FILE = 2**30
FORMAT = 1
"""Part of every `key_of`: goes up when the same settings lead to other numbers."""
_CHECKSUM = "sha256"


class HeldError(RuntimeError):
    """Something that another process works on; the sentence names what, and the process."""


class DamagedError(ValueError):
    """A file that is not what was written; the sentence says in what way."""


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
        with suppress(PermissionError):  # some mounted disks know no modes
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


def save(path: str | Path, tensors: dict[str, torch.Tensor], facts: dict, *, checksum: bool = True) -> Path:
    """Write tensors and JSON values by name as one safetensors file, whole or not at all.

    Equal content makes equal bytes. checksum: whether `load` can tell any later change of it.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {name: json.dumps(value) for name, value in facts.items()}
    if checksum:
        metadata[_CHECKSUM] = json.dumps(_checksum(tensors, metadata))
    content = _sorted_header(safetensors.torch.save(tensors, metadata=metadata))
    return replace_file(path, lambda partial: partial.write_bytes(content))


def load(path: str | Path) -> tuple[dict[str, torch.Tensor], dict]:
    """Tensors and facts of a file that `save` wrote; nothing in it is executed. Raises DamagedError."""
    path = Path(path)
    if path.stat().st_size > LARGEST_FILE:
        raise DamagedError(f"holds {path.stat().st_size} bytes, expected at most {LARGEST_FILE}")
    content = path.read_bytes()
    try:
        tensors = safetensors.torch.load(content)
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length], object_pairs_hook=_without_duplicates)
        metadata = header.get("__metadata__", {})
        facts = {name: json.loads(text) for name, text in metadata.items()}
    except (SafetensorError, ValueError) as error:
        raise DamagedError(str(error)[:200]) from error
    checksum = facts.pop(_CHECKSUM, None)
    metadata.pop(_CHECKSUM, None)
    if checksum is not None and checksum != _checksum(tensors, metadata):
        raise DamagedError("its content is not what was written")
    return tensors, facts


def key_of(**parts) -> str:
    """SHA-256 of JSON values by name, whatever their order: the key of what follows from them alone."""
    return hashlib.sha256(json.dumps({"format": FORMAT, **parts}, sort_keys=True).encode()).hexdigest()


def digest(tensors: dict[str, torch.Tensor]) -> str:
    """SHA-256 of tensors by name, on the CPU: names, types, shapes and every number."""
    checksum = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        checksum.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        checksum.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return checksum.hexdigest()


def sha256(path: Path) -> str:
    """SHA-256 of a file, as hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def held(lock: Path) -> Iterator[None]:
    """Hold the file `lock`: a second process that asks for it meanwhile gets a HeldError naming the first.

    The system frees a lock when its holder ends, however it ends. So a file that a killed process left
    hinders nobody; whoever takes it over is warned.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    signature = lock.with_name(f"{lock.name}.holder")
    try:
        with _lock(lock):
            if before := _text(signature):
                warnings.warn(f"{lock}: taken over; its holder, {before}, was killed", stacklevel=3)
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            with suppress(OSError):  # a full disk; who holds the lock is then not told
                signature.write_text(f"process {os.getpid()} on {socket.gethostname()} since {since}")
            try:
                yield
            finally:
                signature.unlink(missing_ok=True)
                lock.unlink(missing_ok=True)
    except Timeout:
        holder = _text(signature) or "another process"
        raise HeldError(f"{lock}: held by {holder}, expected nobody; wait for its end or stop it") from None


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    """filelock's lock; on a disk without locks, as some shared ones are, a warning and no lock."""
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except (NotImplementedError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP):
            raise
        warnings.warn(f"{path}: this disk has no locks, so nothing keeps two runs apart", stacklevel=5)
    try:
        yield
    finally:
        lock.release()


def _checksum(tensors: dict[str, torch.Tensor], metadata: dict[str, str]) -> str:
    return hashlib.sha256((json.dumps(metadata, sort_keys=True) + digest(tensors)).encode()).hexdigest()


def _sorted_header(content: bytes) -> bytes:
    """The same file with a sorted header: safetensors writes metadata in an order that differs every time."""
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(json.loads(content[8 : 8 + length]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict:
    content = dict(pairs)
    if len(content) != len(pairs):
        raise ValueError("a key occurs twice in the header")
    return content


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


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
