"""SIGINT and SIGTERM that are noted, and what a script then ends with."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from kp_helpers.notebook.stop_signals import STOPPING, Terminated, noted_signals, stopped_by


def handlers() -> list:
    return [signal.getsignal(number) for number in STOPPING]


@pytest.mark.parametrize("number", STOPPING)
def test_the_first_signal_is_noted_and_the_handlers_are_back_at_once(number):
    before = handlers()
    with noted_signals() as noted:
        assert handlers() != before
        os.kill(os.getpid(), number)
        assert noted == [number] and handlers() == before
    assert handlers() == before


def test_the_second_ctrl_c_acts_as_ever():
    with pytest.raises(KeyboardInterrupt), noted_signals() as noted:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
    assert noted == [signal.SIGINT]


def test_the_handlers_are_back_after_an_error():
    before = handlers()
    with pytest.raises(ZeroDivisionError), noted_signals():
        _ = 1 / 0
    assert handlers() == before


def test_other_threads_note_nothing():
    seen = []

    def work() -> None:
        before = handlers()
        with noted_signals() as noted:
            seen.append((handlers() == before, noted))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [(True, [])]


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_script_ends_as_the_signal_would_have_ended_it(name, status):
    script = "import signal\nfrom kp_helpers.notebook.stop_signals import stopped_by\n"
    script += f"raise stopped_by(signal.{name}, 'stopped behind step 3')"
    done = subprocess.run(["bash", "-c", f'{sys.executable} -c "{script}"; exit $?'], capture_output=True)
    assert done.returncode == status


def test_what_is_raised_tells_its_sentence():
    assert str(stopped_by(signal.SIGTERM, "behind step 3")) == "behind step 3"
    assert isinstance(stopped_by(signal.SIGTERM, ""), Terminated)
