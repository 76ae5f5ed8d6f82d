"""ONNX files through ONNX Runtime: on its CPU execution provider, or on an accelerator and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import DataError, ModelError
from edge_cnn.core.protocols import Kernels
from edge_cnn.core.tensor_spec import TensorSpec

if TYPE_CHECKING:
    from edge_cnn.device.runtimes.onnx_accelerators import OnnxAccelerator

_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(double)": "float64",
    "tensor(uint8)": "uint8",
    "tensor(int8)": "int8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
}

_LOG_FATAL_ONLY = 4
_CPU, _CPU_FAMILY = "CPUExecutionProvider", "ort-cpu"


class OnnxSession:
    """One `.onnx` file in an ONNX Runtime session.

    Args:
        artifact: an `.onnx` file.
        threads: for the operators of one inference.
        accelerator: what to run on; None for the CPU.

    Raises:
        ModelError: ONNX Runtime, or the accelerator, refuses the file.
        AcceleratorUnavailableError: the accelerator is not there.
    """

    def __init__(self, artifact: Artifact, *, threads: int, accelerator: OnnxAccelerator | None = None) -> None:
        import onnxruntime  # pyright: ignore[reportMissingTypeStubs]  # ships none

        library: Any = onnxruntime

        def new_options() -> Any:
            options = library.SessionOptions()
            options.intra_op_num_threads = threads
            options.inter_op_num_threads = 1
            options.log_severity_level = _LOG_FATAL_ONLY
            return options

        self.name = "onnxruntime" if accelerator is None else accelerator.runtime
        self._kernels = Kernels(_CPU_FAMILY, {_CPU: 1.0})
        if accelerator is None:
            session = _cpu_session(library, artifact, new_options())
        else:
            from edge_cnn.device.runtimes.onnx_accelerators import open_profiled

            session, shares = open_profiled(library, artifact, accelerator, new_options)
            self._kernels = Kernels(accelerator.family, shares)
        self._session: Any = session
        self.version = str(library.__version__)
        self.inputs = tuple(_spec(t) for t in session.get_inputs())
        self.outputs = tuple(_spec(t) for t in session.get_outputs())
        self._input_names = [t.name for t in self.inputs]
        fixed = self.inputs[0].shape[0] if self.inputs and self.inputs[0].shape else -1
        self._batch: int | None = fixed if fixed > 0 else None

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """One array (n, ...) a graph input -> one array (n, ...) a graph output. Raises: DataError: they do not fit."""
        if len(inputs) != len(self.inputs):
            raise DataError(f"the graph has {len(self.inputs)} inputs, got {len(inputs)} arrays; give one each")
        count, batch = len(inputs[0]), self._batch
        if batch is None or count == batch:
            return self._run_batch(inputs)
        chunks: list[list[NDArray[Any]]] = []
        for start in range(0, count, batch):
            rows = [array[start : start + batch] for array in inputs]
            missing = batch - len(rows[0])
            if missing:
                rows = [np.concatenate([r, np.repeat(r[-1:], missing, axis=0)]) for r in rows]
            chunks.append(self._run_batch(rows))
        return [np.concatenate(parts)[:count] for parts in zip(*chunks, strict=True)]

    def _run_batch(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        feeds = dict(zip(self._input_names, inputs, strict=True))
        try:
            return self._session.run(None, feeds)
        # As above: no common public base.
        except Exception as error:
            wanted = ", ".join(f"{s.dtype} {s.shape}" for s in self.inputs)
            got = ", ".join(f"{a.dtype} {a.shape}" for a in inputs)
            detail = " ".join(str(error).split())
            raise DataError(
                f"{self.name}: the model takes {wanted}, got {got}: {detail}; reshape or convert the input"
            ) from error

    def kernels(self) -> Kernels:
        """Share of the executed nodes by provider; a session for the CPU has no other provider that could run one."""
        return self._kernels


def _cpu_session(library: Any, artifact: Artifact, options: Any) -> Any:
    try:
        return library.InferenceSession(artifact.data, options, providers=[_CPU])
    # ONNX Runtime's own exceptions (Fail, InvalidGraph, NotImplemented, ...) have no common public base.
    except Exception as error:
        detail = " ".join(str(error).split())
        raise ModelError(
            f"onnxruntime refuses {artifact.name}: {detail}; see 'edge-cnn inspect {artifact.name}'"
        ) from error


def _spec(tensor: Any) -> TensorSpec:
    shape = tuple(d if isinstance(d, int) else -1 for d in tensor.shape)
    return TensorSpec(str(tensor.name), shape, _DTYPES.get(tensor.type, "object"))
