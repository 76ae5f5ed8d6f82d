"""Outside programs with a time limit: whatever they do ends in their output or in one line."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edge_cnn.core.errors import CompilerError, CompilerMissingError

_READ_BYTES = 16 * 2**20
"""Of each stream: a report of a large network takes some hundred kB, and a program gone mad may write for hours."""
_LINES_SHOWN = 3
_LINE_LENGTH = 300


@dataclass(frozen=True)
class Finished:
    """A program that ended with exit status 0.

    Attributes:
        name: what messages call it.
        advice: what to do where its output cannot be understood.
        stdout, stderr: what it wrote, in UTF-8; bytes that are none are replaced.
    """

    name: str
    advice: str
    stdout: str
    stderr: str

    def not_understood(self, what: str) -> CompilerError:
        """The error for output that lacks something: `what` was missing, in words."""
        return _error(f"{self.name} ended well, but {what}", self.stdout + self.stderr, self.advice)


def run_program(
    command: Sequence[str | Path],
    *,
    name: str,
    limit_s: float,
    advice: str,
    install: str,
    environment: Mapping[str, str] | None = None,
) -> Finished:
    """Run a program and wait; it and its children are killed at the limit, and when this wait is interrupted.

    Args:
        command: argument list.
        name: what messages call it, for example "Vela".
        limit_s: seconds that it may take.
        advice: what to do where it fails.
        install: what to do where it is not there.
        environment: its variables; None for those of this process.

    Raises:
        CompilerMissingError: it is not there, or may not be run.
        CompilerError: it did not end in time, or ended with a signal or another exit status than 0.
    """
    # Files, not pipes: a grandchild that outlives its parent would keep a pipe open.
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        try:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=environment,
                start_new_session=True,  # A process group of its own, so that all of it can be killed.
            )
        except OSError as error:
            raise CompilerMissingError(f"cannot start {name}, {command[0]}: {error.strerror}; {install}") from error
        try:
            status = process.wait(limit_s)
        except subprocess.TimeoutExpired:
            _kill_group(process)
            said = _said(stdout) + _said(stderr)
            raise _error(f"{name} took more than {limit_s:g} s and was stopped", said, advice) from None
        except BaseException:
            _kill_group(process)
            raise
        finished = Finished(name, advice, _said(stdout), _said(stderr))
        if status != 0:
            raise _error(f"{name} ended with {_end(status)}", finished.stdout + finished.stderr, advice)
        return finished


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    # Not reaped yet, so nobody else has got its number.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _end(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:  # Most real-time signals have numbers only.
        return f"signal {-status}"
    return f"{name}, most likely out of memory" if name == "SIGKILL" else name


def _said(file: IO[bytes]) -> str:
    """What was written, of too much the end."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _READ_BYTES))
    return file.read().decode(errors="replace")


def _error(what: str, said: str, advice: str) -> CompilerError:
    lines = [_printable(line) for line in said.splitlines()]
    # Lines of carets are Python's pointing at the line above.
    last = [line[:_LINE_LENGTH] for line in lines if line.strip("^~ ")][-_LINES_SHOWN:]
    told = f", saying '{' | '.join(last)}'" if last else " without a word"
    error = CompilerError(f"{what}{told}; {advice}")
    if any(lines):
        error.add_note("output of the program:\n" + "\n".join(lines))
    return error


def _printable(line: str) -> str:
    # Escape sequences would reach the terminal of whoever reads the message.
    return "".join(letter if letter.isprintable() else " " for letter in line).strip()
