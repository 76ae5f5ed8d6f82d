"""One login on a board through the system's OpenSSH client; every command there shares it.

The user's own client, not a library: it knows the user's configuration, agent, jump hosts and known hosts, and its
stdin and stdout are the pipe that an agent needs.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import subprocess
import tempfile
import threading
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import IO, Any

from edge_cnn.core.errors import DeviceUnavailableError
from edge_cnn.verify.devices.board_keeper import MARK
from edge_cnn.verify.devices.ssh_address import SshAddress
from edge_cnn.verify.devices.ssh_errors import ConnectionLostError, explain

CONFIG_VARIABLE = "EDGE_CNN_SSH_CONFIG"
"""Names a configuration file for the ssh client, in place of the user's own."""
CONNECT_S = 10
LOGIN_S = 60.0
LOST = 255
"""The client's own exit status; a command's is never that (`board_agent.shell_status`)."""

OPTIONS = (
    "BatchMode=yes",  # keys only: nobody may be there to type a password
    "StrictHostKeyChecking=yes",
    f"ConnectTimeout={CONNECT_S}",
    "ServerAliveInterval=5",  # a connection that is dead is known to be so after 15 seconds
    "ServerAliveCountMax=3",
    "LogLevel=ERROR",
    # What the user's configuration may say for sessions by hand, and what would disturb a pipe.
    "ClearAllForwardings=yes",
    "ControlPersist=no",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "RequestTTY=no",
)

# Plain words in single quotes, no quote, backslash or exclamation mark inside: any login shell passes that on as it is.
_FIRST_WORDS = (
    "sh -c 'for name in python3 python3.14 python3.13 python3.12 python3.11; do "
    'path=$(command -v $name) && version=$("$path" -ISc "import sys; print(sys.version.split()[0])" 2>/dev/null) '
    f'&& echo "{MARK}$version $path"; done; echo "{MARK}ready"; exec cat\''
)


