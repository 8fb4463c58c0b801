"""SIGINT and SIGTERM as a wish to stop, which long work obeys where it can go on from later."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

STOPPING = (signal.SIGINT, signal.SIGTERM)


class Terminated(SystemExit):
    """SIGTERM was obeyed: a script that does not catch it ends with 143."""

    def __init__(self, sentence: str):
        super().__init__(sentence)
        self.code = 128 + signal.SIGTERM

    def __str__(self) -> str:
        return self.args[0]


@contextmanager
def noted_signals() -> Iterator[list[signal.Signals]]:
    """A list that the first SIGINT or SIGTERM is noted in; a second one does what it would have done before.

    The handlers of before are back at the end, whatever happens. Outside the main thread nothing is noted:
    Python lets no other thread have handlers.
    """
    noted: list[signal.Signals] = []
    if threading.current_thread() is not threading.main_thread():
        yield noted
        return
    before = {number: signal.getsignal(number) or signal.SIG_DFL for number in STOPPING}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def note(number: int, frame) -> None:
        noted.append(signal.Signals(number))
        restore()

    for number in STOPPING:
        signal.signal(number, note)
    try:
        yield noted
    finally:
        restore()


def stopped_by(number: signal.Signals, sentence: str) -> BaseException:
    """What to raise for a signal that was noted, so that a script ends as the signal would have ended it.

    KeyboardInterrupt for SIGINT (130), `Terminated` for SIGTERM (143).
    """
    return KeyboardInterrupt(sentence) if number == signal.SIGINT else Terminated(sentence)
