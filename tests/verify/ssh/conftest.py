"""Boards on this machine: loopback sshds of our own, and one of them made ready once for the session."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from edge_cnn.verify.devices.ssh_connection import CONFIG_VARIABLE
from edge_cnn.verify.devices.table import parse_device


def _beside(name):
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_sshd, _proxy = _beside("loopback_sshd"), _beside("cuttable_proxy")


def _skip_without_openssh():
    missing = _sshd.what_is_missing()
    if missing:
        pytest.skip(missing)


@pytest.fixture
def start_sshd(tmp_path, monkeypatch):
    """Starts a board with `LoopbackSshd`'s arguments and makes it the one that the client's configuration is for."""
    _skip_without_openssh()
    started = []

    def start(**options):
        board = _sshd.LoopbackSshd(tmp_path / f"board{len(started)}", **options)
        started.append(board)
        monkeypatch.setenv(CONFIG_VARIABLE, str(board.config))
        return board

    yield start
    for board in started:
        board.stop()


@pytest.fixture(scope="session")
def steps():
    """What the set-up of `ready_board` told."""
    return []


@pytest.fixture(scope="session")
def ready_board(tmp_path_factory, steps):
    """A board that its first use has made ready: pip downloads and unpacks, the one slow part."""
    _skip_without_openssh()
    board = _sshd.LoopbackSshd(tmp_path_factory.mktemp("ready") / "board")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONFIG_VARIABLE, str(board.config))
        device = parse_device(board.device)
        device.on_step = lambda *step: steps.append(step)
        try:
            device.runtimes("tflite")
        finally:
            device.close()
    yield board
    board.stop()


@pytest.fixture
def board(ready_board, monkeypatch):
    """`ready_board`, and its client configuration in force."""
    monkeypatch.setenv(CONFIG_VARIABLE, str(ready_board.config))
    return ready_board


@pytest.fixture
def cable(board):
    """A cable to `board` that can be cut."""
    proxy = _proxy.CuttableProxy(board.port)
    board.know(proxy.port)
    yield proxy
    proxy.close()


@pytest.fixture
def cable_to():
    """Lays such a cable to another board."""
    laid = []

    def lay(board):
        laid.append(_proxy.CuttableProxy(board.port))
        board.know(laid[-1].port)
        return laid[-1]

    yield lay
    for proxy in laid:
        proxy.close()


@pytest.fixture
def keygen():
    return _sshd.keygen


@pytest.fixture
def free_port():
    return _sshd.free_port()


@pytest.fixture
def agents_of():
    """Process ids of the agents that run from a board's folder."""
    if not Path("/proc/self/environ").exists():
        pytest.skip("needs /proc: run it on Linux")

    def find(board):
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                command = (process / "cmdline").read_bytes()
                variables = (process / "environ").read_bytes()
            except OSError:  # Gone, or another user's.
                continue
            if b"\0edge_cnn.device.agent\0" in command and os.fsencode(board.cache) in variables:
                found.append(int(process.name))
        return found

    return find
