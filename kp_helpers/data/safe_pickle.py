"""Reading a pickle of plain values and number arrays without running any of it.

A pickle is a program. This machine knows the instructions that build lists, dicts, strings and numbers, and
of what a pickle may call only the few names with which numpy writes an array; each is answered by a stand-in
that notes its arguments. Everything else is refused by name. Nothing that a file names is imported or called.
"""

import codecs
import io
import pickletools
from collections.abc import Iterator
from pathlib import Path

from kp_helpers.data.errors import DataError
from kp_helpers.data.pickled_array import NAMES, Array, Buffers, Call, Refused

LARGEST_FILE = 2**28
"""Bytes; 3DPW's own files are a few tens of megabytes."""
MOST_STEPS = 1_000_000
DEEPEST = 32

_VALUES = (  # instructions that bring their value with them
    *("INT", "LONG", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
)
_FIXED = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
}
_SHORT_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PLAIN = (str, bytes, bytearray, int, float, bool, type(None))


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
        return _plain(_Machine(Buffers(2 * len(data))).run(data), {}, 0)
    except Refused as error:
        raise DataError(f"{name}: {error}") from None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {str(error)[:120]}"
        raise DataError(f"{name}: damaged ({reason}), expected a pickle of plain values and arrays") from None


def _instructions(data: bytes) -> Iterator[tuple[str, object]]:
    """Names and arguments as `pickletools.genops` gives them, to which the quoted strings of protocol 0, what
    Python 2 wrote by default, have to be plain ASCII, though an array's content stands in them.
    """
    file = io.BytesIO(data)
    while True:
        opcode = pickletools.code2op.get(file.read(1).decode("latin1"))
        if opcode is None:
            raise ValueError("an unknown instruction, or none where one should be")
        quoted = opcode.name == "STRING"
        yield opcode.name, _quoted(file.readline()) if quoted else opcode.arg and opcode.arg.reader(file)
        if opcode.name == "STOP":
            return


def _quoted(line: bytes) -> str:
    """The 8-bit string that stands in quotes, with escapes, to the end of its line."""
    line = line.strip()
    if len(line) < 2 or line[:1] != line[-1:] or line[:1] not in (b"'", b'"'):
        raise ValueError("a string without its quotes")
    return codecs.escape_decode(line[1:-1])[0].decode("latin1")


class _Machine:
    """The pickle machine, cut down: a stack, a memo, and the marks that divide the stack."""

    def __init__(self, buffers: Buffers):
        self.buffers = buffers
        self.stack: list = []
        self.below: list[list] = []
        self.memo: dict = {}

    def run(self, data: bytes):
        """Follow the instructions to the end and return what is left on the stack.

        Bytes, not an open file: of a file, a length that lies would be allocated before it is found wanting.
        """
        for step, (name, argument) in enumerate(_instructions(data)):
            if step >= MOST_STEPS:
                raise Refused(f"more than {MOST_STEPS} instructions, expected a few thousand")
            self._step(name, argument)
        return self.stack.pop()

    def _step(self, name: str, argument) -> None:
        if name in _VALUES:
            self.stack.append(argument)
        elif name in _FIXED:
            self.stack.append(_FIXED[name]())
        elif name in _SHORT_TUPLES:
            self._tuple(_SHORT_TUPLES[name])
        elif name in _STEPS:
            _STEPS[name](self, argument)
        elif name not in ("PROTO", "FRAME", "STOP"):
            raise Refused(f"holds the instruction {name}, which builds no plain value")

    def _tuple(self, length: int) -> None:
        if len(self.stack) < length:
            raise Refused("a tuple of more values than there are")
        self.stack[-length:] = [tuple(self.stack[-length:])]

    def _mark(self, _) -> None:
        self.below.append(self.stack)
        self.stack = []

    def _since_mark(self) -> list:
        items, self.stack = self.stack, self.below.pop()
        return items

    def _collect(self, kind) -> None:
        items = self._since_mark()
        self.stack.append(kind(items))

    def _append(self, items: list) -> None:
        if type(self.stack[-1]) is not list:
            raise Refused(f"appends to a {type(self.stack[-1]).__name__}, expected a list")
        self.stack[-1].extend(items)

    def _set(self, items: list) -> None:
        if type(self.stack[-1]) is not dict:
            raise Refused(f"sets an item of a {type(self.stack[-1]).__name__}, expected a dict")
        self.stack[-1].update(_pairs(items))

    def _set_one(self, _) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._set([key, value])

    def _remember(self, key) -> None:
        self.memo[key] = self.stack[-1]

    def _pop(self, _) -> None:
        if self.stack:
            self.stack.pop()
        else:
            self._since_mark()

    def _stack_name(self, _) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        if type(name) is not str or type(module) is not str:
            raise Refused("asks for a name that is no string")
        self._name(f"{module} {name}")

    def _name(self, name: str) -> None:
        if name not in NAMES:
            what = ".".join(name.split(" ", 1))[:80]
            raise Refused(f"asks for {what!r}, which is refused; expected plain values and numpy arrays")
        self.stack.append(NAMES[name])

    def _call(self, _) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if type(function) is not Call or type(arguments) is not tuple:
            raise Refused(f"calls a {type(function).__name__}, expected one of numpy's array functions")
        self.stack.append(function.answer(self.buffers, *arguments))

    def _build(self, _) -> None:
        state = self.stack.pop()
        build = getattr(type(self.stack[-1]), "build", None)
        if build is None:
            raise Refused(
                f"gives a state to a {type(self.stack[-1]).__name__}, expected an array or its type"
            )
        build(self.stack[-1], self.buffers, state)


_STEPS = {
    "MARK": _Machine._mark,
    "POP": _Machine._pop,
    "POP_MARK": lambda machine, _: machine._since_mark(),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "TUPLE": lambda machine, _: machine._collect(tuple),
    "LIST": lambda machine, _: machine._collect(list),
    "DICT": lambda machine, _: machine._collect(_pairs),
    "APPEND": lambda machine, _: machine._append([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine._append(machine._since_mark()),
    "SETITEM": _Machine._set_one,
    "SETITEMS": lambda machine, _: machine._set(machine._since_mark()),
    "MEMOIZE": lambda machine, _: machine._remember(len(machine.memo)),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine._remember),
    **dict.fromkeys(
        ("GET", "BINGET", "LONG_BINGET"), lambda machine, key: machine.stack.append(machine.memo[key])
    ),
    "GLOBAL": _Machine._name,
    "STACK_GLOBAL": _Machine._stack_name,
    "REDUCE": _Machine._call,
    "BUILD": _Machine._build,
}


def _pairs(items: list) -> dict:
    """Keys and values in turn as a dict; keys are strings, since hashing a deep tuple can crash Python."""
    if len(items) % 2 or any(type(key) is not str for key in items[::2]):
        raise Refused("a dict with keys other than strings")
    return dict(zip(items[::2], items[1::2], strict=True))


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
