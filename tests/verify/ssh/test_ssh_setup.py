"""Making a board ready: once, by hash, from where it stopped, and telling what is in the way."""

import fcntl
import hashlib
import json
import os
import subprocess

import numpy as np
import pytest

from edge_cnn.cli.main import main
from edge_cnn.core.errors import DeviceUnavailableError
from edge_cnn.verify.devices import board_wheels
from edge_cnn.verify.devices.device_side import device_side_files, fingerprint
from edge_cnn.verify.devices.ssh_board import packed
from edge_cnn.verify.devices.table import find_kind

pytestmark = pytest.mark.slow  # the first board's environment takes pip a quarter of a minute or more


@pytest.fixture
def bare_board(start_sshd, ready_board):
    """A board with the environment of `ready_board`, and without edge_cnn."""

    def start(**options):
        board = start_sshd(**options)
        (board.cache / "board").mkdir(parents=True)
        (board.cache / "board" / "environments").symlink_to(ready_board.cache / "board" / "environments")
        return board

    return start


@pytest.fixture
def numpy_alone(monkeypatch):
    """An environment that is quickly made; what is done with it is done with the whole as well."""
    monkeypatch.setattr(board_wheels, "MACHINES", dict.fromkeys(board_wheels.MACHINES, ("numpy",)))


def set_up(name):
    """The steps that it took."""
    steps = []
    find_kind("ssh").preparation_of(name).setup(lambda *step: steps.append(step[2]))
    return steps


def sources(board):
    return board.cache / "board" / "device-side" / fingerprint(device_side_files())


def incoming(board):
    return sorted(file.name for file in (board.cache / "board" / "incoming").iterdir())


ARCHIVE = packed(device_side_files())
SHA256 = hashlib.sha256(ARCHIVE).hexdigest()


def test_the_first_use_brings_sources_and_an_environment_and_the_second_nothing(ready_board, board, steps):
    assert [done for done, _, _ in steps] == sorted(done for done, _, _ in steps)
    assert any(step == "copying edge_cnn" for _, _, step in steps)
    assert any(step.startswith("installing numpy==") for _, _, step in steps)
    for name, data in device_side_files().items():
        assert (sources(ready_board) / name).read_bytes() == data
    assert find_kind("ssh").preparation_of(board.device).missing() is None
    assert set_up(board.device) == ["logging in"]


def test_the_command_line_makes_a_board_ready_and_tells_its_steps(bare_board, capsys):
    board = bare_board()
    assert main(["devices", "setup", board.device, "--json"]) == 0
    captured = capsys.readouterr()
    assert f"setting up {board.device} 2/4: copying edge_cnn" in captured.err.splitlines()
    (row,) = json.loads(captured.out)["devices"]
    assert (row["name"], row["ready"]) == (board.device, True)
    assert main(["devices", "setup", board.device.replace(str(board.port), "0")]) == 2
    board.stop()
    assert main(["devices", "setup", board.device]) == 3
    assert "refuses connections" in capsys.readouterr().err


def test_nothing_temporary_stays_on_the_board(ready_board):
    assert incoming(ready_board) == []
    assert [p.name for p in sources(ready_board).parent.iterdir()] == [sources(ready_board).name]


def test_sources_are_copied_by_their_hash_and_those_of_others_go_unless_in_use(bare_board):
    board = bare_board()
    old, busy = sources(board).with_name("0" * 16), sources(board).with_name("1" * 16)
    for folder in (old, busy):
        (folder / "edge_cnn").mkdir(parents=True)
    handle = os.open(busy, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH)
        assert "copying edge_cnn" in set_up(board.device)
    finally:
        os.close(handle)
    assert sources(board).is_dir()
    assert busy.is_dir()
    assert not old.exists()


