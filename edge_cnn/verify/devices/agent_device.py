"""A device behind a pipe: told apart only by the command that starts Python there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.protocols import Runtime
from edge_cnn.verify.agent_client import LIMIT_S, AgentClient, runtimes_of
from edge_cnn.verify.agent_runtime import AgentRuntime

AGENT_MODULE = ("-P", "-m", "edge_cnn.device.agent")
"""-P keeps the current folder out of the import path: its files are none of the device's."""


@dataclass
class AgentDevice:
    """Another process.

    Attributes:
        name: DEVICE as the user typed it.
        python: starts Python there, for example (".venv/bin/python",); the agent's stdin and stdout are the pipe.
        advice: what to do where it does not start.
        wanted_runtime: the RUNTIME in the name, if any.
        limit_s: seconds that one request may take.
        emulated: an emulator runs it.
        environment: variables of the process that is started here; None for those of this process.
    """

    name: str
    python: tuple[str, ...]
    advice: str
    wanted_runtime: str | None = None
    limit_s: float = LIMIT_S
    emulated: bool = False
    environment: Mapping[str, str] | None = None
    _agent: AgentClient | None = field(default=None, init=False, repr=False)
    _opened: AgentRuntime | None = field(default=None, init=False, repr=False)

    def runtimes(self, format: str) -> tuple[str, ...]:
        return runtimes_of(format, self._running_agent().runtimes)

    def open(self, artifact: Artifact, runtime: str, *, threads: int = 1) -> Runtime:
        if self._agent is not None and not self._agent.is_alive:
            # The artifact before this one ended it; that is no reason not to try this one.
            self.close()
        elif self._opened is not None:
            self._opened.close()
        self._opened = None
        self._opened = self._running_agent().open(artifact, runtime, threads)
        return self._opened

    def start_agent(self) -> AgentClient:
        return AgentClient(
            (*self.python, *AGENT_MODULE),
            device=self.name,
            advice=self.advice,
            limit_s=self.limit_s,
            environment=self.environment,
        )

    def close(self) -> None:
        if self._agent is not None:
            self._agent.close()
            self._agent = None

    def _running_agent(self) -> AgentClient:
        if self._agent is None:
            self._agent = self.start_agent()
        return self._agent
