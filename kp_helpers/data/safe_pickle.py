"""Reading a pickle of plain values and number arrays without running any of it.

A pickle is a program. Python's own unpickler follows it here, cut down to the instructions that build lists,
dicts, strings and numbers; and of what a pickle may call there are only the few names with which numpy writes
an array, each answered by a stand-in that notes its arguments. Everything else is refused by name. Nothing
that a file names is imported or called.
"""

import io
import pickle
import pickletools
import struct
from pathlib import Path

from kp_helpers.data.errors import DataError
from kp_helpers.data.pickled_array import NAMES, Array, Buffers, Call, Refused

LARGEST_FILE = 2**28
"""Bytes; 3DPW's own files are a few tens of megabytes."""
MOST_STEPS = 1_000_000
DEEPEST = 32

_FOLLOWED = {
    *("PROTO", "FRAME", "STOP", "MARK", "POP", "POP_MARK", "DUP"),
    *("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE", "GET", "BINGET", "LONG_BINGET"),
    *("NONE", "NEWTRUE", "NEWFALSE", "INT", "LONG", "BININT", "BININT1", "BININT2", "LONG1", "LONG4"),
    *("FLOAT", "BINFLOAT", "STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    *("EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"),
    *("EMPTY_LIST", "LIST", "APPEND", "APPENDS", "EMPTY_DICT", "DICT", "SETITEM", "SETITEMS"),
    *("GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD"),
}
_PLAIN = (str, bytes, bytearray, int, float, bool, type(None))
_DAMAGE = (pickle.UnpicklingError, struct.error, EOFError)
_DAMAGE += (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)


def load(path: str | Path):
    """The content of a pickle file, see `loads`; DataError too where the file is missing or too large."""
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise DataError(f"{path}: {size} bytes, expected at most {LARGEST_FILE}")
        return loads(path.read_bytes(), path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None


def loads(data: bytes, name: str | Path):
    """The content of a pickle: dicts with str keys, lists, tuples, text, bytes, numbers, None and arrays.

    8-bit strings of Python 2 are read as latin1. Raises DataError, which says `name`, for anything else, for
    damage, and beyond the bounds on steps and depth that keep memory and time small.
    """
    try:
        return _plain(_Unpickler(data).load(), {}, 0)
    except Refused as error:
        raise DataError(f"{name}: {error}") from None
    except _DAMAGE as error:
        reason = f"{type(error).__name__}: {str(error)[:120]}"
        raise DataError(f"{name}: damaged ({reason}), expected a pickle of plain values and arrays") from None


class _Unpickler(pickle._Unpickler):
    """The unpickler that Python keeps beside its faster one in C, whose steps can be exchanged one by one."""

    def __init__(self, data: bytes):
        # Bytes in memory, not an open file: of a file, a length that lies would be allocated first.
        super().__init__(io.BytesIO(data), encoding="latin1")
        self.dispatch = _Steps()
        self.buffers = Buffers(2 * len(data))

    def find_class(self, module: str, name: str):
        if f"{module} {name}" not in NAMES:
            what = f"{module}.{name}"[:80]
            raise Refused(f"asks for {what!r}, which is refused; expected plain values and numpy arrays")
        return NAMES[f"{module} {name}"]

    def append_to_list(self, items: list) -> None:
        if type(self.stack[-1]) is not list:
            raise Refused(f"appends to a {type(self.stack[-1]).__name__}, expected a list")
        self.stack[-1].extend(items)

    def set_in_dict(self, items: list) -> None:
        """Keys are strings, since hashing a deep tuple can crash Python."""
        if type(self.stack[-1]) is not dict:
            raise Refused(f"sets an item of a {type(self.stack[-1]).__name__}, expected a dict")
        if len(items) % 2 or any(type(key) is not str for key in items[::2]):
            raise Refused("a dict with keys other than strings")
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))

    def call(self) -> None:
        arguments = self.stack.pop()
        function = self.stack.pop()
        if type(function) is not Call or type(arguments) is not tuple:
            raise Refused(f"calls a {type(function).__name__}, expected one of numpy's array functions")
        self.append(function.answer(self.buffers, *arguments))

    def build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if not hasattr(target, "build"):
            raise Refused(f"gives a state to a {type(target).__name__}, expected an array or its type")
        target.build(self.buffers, state)

    def append_one(self) -> None:
        value = self.stack.pop()
        self.append_to_list([value])

    def set_one(self) -> None:
        value = self.stack.pop()
        key = self.stack.pop()
        self.set_in_dict([key, value])

    def marked_dict(self) -> None:
        items = self.pop_mark()
        self.append({})
        self.set_in_dict(items)

    def bytes_to_change(self) -> None:
        """Of the length that is there; Python's own step allocates the length that the file says."""
        length = int.from_bytes(self.read(8), "little")
        self.append(bytearray(self.read(length)))


_EXCHANGED = {
    "PROTO": lambda unpickler: unpickler.read(1),  # the instructions say what they need, not the number
    "APPEND": _Unpickler.append_one,
    "APPENDS": lambda unpickler: unpickler.append_to_list(unpickler.pop_mark()),
    "SETITEM": _Unpickler.set_one,
    "SETITEMS": lambda unpickler: unpickler.set_in_dict(unpickler.pop_mark()),
    "DICT": _Unpickler.marked_dict,
    "REDUCE": _Unpickler.call,
    "BUILD": _Unpickler.build,
    "BYTEARRAY8": _Unpickler.bytes_to_change,
}


class _Steps:
    """Instruction -> the step that follows it, for the first MOST_STEPS of those that are followed."""

    def __init__(self):
        self.taken = 0

    def __getitem__(self, code: int):
        self.taken += 1
        if self.taken > MOST_STEPS:
            raise Refused(f"more than {MOST_STEPS} instructions, expected a few thousand")
        name = pickletools.code2op[chr(code)].name
        if name not in _FOLLOWED:
            raise Refused(f"holds the instruction {name}, which builds no plain value")
        return _EXCHANGED.get(name) or pickle._Unpickler.dispatch[code]


def _plain(value, seen: dict, depth: int):
    """The value with arrays in the place of their stand-ins; what is shared stays shared."""
    if type(value) in _PLAIN:
        return value
    if depth > DEEPEST:
        raise Refused(f"nested more than {DEEPEST} deep, or within itself")
    if id(value) not in seen:
        seen[id(value)] = _rebuilt(value, seen, depth + 1)
    return seen[id(value)]


def _rebuilt(value, seen: dict, depth: int):
    if type(value) is Array:
        return value.finished()
    if type(value) is dict:
        return {key: _plain(item, seen, depth) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_plain(item, seen, depth) for item in value)
    raise Refused(f"holds a bare {type(value).__name__}, expected plain values and arrays")
