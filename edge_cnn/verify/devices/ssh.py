"""`ssh://...`: a board over SSH, made ready at its first use, and found again when the connection was lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import DeviceUnavailableError
from edge_cnn.core.protocols import Kernels, Runtime
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.verify.agent_client import LIMIT_S, AgentClient, runtimes_of
from edge_cnn.verify.agent_runtime import AgentRuntime
from edge_cnn.verify.devices.preparation import OnStep
from edge_cnn.verify.devices.ssh_address import SshAddress, parse_address
from edge_cnn.verify.devices.ssh_board import SshBoard, find_board
from edge_cnn.verify.devices.ssh_connection import SshConnection
from edge_cnn.verify.devices.ssh_errors import ConnectionLostError

PAUSES_S = (0.5, 3.0, 10.0)
"""Before each new try after a lost connection: a cable that was pulled, a board that changes its access point."""

T = TypeVar("T")


def _silent(done: int, of: int, step: str) -> None:
    del done, of, step


@dataclass
class SshDevice:
    """A board, logged in at the first use.

    Attributes:
        name: DEVICE as the user typed it.
        address: where to log in.
        wanted_runtime: the RUNTIME in the name, if any.
        limit_s: seconds that one request may take; making the board ready has limits of its own.
        emulated: never, a board is the real thing.
        on_step: told of each step of making it ready, which takes minutes the first time.
    """

    name: str
    address: SshAddress
    wanted_runtime: str | None = None
    limit_s: float = LIMIT_S
    emulated: bool = False
    on_step: OnStep = _silent
    _board: SshBoard | None = field(default=None, init=False, repr=False)
    _agent: AgentClient | None = field(default=None, init=False, repr=False)
    _opened: AgentRuntime | None = field(default=None, init=False, repr=False)

    def runtimes(self, format: str) -> tuple[str, ...]:
        return runtimes_of(format, self.persist(self._running_agent).runtimes)

    def open(self, artifact: Artifact, runtime: str, *, threads: int = 1) -> Runtime:
        return _PersistentRuntime(self, artifact, runtime, threads)

    def start_agent(self) -> AgentClient:
        return self.persist(self._start)

    def missing(self) -> str | None:
        """What a set-up would bring there; None where it is ready. Raises: DeviceUnavailableError."""
        return self.persist(self._found).missing

    def setup(self) -> None:
        """Make it ready. Raises: DeviceUnavailableError."""
        self.persist(self._ready)

    def close(self) -> None:
        self._end_agent()
        if self._board is not None:
            self._board.connection.close()
            self._board = None

    def persist(self, act: Callable[[], T]) -> T:
        """Do something there, and again where the connection was lost meanwhile.

        Raises:
            ConnectionLostError, DeviceUnavailableError: it does not come back.
        """
        lost = False
        for pause in (*PAUSES_S, None):
            try:
                return act()
            except DeviceUnavailableError as error:
                # Once it was lost, a refused login may only mean that the board is starting again.
                lost = lost or isinstance(error, ConnectionLostError)
                if not lost or pause is None:
                    raise
                self.close()
                time.sleep(pause)
        raise AssertionError("the last try returns or raises")

    def open_once(self, artifact: Artifact, runtime: str, threads: int) -> AgentRuntime:
        """As `open`, without another try."""
        if self._agent is not None and not self._agent.is_alive:
            # The artifact before this one ended it; that is no reason not to try this one.
            self._end_agent()
        elif self._opened is not None:
            self._opened.close()
        self._opened = None
        self._opened = self._running_agent().open(artifact, runtime, threads)
        return self._opened

    def holds(self, runtime: AgentRuntime) -> bool:
        """Whether that graph is still loaded there."""
        return runtime is self._opened

    def _running_agent(self) -> AgentClient:
        if self._agent is None:
            self._agent = self._start()
        return self._agent

    def _start(self) -> AgentClient:
        board = self._ready()
        return AgentClient(
            board.agent_command(),
            device=self.name,
            advice=f"remove its folder and try again: {self.address.by_hand()} rm -r {board.state['root']}",
            limit_s=self.limit_s,
            explain=board.connection.lost,
        )

    def _ready(self) -> SshBoard:
        board = self._found()
        if board.missing is not None:
            board.setup(self.on_step)
            board.state.update(sources=True, environment=True)
        return board

    def _found(self) -> SshBoard:
        if self._board is None:
            connection = SshConnection(self.address, device=self.name)
            try:
                self._board = find_board(connection, self.name, self.wanted_runtime)
            except BaseException:
                connection.close()
                raise
        return self._board

    def _end_agent(self) -> None:
        self._opened = None
        if self._agent is not None:
            self._agent.close()
            self._agent = None


class _PersistentRuntime:
    """A graph on a board, loaded again there when the connection was lost: its answers do not depend on the past."""

    def __init__(self, device: SshDevice, artifact: Artifact, runtime: str, threads: int) -> None:
        self._device = device
        self._load: Callable[[], AgentRuntime] = lambda: device.open_once(artifact, runtime, threads)
        self._opened = device.persist(self._load)
        self.name, self.version = self._opened.name, self._opened.version
        self.inputs: tuple[TensorSpec, ...] = self._opened.inputs
        self.outputs: tuple[TensorSpec, ...] = self._opened.outputs
        self._kernels = self._opened.kernels()
        self.facts = self._opened.facts

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """As `Runtime.run`. Raises: DeviceFailedError: the agent died or hung; DeviceUnavailableError: out of reach."""
        return self._device.persist(lambda: self._loaded().run(inputs))

    def time(self, inputs: Sequence[NDArray[Any]], *, warmup: int, repeats: int) -> NDArray[np.float64]:
        """As `AgentRuntime.time`. Raises: as `run`."""
        return self._device.persist(lambda: self._loaded().time(inputs, warmup=warmup, repeats=repeats))

    def _loaded(self) -> AgentRuntime:
        if not self._device.holds(self._opened):
            self._opened = self._load()
        return self._opened

    def kernels(self) -> Kernels:
        return self._kernels


@dataclass(frozen=True)
class SshPreparation:
    """Makes a board ready ahead of its first use.

    Attributes:
        device: DEVICE as the user typed it.
    """

    device: str

    def missing(self) -> str | None:
        """As `Preparation.missing`; it logs in to look, and what keeps it from that is missing as well."""
        board = _parsed(self.device)
        try:
            return board.missing()
        except DeviceUnavailableError as error:
            return str(error).removeprefix(f"device {self.device!r}: ")
        finally:
            board.close()

    def setup(self, on_step: OnStep) -> None:
        board = _parsed(self.device)
        board.on_step = on_step
        on_step(0, 4, "logging in")
        try:
            board.setup()
        finally:
            board.close()


def parse_ssh(text: str, rest: str, limit_s: float) -> SshDevice:
    """`ssh://[USER@]HOST[:PORT][/RUNTIME]`; nothing is connected yet. Raises: InputError: no such form."""
    address, runtime = parse_address(text, rest)
    return SshDevice(text, address, runtime, limit_s)


def _parsed(text: str) -> SshDevice:
    return parse_ssh(text, text.partition(":")[2], LIMIT_S)
