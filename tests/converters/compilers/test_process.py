from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from converters.compilers.process import Finished, run_program
from edge_cnn.core.errors import CompilerError, CompilerMissingError


def run(command: list[Any], limit_s: float = 60.0) -> Finished:
    return run_program(command, name="Chipc", limit_s=limit_s, advice="leave it out", install="install it")


def is_gone(process: int) -> bool:
    """Whether a process has ended; whoever inherits orphans may be slow to reap them."""
    for _ in range(200):
        try:
            if Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] in "ZX":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc on this system")


def test_what_a_program_writes_comes_back_by_streams(program: Callable[..., Path]) -> None:
    finished = run([program("echo to stdout; echo to stderr >&2")])
    assert (finished.stdout, finished.stderr) == ("to stdout\n", "to stderr\n")


def test_words_reach_the_program_as_they_are(program: Callable[..., Path]) -> None:
    assert run([program('printf "%s\\n" "$@"'), "a b", Path("*"), "$HOME"]).stdout == "a b\n*\n$HOME\n"


@pytest.mark.parametrize("mode", [None, 0o644])
def test_a_program_that_is_missing_or_no_program_says_what_installs_it(tmp_path: Path, mode: int | None) -> None:
    path = tmp_path / "chipc"
    if mode is not None:
        path.write_text("text")
        path.chmod(mode)
    with pytest.raises(CompilerMissingError, match=r"cannot start Chipc, .*/chipc: .*; install it$") as caught:
        run([path])
    assert caught.value.exit_status == 3


@pytest.mark.parametrize("name", ["SIGSEGV", "SIGFPE", "SIGABRT"])
def test_a_crash_is_told_by_its_signal_and_the_last_words(program: Callable[..., Path], name: str) -> None:
    script = f"for i in 1 2 3 4 5; do echo step $i; done; kill -{name.removeprefix('SIG')} $$"
    with pytest.raises(CompilerError) as caught:
        run([program(script)])
    assert str(caught.value) == f"Chipc ended with {name}, saying 'step 3 | step 4 | step 5'; leave it out"
    assert caught.value.exit_status == 3
    assert "step 1" in caught.value.__notes__[0]


def test_a_kill_from_outside_is_told_as_what_it_mostly_is(program: Callable[..., Path]) -> None:
    with pytest.raises(CompilerError, match="ended with SIGKILL, most likely out of memory without a word; leave it"):
        run([program("kill -KILL $$")])


def test_an_exit_status_is_told_with_both_streams_last_words(program: Callable[..., Path]) -> None:
    with pytest.raises(CompilerError, match=r"ended with exit status 7, saying 'out \| err'; leave it out"):
        run([program("echo out; echo err >&2; exit 7")])


@needs_proc
def test_at_the_limit_the_program_and_its_children_are_killed(program: Callable[..., Path], tmp_path: Path) -> None:
    script = program(f"sleep 600 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/self; echo so far; wait")
    with pytest.raises(CompilerError, match=r"took more than 1 s and was stopped, saying 'so far'; leave it out"):
        run([script], limit_s=1.0)
    assert all(is_gone(int((tmp_path / name).read_text())) for name in ("self", "child"))


@needs_proc
def test_a_child_that_outlives_a_program_does_not_hold_the_wait(program: Callable[..., Path], tmp_path: Path) -> None:
    script = program(f"sleep 30 & echo $! > {tmp_path}/child; echo done")
    try:
        assert run([script], limit_s=20.0).stdout == "done\n"
    finally:
        os.kill(int((tmp_path / "child").read_text()), signal.SIGKILL)


@needs_proc
def test_ctrl_c_kills_the_program_and_its_children(program: Callable[..., Path], tmp_path: Path) -> None:
    script = program(f"sleep 600 & echo $! > {tmp_path}/child; echo $$ > {tmp_path}/self; wait")
    code = (
        "from converters.compilers.process import run_program\n"
        f"run_program([{str(script)!r}], name='Chipc', limit_s=600, advice='', install='')\n"
    )
    waiting = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "self").exists() or not (tmp_path / "self").read_text():
        assert waiting.poll() is None
        time.sleep(0.05)
    waiting.send_signal(signal.SIGINT)
    _, said = waiting.communicate(timeout=60)
    assert waiting.returncode in (130, -signal.SIGINT)
    assert "KeyboardInterrupt" in said
    assert all(is_gone(int((tmp_path / name).read_text())) for name in ("self", "child"))


def test_garbage_becomes_one_printable_line(program: Callable[..., Path]) -> None:
    with pytest.raises(CompilerError) as caught:
        run([program(r"printf '\033[31mred\033[0m \377\376 \007\nlast\r\n\000\n'; exit 1")])
    message = str(caught.value)
    assert message.isprintable()
    assert "last" in message
    assert "red" in message


def test_a_word_of_a_megabyte_is_cut(program: Callable[..., Path]) -> None:
    with pytest.raises(CompilerError) as caught:
        run([program("head -c 1000000 /dev/zero | tr '\\0' x; exit 1")])
    assert 300 < len(str(caught.value)) < 500


def test_of_endless_output_the_end_is_read(program: Callable[..., Path]) -> None:
    finished = run([program("head -c 20000000 /dev/zero; echo end")])
    assert len(finished.stdout) == 16 * 2**20
    assert finished.stdout.endswith("end\n")


def test_output_that_cannot_be_understood_is_an_error_with_the_last_words(program: Callable[..., Path]) -> None:
    error = run([program("echo 42")]).not_understood("told no size")
    assert str(error) == "Chipc ended well, but told no size, saying '42'; leave it out"
    assert isinstance(error, CompilerError)
