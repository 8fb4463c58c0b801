"""A Python that has imported torch, diffusers and papermill: its processes are forked off one that has.

`Warm` starts that one process and writes a script that stands for `python`: the script asks it for a fork and
lends the fork its arguments, directory, environment, input and output, forwards signals, and ends as it ends.
What such a process starts by `sys.executable`, as a notebook's kernel, is warm too.
"""

import array
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

IMPORTED = ("kp_helpers.stages", "kp_helpers.evaluate", "papermill", "ipykernel.kernelapp")
"""None of them draws: matplotlib reads its backend from the environment as it is imported."""
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Warm:
    """A context: `python` is the script, in a folder that exists."""

    def __init__(self, folder: Path):
        self.python, address = folder / "python", folder / "socket"
        command = f'exec "{sys.executable}" -S -E "{__file__}" ask "{address}" "$@"'
        self.python.write_text(f"#!/bin/sh\n{command}\n")
        self.python.chmod(0o755)
        self.server = [sys.executable, __file__, "serve", address, self.python]

    def __enter__(self) -> "Warm":
        self.process = subprocess.Popen(self.server, stdout=subprocess.PIPE, start_new_session=True)
        assert self.process.stdout.read(1), "the server did not start"
        return self

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait()


def serve(address: str) -> list[str]:
    """Fork for whoever asks; returns the arguments, in the fork."""
    for name in IMPORTED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for keepers
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen(64)
        os.write(1, b"1")
        while True:
            connection, _ = listening.accept()
            if not os.fork():
                break
            connection.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    text, received, _, _ = socket.recv_fds(connection, 2**20, 3)
    request = json.loads(text)
    if worker := os.fork():
        for descriptor in received:
            os.close(descriptor)
        os._exit(keep(worker, connection))
    connection.close()
    for number, descriptor in enumerate(received):
        os.dup2(descriptor, number)
        os.close(descriptor)
    os.setsid()
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    return request["arguments"]


def keep(worker: int, connection: socket.socket) -> int:
    """Forward signals to a worker and tell its end; it is killed if the one who asked is gone."""
    ended = os.pidfd_open(worker)
    while ended not in (ready := select.select([ended, connection], [], [])[0]):
        numbers = connection.recv(16) if ready else b""
        for number in numbers or [signal.SIGKILL]:
            os.kill(worker, number)
    code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    with suppress(BrokenPipeError):
        connection.sendall(array.array("i", [code]).tobytes())
    return 0


def ask(address: str, arguments: list[str]) -> int:
    """A process of the server's in the place of this one; returns the status that a shell would see."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        request = {"arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
        socket.send_fds(connection, [json.dumps(request).encode()], [0, 1, 2])
        for number in FORWARDED:
            signal.signal(number, lambda own, _: connection.sendall(bytes([own])))
        (code,) = array.array("i", connection.recv(4))
    return 128 - code if code < 0 else code


def run(arguments: list[str]) -> None:
    """What `python` does with `-m MODULE ...` or `SCRIPT ...`; options before them are left out."""
    while arguments[0].startswith("-") and arguments[0] != "-m":
        arguments = arguments[1:]
    if arguments[0] == "-m":
        sys.argv, sys.path[0] = arguments[1:], os.getcwd()
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    else:
        sys.argv, sys.path[0] = arguments, str(Path(arguments[0]).parent)
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    what, place, *further = sys.argv[1:]
    if what == "ask":
        sys.exit(ask(place, further))
    given = serve(place)
    sys.executable = further[0]
    run(given)
