"""Time of each operator, from the runtime's own profiler where it has one that Python can reach."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import EdgeCnnError, ModelError, RuntimeUnavailableError
from edge_cnn.device.runtimes.onnx_accelerators import ACCELERATORS, OnnxAccelerator, open_session

_KERNEL = "_kernel_time"
_LOG_FATAL_ONLY = 4


@dataclass(frozen=True)
class OperatorTime:
    """One node of the graph as the runtime executes it, fused nodes as one.

    Attributes:
        name: of the node.
        op: operator type; after fusion it may be the runtime's own, for example "QLinearConv".
        provider: execution provider or delegate that ran it.
        us: median microseconds a run.
    """

    name: str
    op: str
    provider: str
    us: float

    def to_json(self) -> dict[str, Any]:
        return {"name": self.name, "op": self.op, "provider": self.provider, "us": self.us}

    @staticmethod
    def from_json(value: dict[str, Any]) -> OperatorTime:
        return OperatorTime(str(value["name"]), str(value["op"]), str(value["provider"]), float(value["us"]))


def profile_operators(
    artifact: Artifact, runtime: str, inputs: Sequence[NDArray[Any]], *, threads: int, warmup: int, repeats: int
) -> list[OperatorTime]:
    """Run with the profiler on, apart from any run whose latency is reported, since the profiler costs time itself.

    Args:
        artifact: what runs.
        runtime: RUNTIME name.
        inputs: one array a graph input.
        threads: of the runtime.
        warmup: runs that are left out.
        repeats: runs that count.

    Returns:
        in the order of execution.

    Raises:
        RuntimeUnavailableError: this runtime has no profiler for Python.
        AcceleratorUnavailableError: the accelerator is not there.
        ModelError: the runtime refuses the file, or its profile has nothing about operators.
    """
    if runtime not in _PROFILED:
        raise RuntimeUnavailableError(
            f"{runtime} tells no times of operators through its Python interface; ONNX Runtime does, for .onnx files"
        )
    events = _onnxruntime_events(artifact, _PROFILED[runtime], inputs, threads, warmup + repeats)
    return operator_times(events, warmup=warmup, artifact=artifact.name)


_PROFILED: dict[str, OnnxAccelerator | None] = {"onnxruntime": None, **ACCELERATORS}
"""RUNTIME -> its accelerator, of ONNX Runtime, whose profiler Python can start and read.

LiteRT, tflite-runtime and TFLite Micro profile in C++ only: their Python packages have no call that returns a profile.
"""


def _onnxruntime_events(
    artifact: Artifact, accelerator: OnnxAccelerator | None, inputs: Sequence[NDArray[Any]], threads: int, runs: int
) -> list[dict[str, Any]]:
    import onnxruntime  # pyright: ignore[reportMissingTypeStubs]  # ships none

    library: Any = onnxruntime
    with tempfile.TemporaryDirectory() as folder:

        def new_options() -> Any:
            options = library.SessionOptions()
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
            options.log_severity_level = _LOG_FATAL_ONLY
            options.enable_profiling = True
            options.profile_file_prefix = str(Path(folder) / "profile")
            return options

        try:
            if accelerator is None:
                session = library.InferenceSession(artifact.data, new_options(), providers=["CPUExecutionProvider"])
            else:
                session = open_session(library, artifact, accelerator, new_options)
            feeds = dict(zip((t.name for t in session.get_inputs()), inputs, strict=True))
            for _ in range(runs):
                session.run(None, feeds)
            return json.loads(Path(session.end_profiling()).read_bytes())
        except EdgeCnnError:
            raise
        # ONNX Runtime's own exceptions have no common public base.
        except Exception as error:
            detail = " ".join(str(error).split())
            raise ModelError(
                f"onnxruntime cannot profile {artifact.name}: {detail}; see 'edge-cnn inspect {artifact.name}'"
            ) from error


def operator_times(events: Sequence[dict[str, Any]], *, warmup: int, artifact: str) -> list[OperatorTime]:
    """Median time of each node in ONNX Runtime's profile.

    Args:
        events: Chrome trace events; those of kernels have cat "Node" and a name that ends with "_kernel_time".
        warmup: first runs of each node that are left out.
        artifact: name, for messages.

    Raises:
        ModelError: there is no kernel in the profile beyond the warm-up.
    """
    # By index, since names may be empty or alike.
    durations: dict[tuple[str, str], list[float]] = {}
    about: dict[tuple[str, str], tuple[str, str]] = {}
    for event in events:
        name = str(event.get("name", ""))
        if event.get("cat") != "Node" or not name.endswith(_KERNEL):
            continue
        details = event.get("args", {})
        key = (str(details.get("node_index", "")), name.removesuffix(_KERNEL))
        durations.setdefault(key, []).append(float(event["dur"]))
        about[key] = (str(details.get("op_name", "")), str(details.get("provider", "")))
    times = [
        OperatorTime(key[1], *about[key], float(np.median(runs[warmup:])))
        for key, runs in durations.items()
        if len(runs) > warmup
    ]
    if not times:
        raise ModelError(f"the runtime's profile of {artifact} names no operators; measure without --per-operator")
    return times
