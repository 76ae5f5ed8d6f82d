import os
import signal
import subprocess
import sys

import pytest

from edge_cnn.device.process_end import MEANINGS, describe_end


@pytest.mark.parametrize("name", sorted(MEANINGS))
def test_what_subprocess_tells_of_a_signal_is_told_in_words(name):
    code = f"import os, signal; os.kill(os.getpid(), signal.{name})"
    status = subprocess.run([sys.executable, "-c", code], check=False, stderr=subprocess.DEVNULL).returncode
    assert describe_end(status) == f"{name}: {MEANINGS[name]}"


def test_an_exit_status_and_other_signals_are_told_by_number_and_name():
    assert describe_end(7) == "exit status 7"
    assert describe_end(0) == "exit status 0"
    assert describe_end(-signal.SIGTERM) == "SIGTERM"
    # Between SIGRTMIN and SIGRTMAX, which have names, lie numbers that have none.
    if hasattr(signal, "SIGRTMIN"):
        assert describe_end(-(signal.SIGRTMIN + 1)) == f"signal {signal.SIGRTMIN + 1}"


def test_the_words_of_two_ends_that_users_meet_most():
    assert describe_end(-9) == "SIGKILL: killed, most likely out of memory"
    assert describe_end(-4) == "SIGILL: the CPU lacks an instruction the runtime was built for"
    assert os.WTERMSIG(9) == signal.SIGKILL


def test_a_shell_tells_a_signal_as_128_plus_its_number():
    # `sh -c 'kill -SEGV $$'` under another shell; 255 and 200 are no signal's.
    assert describe_end(139) == describe_end(-signal.SIGSEGV)
    assert describe_end(137) == describe_end(-signal.SIGKILL)
    assert describe_end(200) == "exit status 200"
    assert describe_end(255) == "exit status 255"
