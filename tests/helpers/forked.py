"""Processes that are forked off one interpreter, since loading a model takes longer than the runs on it."""

import json
import os
import traceback
from collections.abc import Callable


def forked(work: Callable[..., dict], *given, **fate) -> dict:
    """What work(*given, **fate) returned in a process of its own, and the status that a shell would see."""
    return ended(started(work, *given, **fate))


def started(work: Callable[..., dict], *given, **fate) -> tuple[int, int]:
    """The process, and the pipe that tells what it returned."""
    read, write = os.pipe()
    if not (child := os.fork()):
        os.close(read)
        _live(write, lambda: work(*given, **fate))
    os.close(write)
    return child, read


def ended(process: tuple[int, int]) -> dict:
    child, read = process
    with os.fdopen(read) as pipe:
        text = pipe.read()
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return {**(json.loads(text) if text else {}), "status": 128 - code if code < 0 else code}


def _live(write: int, work: Callable[[], dict]) -> None:
    """The child's whole life, which ends as that of a script would."""
    status = 0
    try:
        os.write(write, json.dumps(work()).encode())
    except KeyboardInterrupt:
        status = 130
    except SystemExit as error:
        status = error.code
    except BaseException:
        traceback.print_exc()
        status = 1
    os._exit(status)