class SshConnection:
    """A login that stays until `close`.

    Args:
        address: of the board.
        device: name for messages.

    Attributes:
        pythons: version and path of each Python 3 on the board's PATH, its `python3` first.

    Raises:
        DeviceUnavailableError: no ssh client here, or the login fails.
    """

    def __init__(self, address: SshAddress, *, device: str) -> None:
        self._address = address
        self._device = device
        # Short, since the path of a socket has room for a hundred characters only; nobody else may enter the folder.
        self._folder = tempfile.TemporaryDirectory(prefix="ec-", dir="/tmp" if Path("/tmp").is_dir() else None)  # noqa: S108
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the login; close() closes it
        try:
            # It ends with this process, however that ends: its stdin is then closed, and `cat` with it.
            self._master = self._start(*self._client("ControlMaster=yes"), *address.arguments, _FIRST_WORDS)
            self.pythons = tuple(self._greeted())
        except BaseException:
            self.close()
            raise

    def _start(self, *command: str, stderr: IO[bytes] | None = None) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr or self._stderr
            )
        except FileNotFoundError as error:
            raise DeviceUnavailableError(
                f"device {self._device!r}: there is no ssh client here; install one (Debian: apt-get install "
                "openssh-client)"
            ) from error
        except OSError as error:
            raise DeviceUnavailableError(
                f"device {self._device!r}: cannot start the ssh client: {error.strerror}"
            ) from error

    def _client(self, *options: str) -> tuple[str, ...]:
        given = os.environ.get(CONFIG_VARIABLE)
        path = f"ControlPath={self._folder.name}/socket"
        return (
            "ssh",
            *(("-F", given) if given else ()),
            *(part for option in (*OPTIONS, path, *options) for part in ("-o", option)),
        )

    def _greeted(self) -> Generator[tuple[str, str]]:
        with _limit(self._master, LOGIN_S) as expired:
            for line in self._master.stdout or ():
                text = line.decode(errors="replace").strip()
                if text == f"{MARK}ready":
                    return
                if text.startswith(MARK):
                    version, _, path = text.removeprefix(MARK).partition(" ")
                    yield version, path
            status = self._master.wait()
        said = _text(self._stderr)
        if expired.is_set():
            reason = f"it did not let {self._address.login} in within {LOGIN_S:g} s; try it by hand: "
            raise self._error(reason + self._address.by_hand())
        if status == LOST:
            raise self._error(explain(said, self._address))
        last = said.strip().splitlines()[-1:] or [f"exit status {status}"]
        raise self._error(
            f"its login shell runs no commands ({last[0]}); edge_cnn needs a POSIX shell there: "
            f"{self._address.by_hand()} echo hello"
        )

    def command(self, python: str, script: str, request: dict[str, Any]) -> tuple[str, ...]:
        """The command that has the board's Python run a script's `main` on its stdin and stdout.

        Args:
            python: path there.
            script: name of a file beside this one; it imports the standard library alone.
            request: what `main` takes; JSON values.
        """
        source = Path(__file__).with_name(script).read_text("utf-8")
        program = f"{source}\nimport json, sys\nsys.exit(main(json.loads({json.dumps(request)!r})))\n"
        # Base 64, and so nothing in it that a shell could read its own way, whichever shell it is.
        packed = base64.b64encode(zlib.compress(program.encode(), 9)).decode()
        remote = f"'{python}' -ISc \"import base64,zlib;exec(zlib.decompress(base64.b64decode('{packed}')))\""
        return (*self._client("ControlMaster=no"), *self._address.arguments, remote)

    def ask(self, python: str, request: dict[str, Any], *, limit_s: float, data: bytes | None = None) -> dict[str, Any]:
        """Have the board do something and wait for its answer.

        Args:
            python: path of a Python there.
            request: see `board_keeper`; one with "error" comes back as it is.
            limit_s: seconds.
            data: what it receives; the board says from where.

        Raises:
            ConnectionLostError: before the answer came.
            DeviceUnavailableError: no answer, for another reason.
        """
        with tempfile.TemporaryFile() as stderr:
            process = self._start(*self.command(python, "board_keeper.py", request), stderr=stderr)
            try:
                with _limit(process, limit_s) as expired:
                    answer = self._answer(process)
                    if data is not None and answer is not None and "error" not in answer:
                        _send(process, data, answer)
                        answer = self._answer(process)
                    _close(process.stdin)
                    status = process.wait()
            finally:
                process.kill()
                process.wait()
                _close(process.stdin)
                _close(process.stdout)
            said = _text(stderr)
        if answer is not None:
            return answer
        if expired.is_set():
            raise self._error(f"{request['op']!r} took more than {limit_s:g} s there")
        lost = self.lost(status, said)
        if lost is not None:
            raise lost
        last = said.strip().splitlines()[-1:] or [f"exit status {status}"]
        raise self._error(f"{python} there fails: {last[0]}; try it by hand: {self._address.by_hand()} {python} -V")

    def _answer(self, process: subprocess.Popen[bytes]) -> dict[str, Any] | None:
        for line in process.stdout or ():
            if line.startswith(MARK.encode()):
                return json.loads(line.removeprefix(MARK.encode()))
        return None

    def lost(self, status: int, said: str) -> ConnectionLostError | None:
        """The error where an exit status, and what was said on stderr, mean a lost connection."""
        if status != LOST:
            return None
        last = said.strip().splitlines()[-1:] or ["ssh gave no reason"]
        return ConnectionLostError(
            f"device {self._device!r}: the connection was lost ({last[0].strip()}); is the board still on and in reach?"
        )

    def close(self) -> None:
        """Log out."""
        master = getattr(self, "_master", None)
        if master is not None:
            _close(master.stdin)
            # No time for politeness: whatever still runs there is ended by its closed pipes.
            master.terminate()
            master.wait()
            _close(master.stdout)
        self._stderr.close()
        self._folder.cleanup()

    def _error(self, reason: str) -> DeviceUnavailableError:
        return DeviceUnavailableError(f"device {self._device!r}: {reason}")


def _send(process: subprocess.Popen[bytes], data: bytes, held: dict[str, Any]) -> None:
    """What the board does not hold yet; all of it where what it holds is something else."""
    import hashlib

    offset = int(held["offset"])
    good = hashlib.sha256(data[:offset]).hexdigest() == held["sha256"]
    assert process.stdin is not None, "started with pipes"
    with contextlib.suppress(BrokenPipeError):  # A lost connection is told by the missing answer.
        process.stdin.write(b"y" + data[offset:] if good else b"n" + data)
    _close(process.stdin)


@contextlib.contextmanager
def _limit(process: subprocess.Popen[bytes], seconds: float) -> Generator[threading.Event]:
    """Kill `process` after so many seconds; the event tells."""
    expired = threading.Event()

    def expire() -> None:
        expired.set()
        process.kill()

    timer = threading.Timer(seconds, expire)
    timer.daemon = True
    timer.start()
    try:
        yield expired
    finally:
        timer.cancel()


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _close(stream: IO[bytes] | None) -> None:
    with contextlib.suppress(OSError):  # Data may be left in the buffer of a dead child's pipe.
        if stream is not None:
            stream.close()
