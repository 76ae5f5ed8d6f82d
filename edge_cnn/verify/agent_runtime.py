"""A graph that an agent holds, behind the seam of any other runtime."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.protocols import Kernels
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.agent_protocol import Message
from edge_cnn.verify.device_facts import DeviceFacts


class Agent(Protocol):
    """Who holds the graph: what `AgentClient` is to it."""

    facts: DeviceFacts

    def ask(self, header: dict[str, Any], arrays: Sequence[NDArray[Any]] = (), *, subject: str) -> Message: ...


class AgentRuntime:
    """A `Runtime` whose graph is loaded in an agent.

    Attributes:
        facts: what the agent tells of its machine.
        import_ms: time to import the runtime there; next to none where the agent had it already.
        load_ms: time to load the graph there, memory for its tensors included.
    """

    def __init__(self, agent: Agent, artifact: str, header: dict[str, Any]) -> None:
        self._agent = agent
        self._artifact = artifact
        self._id = int(header["id"])
        self.name = str(header["runtime"])
        self.version = str(header["version"])
        self.inputs = tuple(TensorSpec.from_json(spec) for spec in header["inputs"])
        self.outputs = tuple(TensorSpec.from_json(spec) for spec in header["outputs"])
        kernels = header["kernels"]
        self.facts = agent.facts
        self.import_ms = float(header["import_ms"])
        self.load_ms = float(header["load_ms"])
        shares = {str(name): float(share) for name, share in kernels["shares"].items()}
        arena = kernels.get("arena_bytes")
        self._kernels = Kernels(str(kernels["family"]), shares, None if arena is None else int(arena))

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """As `Runtime.run`. Raises: DeviceFailedError: the agent died or hung."""
        return list(self._ask_run(inputs).arrays)

    def time_once(self, inputs: Sequence[NDArray[Any]]) -> float:
        """Microseconds of one run without a warm-up, measured there. Raises: as `run`."""
        return float(self._ask_run(inputs).header["us"])

    def _ask_run(self, inputs: Sequence[NDArray[Any]]) -> Message:
        return self._agent.ask({"op": "run", "id": self._id}, inputs, subject=self._artifact)

    def time(self, inputs: Sequence[NDArray[Any]], *, warmup: int, repeats: int) -> NDArray[np.float64]:
        """Latencies of `repeats` runs after `warmup` others, measured there, in microseconds. Raises: as `run`."""
        request = {"op": "time", "id": self._id, "warmup": warmup, "repeats": repeats}
        (latencies,) = self._agent.ask(request, inputs, subject=self._artifact).arrays
        return latencies

    def kernels(self) -> Kernels:
        return self._kernels

    def close(self) -> None:
        """Let the agent forget the graph. Raises: as `run`."""
        self._agent.ask({"op": "close", "id": self._id}, subject=self._artifact)
