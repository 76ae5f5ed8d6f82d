"""Make a board ready over a login: edge_cnn's sources and an environment of their own, each copied or made once."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from typing import Any

from edge_cnn.core.errors import DeviceUnavailableError
from edge_cnn.verify.devices.agent_device import AGENT_MODULE
from edge_cnn.verify.devices.board_wheels import BoardPython, fetch_wheels
from edge_cnn.verify.devices.device_side import device_side_files, fingerprint
from edge_cnn.verify.devices.preparation import OnStep
from edge_cnn.verify.devices.ssh_connection import SshConnection

OLDEST_PYTHON = (3, 11)
ANSWER_S = 60.0
COPY_S = 1800.0
INSTALL_S = 3600.0
"""pip on a small board unpacks for minutes; a connection that is lost meanwhile is noticed long before."""

_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class SshBoard:
    """A board that somebody is logged in on.

    Attributes:
        name: DEVICE, for messages.
        connection: the login.
        python: path there, of a Python that is new enough.
        about: of that Python.
        state: what is there, as `board_keeper.look` says it.
        requirements: of its environment.
        request: {fingerprint, key}: which sources and which environment are meant.
    """

    name: str
    connection: SshConnection
    python: str
    about: BoardPython
    state: dict[str, Any]
    requirements: tuple[str, ...]
    request: dict[str, str]

    @property
    def missing(self) -> str | None:
        """What is not there yet, for a person."""
        wanted = ", ".join(self.requirements)
        if not self.state["environment"]:
            return f"no environment with {wanted} in {self.state['root']} there"
        return None if self.state["sources"] else "this edge_cnn has not been copied there"

    def setup(self, on_step: OnStep) -> None:
        """Copy and make what is missing.

        Raises:
            ConnectionLostError: in the middle; a further call goes on from there.
            DeviceUnavailableError: it cannot be made ready; the message says what to do.
        """
        if not self.state["sources"]:
            on_step(1, 4, "copying edge_cnn")
            data = packed(device_side_files())
            self._copy(data)
            self._ask({"op": "unpack", "sha256": hashlib.sha256(data).hexdigest()}, COPY_S)
        if not self.state["environment"]:
            on_step(2, 4, f"installing {', '.join(self.requirements)}")
            self._install(on_step)

    def agent_command(self) -> tuple[str, ...]:
        """Starts the agent, its stdin and stdout the pipe."""
        root = self.state["root"]
        folders = {
            "environment": f"{root}/environments/{self.request['key']}",
            "sources": f"{root}/device-side/{self.request['fingerprint']}",
        }
        return self.connection.command(self.python, "board_agent.py", {**folders, "arguments": AGENT_MODULE})

    def _install(self, on_step: OnStep) -> None:
        request: dict[str, Any] = {
            "op": "install",
            "requirements": self.requirements,
            "system": self.about.takes_system_packages,
            "wheels": [],
        }
        answer = self.connection.ask(self.python, {**self.request, **request}, limit_s=INSTALL_S)
        if answer.get("error") == "network":
            # No way out of there: fetch for it, and bring it.
            on_step(3, 4, "bringing wheels, since its pip reaches no index")
            try:
                wheels = fetch_wheels(self.about, self.requirements)
            except DeviceUnavailableError as error:
                raise self._error(f"its pip reaches no index ({answer['detail']}), and {error}") from error
            for wheel in wheels:
                self._copy(wheel.read_bytes(), wheel.name)
            names = [wheel.name for wheel in wheels]
            answer = self.connection.ask(self.python, {**self.request, **request, "wheels": names}, limit_s=INSTALL_S)
        self._check(answer)

    def _copy(self, data: bytes, name: str | None = None) -> None:
        request = {"op": "receive", "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        named = {"name": name} if name else {}
        # What an earlier try left may turn out to be damaged only at the end, and then goes: once more from the start.
        answer = self.connection.ask(self.python, {**request, **named}, limit_s=COPY_S, data=data)
        if answer.get("error") == "damaged":
            answer = self.connection.ask(self.python, {**request, **named}, limit_s=COPY_S, data=data)
        self._check(answer)

    def _ask(self, request: dict[str, Any], limit_s: float) -> dict[str, Any]:
        answer = self.connection.ask(self.python, {**self.request, **request}, limit_s=limit_s)
        self._check(answer)
        return answer

    def _check(self, answer: dict[str, Any]) -> None:
        if "error" in answer:
            raise self._error(_sentence(answer["error"], str(answer["detail"])))

    def _error(self, reason: str) -> DeviceUnavailableError:
        return DeviceUnavailableError(f"device {self.name!r}: {reason}")


def find_board(connection: SshConnection, name: str, runtime: str | None) -> SshBoard:
    """Look at the board behind a login.

    Args:
        connection: a login.
        name: DEVICE, for messages.
        runtime: RUNTIME that its environment must hold, if a certain one.

    Raises:
        DeviceUnavailableError: it has no Python, too old a one, or a machine without wheels.
    """
    python = _choose_python(connection.pythons, name)
    request = {"fingerprint": fingerprint(device_side_files())}
    state = _look(connection, python, name, request)
    major, minor, patch = (int(number) for number in state["python"])
    about = BoardPython((major, minor, patch), str(state["machine"]), (str(state["libc"][0]), str(state["libc"][1])))
    try:
        requirements = about.requirements(runtime)
    except DeviceUnavailableError as error:
        raise DeviceUnavailableError(f"device {name!r}: {error}") from error
    request["key"] = about.environment_key(requirements)
    state["environment"] = request["key"] in state["environments"]
    return SshBoard(name, connection, python, about, state, requirements, request)


def _look(connection: SshConnection, python: str, name: str, request: dict[str, Any]) -> dict[str, Any]:
    answer = connection.ask(python, {"op": "look", **request}, limit_s=ANSWER_S)
    if "error" in answer:
        raise DeviceUnavailableError(f"device {name!r}: {_sentence(answer['error'], str(answer['detail']))}")
    return answer


def _choose_python(pythons: tuple[tuple[str, str], ...], name: str) -> str:
    oldest = ".".join(map(str, OLDEST_PYTHON))
    for version, path in pythons:
        if tuple(int(number) for number in version.split(".")[:2] if number.isdigit()) >= OLDEST_PYTHON:
            return path
    if not pythons:
        raise DeviceUnavailableError(
            f"device {name!r}: there is no python3 on its PATH, Python {oldest} or newer is needed; install it there "
            "(Debian: sudo apt-get install python3 python3-venv)"
        )
    held = ", ".join(f"{version} ({path})" for version, path in pythons)
    raise DeviceUnavailableError(
        f"device {name!r}: its Python is {held}, {oldest} or newer is needed; install one beside it "
        f"(Ubuntu: sudo apt-get install python{oldest} python{oldest}-venv)"
    )


def _sentence(kind: str, detail: str) -> str:
    match kind:
        case "space":
            return f"there is no space left on it ({detail}); free some, or make that folder a link to a larger disk"
        case "venv":
            return (
                f"its Python {detail} cannot make virtual environments; install that part there "
                f"(Debian: sudo apt-get install python{detail}-venv)"
            )
        case "pip":
            return (
                f"pip there installs no runtime: {detail}; choose another one behind a slash, or another Python there"
            )
        case "network":
            return f"pip there reaches no index: {detail}"
        case "file":
            return f"its folder cannot be used ({detail}); make it one that you can write in"
        case _:
            return f"{kind}: {detail}; try again"


def packed(files: dict[str, bytes]) -> bytes:
    """Files by name -> one ZIP, the same bytes for the same files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(files.items()):
            archive.writestr(zipfile.ZipInfo(name, _EPOCH), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
