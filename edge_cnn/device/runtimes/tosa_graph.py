"""TFLite files through the TOSA reference model: converted to the operator set of accelerators, then executed."""

from __future__ import annotations

import importlib
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import ModelError
from edge_cnn.core.protocols import Kernels
from edge_cnn.device.native_output import captured_native_stderr
from edge_cnn.device.runtimes.fixed_batch import check_fit, run_in_batches
from edge_cnn.device.tflite.file import read_tflite
from edge_cnn.device.tflite.fixed_shapes import with_fixed_shapes

if TYPE_CHECKING:
    from numpy.typing import NDArray

CONVERSION_LIMIT_S = 120
_ALL_LINES = 1000


class TosaGraph:
    """One `.tflite` file as a TOSA graph; samples go through one at a time, as the file's batch size says.

    Args:
        artifact: a `.tflite` file.

    Raises:
        ModelError: it has operators that TOSA does not know, or is no valid graph.
    """

    name = "tosa-ref"

    def __init__(self, artifact: Artifact) -> None:
        # The reference model takes no dynamic dimension, not even the batch; LiteRT takes what `shape` has there, too.
        fixed = with_fixed_shapes(artifact)
        graph = read_tflite(fixed)
        self.inputs, self.outputs = graph.inputs, graph.outputs
        self._file = artifact.name
        self._library: Any = importlib.import_module("tosa_reference_model")
        self._graph = self._converted(fixed.data)

    def _converted(self, data: bytes) -> bytes:
        """The serialized TOSA graph: the converter writes MLIR, TOSA's own tool serializes that."""
        converter: Any = importlib.import_module("tosa_converter_for_tflite")
        with tempfile.TemporaryDirectory() as folder:
            model, mlir, serialized = (str(Path(folder) / name) for name in ("m.tflite", "m.mlirbc", "m.tosa"))
            Path(model).write_bytes(data)
            with captured_native_stderr() as native_lines:
                try:
                    converter.tflite_flatbuffer_to_tosa_mlir(model, mlir)
                except (RuntimeError, ValueError) as error:
                    raise self._refusal(f"{error} {native_lines()}") from error
            # TOSA's integers have no sign of their own; its operators say how they take them.
            passes = ["--tosa-convert-integer-type-to-signless", "--tosa-serialize"]
            command = [str(_tosa_opt()), *passes, f"--tosa-flatbuffer-filename={serialized}", "-o", "/dev/null", mlir]
            try:
                child = subprocess.run(command, capture_output=True, text=True, check=False, timeout=CONVERSION_LIMIT_S)
            except subprocess.TimeoutExpired as error:
                raise self._refusal(f"converting took more than {CONVERSION_LIMIT_S} s") from error
            if child.returncode != 0 or not Path(serialized).exists():
                said = child.stderr.strip().splitlines()
                raise self._refusal(said[0].partition("error: ")[2] or said[0] if said else "it cannot be serialized")
            return Path(serialized).read_bytes()

    @property
    def version(self) -> str:
        from importlib.metadata import version

        return f"{version('tosa-tools')}, converter {version('tosa-converter-for-tflite')}"

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """As `Runtime.run`.

        Raises:
            DataError: the arrays do not fit the inputs.
            ModelError: the reference model fails.
        """
        # Given a wrong shape it aborts with a debugger's backtrace.
        check_fit(inputs, self.inputs)
        return run_in_batches(self._run_batch, inputs, self.inputs, self.outputs)

    def _run_batch(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        with captured_native_stderr(_ALL_LINES) as native_lines:
            try:
                outputs, status = self._library.run(self._graph, [np.ascontiguousarray(array) for array in inputs])
            except (RuntimeError, ValueError) as error:
                raise self._refusal(f"{error}: {native_lines()[:300]}") from error
        if status != self._library.GraphStatus.TOSA_VALID:
            raise self._refusal(f"the reference model ends with {status.name}, so the result is not defined")
        return [
            np.asarray(output).view(spec.numpy_dtype).reshape(output.shape)
            for output, spec in zip(outputs, self.outputs, strict=True)
        ]

    def kernels(self) -> Kernels:
        """The whole graph is in the reference model, or it would not have been serialized."""
        return Kernels(self.name, {"TOSA reference model": 1.0})

    def _refusal(self, reason: str) -> ModelError:
        detail = " ".join(reason.split())
        return ModelError(f"{self.name} refuses {self._file}: {detail}; see 'edge-cnn inspect {self._file}'")


def _tosa_opt() -> Path:
    from importlib.metadata import distribution

    return Path(str(distribution("tosa-tools").locate_file("bin/tosa-opt")))
