from __future__ import annotations

import logging
import os
import subprocess
import sys
import warnings

import pytest

from converters.converter_output import silent_step
from edge_cnn.core.errors import DataError, ModelError


def chatter() -> None:
    os.write(1, b"from C++ to stdout\n")
    os.write(2, b"from C++ to stderr\n")
    sys.stdout.write("from Python\n")
    logging.warning("from a logger")  # converters call the root logger
    warnings.warn("from a library", stacklevel=1)


def test_chatter_is_not_shown(capfd: pytest.CaptureFixture[str]) -> None:
    with silent_step("converting"):
        chatter()
    assert capfd.readouterr() == ("", "")


def test_output_works_again_afterwards(capfd: pytest.CaptureFixture[str]) -> None:
    handlers, disabled = list(logging.getLogger().handlers), logging.root.manager.disable
    with pytest.raises(ModelError), silent_step("converting"):
        raise ValueError("no")
    os.write(2, b"back\n")
    sys.stdout.write("here\n")
    assert capfd.readouterr() == ("here\n", "back\n")
    assert logging.getLogger().handlers == handlers
    assert logging.root.manager.disable == disabled


def test_a_failure_is_one_line_with_the_chatter_as_a_note() -> None:
    def fail() -> None:
        chatter()
        raise ValueError("first line\nsecond line")

    expected = r"^converting m failed: ValueError: first line; run again with"
    with pytest.raises(ModelError, match=expected) as caught, silent_step("converting m"):
        fail()
    cause = caught.value.__cause__
    assert cause is not None
    assert "from C++ to stderr" in cause.__notes__[0]
    assert "from Python" in cause.__notes__[0]


def test_errors_of_this_project_and_interrupts_pass_unchanged() -> None:
    with pytest.raises(DataError, match=r"^mine$"), silent_step("converting"):
        raise DataError("mine")
    with pytest.raises(KeyboardInterrupt), silent_step("converting"):
        raise KeyboardInterrupt


def test_a_process_without_stderr_can_convert() -> None:
    code = """
import os
os.close(2)
from converters.converter_output import silent_step
with silent_step("x"):
    print("a")
print("b")
"""
    done = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "b\n")
