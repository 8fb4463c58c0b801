"""Stand-ins for what numpy calls when an array is unpickled; they check everything before numpy sees it."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")
_TEXT = re.compile(r"[SU][0-9]{1,4}")
_FLAGS = (0, 8)  # numpy's: nothing, or "fill new memory with zeros", which text has; objects have others
_MOST_AXES, _LONGEST_AXIS = 8, 2**31


class Refused(ValueError):
    """Something in a pickle that is not plain data; the sentence says what, the caller says in which file."""


class Buffers:
    """A bound on the bytes that all arrays of one file may take together, as one buffer can serve many."""

    def __init__(self, left: int):
        self.left = left

    def take(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise Refused("arrays that are larger than the file they come from")


@dataclass(frozen=True)
class Call:
    """A name that a pickle may call, with what answers it: answer(buffers, *arguments)."""

    answer: Callable


class _ArrayClass:
    """What `numpy.ndarray` is answered with; it can only be handed to `_reconstruct`."""


class DType:
    """Stand-in for `numpy.dtype`: a number or text type, complete once its byte order was set."""

    def __init__(self, buffers: Buffers, code="", align=False, copy=True):
        if type(code) is not str:
            raise Refused(f"an array type given by a {type(code).__name__}, expected a code such as 'f8'")
        self.code = code.lstrip("<>|=")
        self.order = ""
        if self.code not in _NUMBERS and not _TEXT.fullmatch(self.code):
            raise Refused(f"an array of type {self.code[:20]!r}, expected plain numbers or text")

    def build(self, buffers: Buffers, state) -> None:
        """Take numpy's (version, order, None, None, None, size, alignment, flags)."""
        if type(state) is not tuple or len(state) not in (8, 9) or self.order:
            raise Refused("an array type whose state is not numpy's")
        version, order, base, names, fields, size, _, flags = state[:8]
        if version not in (3, 4) or order not in ("<", ">", "|", "="):
            raise Refused(f"an array type of version {str(version)[:20]}, expected 3 or 4 and a byte order")
        self.order = order
        if any(part is not None for part in (base, names, fields)) or flags not in _FLAGS:
            raise Refused("an array type with fields or objects inside, expected plain numbers or text")
        if size not in (-1, self.finished().itemsize):
            raise Refused(f"an array type {self.code} of {str(size)[:20]} bytes")

    def finished(self) -> np.dtype:
        """The real type, made from a code and a byte order that were checked."""
        return np.dtype(self.order.replace("|", "") + self.code)


class Array:
    """Stand-in for an array: empty until its state came, then a copy of the checked bytes."""

    def __init__(self, buffers: Buffers, kind=None, *_):
        if type(kind) is not _ArrayClass:
            raise Refused("rebuilds something other than a numpy.ndarray")
        self.values: np.ndarray | None = None

    def build(self, buffers: Buffers, state) -> None:
        """Take numpy's (version, shape, type, Fortran order, bytes)."""
        if type(state) is not tuple or len(state) != 5 or self.values is not None:
            raise Refused("an array whose state is not numpy's")
        _, shape, dtype, fortran, raw = state
        self.values = _from_bytes(buffers, raw, dtype, shape, "F" if fortran is True or fortran == 1 else "C")

    def finished(self) -> np.ndarray:
        if self.values is None:
            raise Refused("an array without content")
        return self.values


def _from_bytes(buffers: Buffers, raw, dtype, shape, order: str) -> np.ndarray:
    """An array of its own memory; the byte count must be shape times item size."""
    if type(dtype) is not DType:
        raise Refused(f"an array whose type is a {type(dtype).__name__}")
    if type(raw) not in (str, bytes, bytearray):
        raise Refused(f"an array whose content is a {type(raw).__name__}, expected bytes")
    whole = type(shape) is tuple and all(type(n) is int and 0 <= n <= _LONGEST_AXIS for n in shape)
    if not whole or len(shape) > _MOST_AXES:
        raise Refused("an array whose shape is not a short tuple of lengths")
    kind = dtype.finished()
    if math.prod(shape) * kind.itemsize != len(raw):
        raise Refused(f"an array of shape {shape} and type {kind} with {len(raw)} bytes")
    buffers.take(len(raw))
    data = raw.encode("latin1") if type(raw) is str else bytes(raw)
    if kind.kind == "b":  # bytes other than 0 and 1 are undefined as bool
        return (np.frombuffer(data, np.uint8) != 0).reshape(shape, order=order)
    return np.frombuffer(data, kind).reshape(shape, order=order).astype(kind.newbyteorder("="))


def _scalar(buffers: Buffers, dtype=None, raw=b""):
    return _from_bytes(buffers, raw, dtype, (), "C").item()


def _frombuffer(buffers: Buffers, raw=b"", dtype=None, shape=(), order="C"):
    array = Array(buffers, _NDARRAY)
    array.build(buffers, (1, shape, dtype, order == "F", raw))
    return array


def _encode(buffers: Buffers, text="", codec="") -> bytes:
    """How Python 3 writes bytes in protocol 2: latin1 text to be encoded again."""
    if type(text) is not str or codec not in ("latin1", "latin-1"):
        raise Refused("encodes with something other than latin1")
    buffers.take(len(text))
    return text.encode("latin1")


def _no_bytes(buffers: Buffers, *arguments) -> bytes:
    """How Python 3 writes empty bytes in protocol 2: a call of bytes with nothing."""
    if arguments:
        raise Refused("calls bytes with arguments")
    return b""


_NDARRAY = _ArrayClass()
NAMES = {
    f"{package}.{module} {name}": answer
    for package in ("numpy.core", "numpy._core")
    for module, name, answer in (
        ("multiarray", "_reconstruct", Call(Array)),
        ("multiarray", "scalar", Call(_scalar)),
        ("numeric", "_frombuffer", Call(_frombuffer)),
    )
} | {
    "numpy ndarray": _NDARRAY,
    "numpy dtype": Call(DType),
    "_codecs encode": Call(_encode),
    "__builtin__ bytes": Call(_no_bytes),
    "builtins bytes": Call(_no_bytes),
}
"""Every name that a pickle may ask for, "module name", and what stands in for it."""
