"""What keeps one from logging in, each with a real server or none: one line, exit status 3, and what to do."""

import os
import shutil
import socket
import sys
import threading

import pytest

from edge_cnn.core.errors import DeviceUnavailableError
from edge_cnn.verify.devices import ssh_connection
from edge_cnn.verify.devices.table import find_kind, parse_device


def refusal(name):
    """The one line that a user sees."""
    device = parse_device(name)
    try:
        with pytest.raises(DeviceUnavailableError) as error:
            device.runtimes("tflite")
    finally:
        device.close()
    message = str(error.value)
    assert error.value.exit_status == 3
    assert "\n" not in message
    assert message.startswith(f"device {name!r}: ")
    return message.removeprefix(f"device {name!r}: ")


def python_that_says(board, lines):
    """A python3 on the board's PATH."""
    path = board.bin / "python3"
    path.unlink()
    path.write_text(f"#!/bin/sh\n{lines}\n")
    path.chmod(0o755)


def test_an_unknown_host_is_named(start_sshd):
    start_sshd()
    # Longer than a label of a name may be, so that no name server is asked.
    host = "no-such-board" * 5
    assert refusal(f"ssh://pi@{host}").startswith(f"unknown host {host!r} (")


def test_a_refused_connection_names_the_port(start_sshd, free_port):
    start_sshd()
    message = refusal(f"ssh://pi@127.0.0.1:{free_port}")
    assert f"refuses connections on port {free_port}" in message
    assert "apt-get install openssh-server" in message


def test_a_board_that_does_not_answer_is_given_up(start_sshd, monkeypatch):
    start_sshd()
    monkeypatch.setattr(ssh_connection, "OPTIONS", ("ConnectTimeout=1", *ssh_connection.OPTIONS))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "does not answer" in refusal(f"ssh://pi@127.0.0.1:{silent.getsockname()[1]}")


def test_something_else_than_an_ssh_server_is_told(start_sshd):
    start_sshd()
    with socket.create_server(("127.0.0.1", 0)) as web:

        def serve():
            connection, _ = web.accept()
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        message = refusal(f"ssh://pi@127.0.0.1:{web.getsockname()[1]}")
        thread.join()
    assert "is it an SSH server?" in message


def test_a_wrong_key_comes_with_the_command_that_brings_the_right_one(start_sshd, keygen):
    board = start_sshd()
    keygen(board.folder / "other_key")
    board.authorize(board.folder / "other_key.pub")
    message = refusal(board.device)
    assert "Permission denied (publickey)" in message
    assert f"ssh-copy-id -p {board.port} " in message


def test_a_key_that_others_can_read_is_told_with_its_name(start_sshd):
    board = start_sshd()
    key = board.folder / "user_key"
    key.chmod(0o644)
    assert f"chmod 600 {key}" in refusal(board.device)


def test_an_unknown_host_key_comes_with_the_command_that_accepts_it(start_sshd):
    board = start_sshd()
    board.known_hosts.write_text("")
    message = refusal(board.device)
    assert "host key is not known here" in message
    assert f"ssh -o StrictHostKeyChecking=ask -p {board.port} " in message
    assert board.known_hosts.read_text() == "", "nothing was accepted silently"


def test_a_lax_configuration_does_not_let_an_unknown_host_key_in(start_sshd):
    board = start_sshd()
    board.known_hosts.write_text("")
    board.write_config("StrictHostKeyChecking no")
    assert "host key is not known here" in refusal(board.device)


def test_a_changed_host_key_is_told_as_what_it_may_be(start_sshd, keygen):
    board = start_sshd()
    board.known_hosts.write_text("")
    keygen(board.folder / "former_host_key")
    board.know(board.port, board.folder / "former_host_key.pub")
    message = refusal(board.device)
    assert "somebody may be posing as 127.0.0.1" in message
    assert f"ssh-keygen -f {board.known_hosts} -R '[127.0.0.1]:{board.port}'" in message


def test_without_an_ssh_client_here_the_message_says_how_to_get_one(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get install openssh-client" in refusal("ssh://pi@127.0.0.1:2222")


def test_a_board_without_python_is_told(start_sshd):
    board = start_sshd()
    (board.bin / "python3").unlink()
    replace_path(board, f"{board.bin}:{programs(board)}")
    message = refusal(board.device)
    assert "no python3 on its PATH, Python 3.11 or newer is needed" in message
    assert "apt-get install python3" in message


def programs(board):
    """A folder with what a board has beside Python; /usr/bin has a Python as well."""
    only = board.folder / "programs"
    only.mkdir()
    for name in ("sh", "cat"):
        (only / name).symlink_to(shutil.which(name))
    return only


def replace_path(board, path):
    """Another PATH for sessions from now on: the server reads its configuration again."""
    config = board.folder / "sshd_config"
    before = config.read_text()
    config.write_text(before.replace(f'PATH="{board.bin}:/usr/bin:/bin"', f'PATH="{path}"'))
    assert config.read_text() != before
    board.reload()


def test_a_board_with_too_old_a_python_says_which(start_sshd):
    board = start_sshd()
    python_that_says(board, "echo 3.9.2")
    replace_path(board, f"{board.bin}:{programs(board)}")
    message = refusal(board.device)
    assert f"its Python is 3.9.2 ({board.bin}/python3), 3.11 or newer is needed" in message
    assert "apt-get install python3.11" in message


def test_a_newer_python_beside_too_old_a_one_is_found(start_sshd):
    board = start_sshd()
    python_that_says(board, "echo 3.10.12")
    (board.bin / "python3.12").symlink_to(os.path.realpath(sys.executable))
    replace_path(board, f"{board.bin}:{programs(board)}")
    device = parse_device(board.device)
    try:
        assert "no environment" in device.missing()
    finally:
        device.close()


def test_a_python_that_cannot_make_environments_comes_with_debians_package(start_sshd):
    board = start_sshd()
    real = os.path.realpath(sys.executable)
    # Debian's Python without its package python3-venv: ensurepip is not there.
    python_that_says(
        board,
        f'test "$1" = -ISc && exec {real} -ISc "import sys; sys.modules[\'ensurepip\'] = None\n$2"\nexec {real} "$@"',
    )
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"apt-get install python{version}-venv" in refusal(board.device)


def test_a_machine_without_wheels_is_told(start_sshd):
    board = start_sshd()
    real = os.path.realpath(sys.executable)
    python_that_says(
        board,
        f'exec {real} "$1" "import platform; platform.machine = lambda: \'riscv64\'\n$2"',
    )
    assert "its machine is 'riscv64', for which the runtimes have no wheels" in refusal(board.device)


def test_a_login_shell_that_runs_no_commands_is_told(start_sshd):
    board = start_sshd(wrapper="echo This account is currently not available. >&2; exit 1")
    assert "runs no commands (This account is currently not available.)" in refusal(board.device)


def test_a_chatty_login_shell_does_no_harm(start_sshd):
    board = start_sshd(wrapper='echo "Welcome to the board!"; exec sh -c "$SSH_ORIGINAL_COMMAND"')
    device = parse_device(board.device)
    try:
        assert "no environment" in device.missing()
    finally:
        device.close()


def test_the_table_can_make_a_board_ready_by_its_name(start_sshd):
    board = start_sshd()
    preparation = find_kind("ssh").preparation_of(board.device)
    assert "no environment with numpy" in preparation.missing()
    board.stop()
    assert "refuses connections" in preparation.missing()
