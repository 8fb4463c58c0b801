"""A pickle damaged in thousands of ways: each version loads or is refused, and nothing of it runs."""

import functools
import pickletools
import random
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from kp_helpers.data.errors import DataError
from kp_helpers.data.safe_pickle import loads

_RUNS = ("exec", "compile", "import", "open", "os.", "subprocess.", "socket.", "ctypes.", "pickle.find_class")
"""Python's own audit events, by their beginning, of which reading plain values causes none."""
_AT_INSTRUCTIONS = 0.7


@dataclass
class Outcome:
    """How many damaged pickles of a kind loaded, were refused, or failed; failures: what went wrong."""

    loaded: int = 0
    refused: int = 0
    failures: list[str] = field(default_factory=list)


def fuzz(path: str | Path, count: int, seed: int = 0) -> dict[str, Outcome]:
    """Read `count` damaged versions of a pickle; kind of damage -> outcome, the same for the same seed.

    Most damage is done where the instructions are, since nearly all bytes are numbers of arrays. Any error
    but DataError is a failure, and so is an audit event of running, importing or opening something.
    """
    data = Path(path).read_bytes()
    loads(data, path)  # says so if the file is bad already
    loads(b"Va\n.", path)  # Python imports the codec of this instruction on its first use
    rng, instructions = random.Random(seed), [place for _, _, place in pickletools.genops(data)]
    outcomes = {kind: Outcome() for kind in KINDS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of odd escapes in text: showing a warning opens source files
        for number in range(count):
            kind = list(KINDS)[number % len(KINDS)]
            place = rng.choice(instructions) if rng.random() < _AT_INSTRUCTIONS else rng.randrange(len(data))
            _read(KINDS[kind](rng, data, place), outcomes[kind])
    return outcomes


def _read(data: bytes, outcome: Outcome) -> None:
    watch = _watch()
    watch.events, watch.on = [], True
    try:
        loads(data, "damaged")
        outcome.loaded += 1
    except DataError:
        outcome.refused += 1
    except Exception as error:  # every other error is what the search is for
        outcome.failures.append(f"{type(error).__name__}: {error}")
    finally:
        watch.on = False
    outcome.failures += [f"caused the event {event}" for event in watch.events]


class _Watch:
    """An audit hook, which Python never removes again; it notes events only while it is on."""

    def __init__(self):
        self.on, self.events = False, []
        sys.addaudithook(self.note)

    def note(self, event: str, _) -> None:
        if self.on and event.startswith(_RUNS):
            self.events.append(event)


_watch = functools.cache(_Watch)


def _flip_bits(rng: random.Random, data: bytes, place: int) -> bytes:
    damaged = bytearray(data)
    for where in (place, *(rng.randrange(len(data)) for _ in range(rng.randint(0, 3)))):
        damaged[where] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _replace(rng: random.Random, data: bytes, place: int) -> bytes:
    piece = rng.randbytes(rng.randint(1, 8))
    return data[:place] + piece + data[place + len(piece) :]


def _repeat(rng: random.Random, data: bytes, place: int) -> bytes:
    piece = data[place : place + rng.randint(1, 200)]
    where = rng.randrange(len(data))
    return data[:where] + piece + data[where:]


def _remove(rng: random.Random, data: bytes, place: int) -> bytes:
    return data[:place] + data[place + rng.randint(1, 200) :]


KINDS: dict[str, Callable[[random.Random, bytes, int], bytes]] = {
    "bits flipped": _flip_bits,
    "bytes replaced": _replace,
    "a piece repeated": _repeat,
    "a piece removed": _remove,
    "cut off": lambda rng, data, place: data[:place],
}