def test_a_copy_that_was_cut_goes_on_where_it_stopped(bare_board, cable_to):
    board = bare_board()
    cable = cable_to(board)
    half = len(ARCHIVE) // 2
    cable.cut_after(half + 20_000)  # the login and two commands take some
    set_up(board.device.replace(str(board.port), str(cable.port)))
    first, second = cable.sent
    assert half < first < len(ARCHIVE)
    # What is repeated is the login; what came before the cut is not sent again.
    assert second < len(ARCHIVE)
    assert first + second < len(ARCHIVE) + half
    for name, data in device_side_files().items():
        assert (sources(board) / name).read_bytes() == data
    assert incoming(board) == []


def test_a_partial_copy_of_something_else_is_not_taken_for_a_beginning(bare_board):
    board = bare_board()
    (board.cache / "board" / "incoming").mkdir()
    (board.cache / "board" / "incoming" / f"{SHA256}.part").write_bytes(b"x" * 50_000)
    set_up(board.device)
    assert (sources(board) / "edge_cnn" / "__init__.py").exists()
    assert incoming(board) == []


def test_a_full_board_says_so_and_goes_on_when_there_is_space(bare_board):
    board = bare_board(wrapper='ulimit -f 32; exec sh -c "$SSH_ORIGINAL_COMMAND"')  # in blocks of 512 bytes, POSIX
    with pytest.raises(DeviceUnavailableError, match="no space left on it") as error:
        set_up(board.device)
    assert str(board.cache) in str(error.value)
    assert incoming(board) == [f"{SHA256}.part"]
    held = (board.cache / "board" / "incoming" / f"{SHA256}.part").read_bytes()
    assert held == ARCHIVE[: len(held)]
    assert held
    (board.folder / "wrapper").write_text('#!/bin/sh\nexec sh -c "$SSH_ORIGINAL_COMMAND"\n')
    set_up(board.device)
    assert incoming(board) == []


@pytest.mark.usefixtures("numpy_alone")
def test_a_board_that_fills_up_while_pip_installs_says_so(start_sshd):
    board = start_sshd(wrapper='ulimit -f 8192; exec sh -c "$SSH_ORIGINAL_COMMAND"')  # 4 MiB a file: numpy needs more
    with pytest.raises(DeviceUnavailableError, match=r"no space left on it \(.* MB free in .*board\)"):
        set_up(board.device)
    assert "no environment" in find_kind("ssh").preparation_of(board.device).missing()


def test_a_file_where_the_folder_should_be_is_named(start_sshd):
    board = start_sshd()
    board.cache.write_text("")
    with pytest.raises(DeviceUnavailableError, match=f"its folder cannot be used .*{board.cache}"):
        set_up(board.device)


NO_INDEX = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}


@pytest.mark.usefixtures("numpy_alone")
def test_a_board_whose_pip_reaches_no_index_gets_wheels_from_here_once_this_side_reaches_one(
    start_sshd, monkeypatch, tmp_path
):
    monkeypatch.setenv("EDGE_CNN_CACHE", str(tmp_path / "cache"))
    board = start_sshd(environment={**NO_INDEX, "PIP_RETRIES": "0"})
    with monkeypatch.context() as patch:
        for name, value in {**NO_INDEX, "PIP_RETRIES": "0"}.items():
            patch.setenv(name, value)
        with pytest.raises(DeviceUnavailableError, match=r"its pip reaches no index .* and pip here cannot fetch"):
            set_up(board.device)
    # What is there by now is half an environment, and is not taken for a whole one.
    (environment,) = (board.cache / "board" / "environments").iterdir()
    assert (environment / "bin" / "python").exists()
    assert "no environment" in find_kind("ssh").preparation_of(board.device).missing()

    assert "bringing wheels, since its pip reaches no index" in set_up(board.device)
    there = "import numpy; print(numpy.__version__, numpy.__file__)"
    done = subprocess.run([environment / "bin" / "python", "-Ic", there], capture_output=True, text=True, check=True)
    version, file = done.stdout.split()
    assert version == np.__version__
    assert file.startswith(str(environment))
    assert incoming(board) == []
    assert find_kind("ssh").preparation_of(board.device).missing() is None
