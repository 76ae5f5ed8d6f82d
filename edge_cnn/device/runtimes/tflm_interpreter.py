"""TFLite files through the TFLite Micro interpreter (`tflite_micro`), which is what runs on microcontrollers."""

from __future__ import annotations

import importlib
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import ModelError
from edge_cnn.core.protocols import Kernels
from edge_cnn.device.native_output import captured_native_stderr
from edge_cnn.device.runtimes.fixed_batch import batch_size, check_fit, run_in_batches
from edge_cnn.device.runtimes.runtime_check import known_wrong, refusal
from edge_cnn.device.tflite.file import read_tflite
from edge_cnn.device.tflite.fixed_shapes import with_fixed_shapes

if TYPE_CHECKING:
    from numpy.typing import NDArray

FIRST_ARENA, LARGEST_ARENA, GROWTH = 2**20, 2**28, 4
"""Bytes, bytes and factor. Most networks for microcontrollers take less than the first; a try takes milliseconds."""

_ARENA_USED = re.compile(r"Arena allocation total (\d+) bytes")
_ALL_LINES = 100


class TflmInterpreter:
    """One `.tflite` file in TFLite Micro; samples go through one at a time, as the file's batch size says.

    Args:
        artifact: a `.tflite` file.

    Raises:
        ModelError: TFLite Micro refuses the file, or is known to compute garbage from it.
    """

    name = "tflm"

    def __init__(self, artifact: Artifact) -> None:
        # Not the interpreter's own details: those know neither names nor dynamic dimensions.
        # Dynamic dimensions are taken as the file's `shape` has them, which LiteRT does as well.
        graph = read_tflite(with_fixed_shapes(artifact))
        self.inputs, self.outputs = graph.inputs, graph.outputs
        self._file = artifact.name
        wrong = refusal(artifact, self.name) or known_wrong(artifact, self.name)
        if wrong is not None:
            raise self._refusal(f"{wrong}; export it as int8 or float32")
        self._interpreter: Any = self._loaded(artifact.data)
        self._batch = batch_size(self.inputs)

    def _loaded(self, model: bytes) -> Any:
        library: Any = importlib.import_module("tflite_micro.python.tflite_micro.runtime")
        arena = FIRST_ARENA
        while True:
            with captured_native_stderr() as native_lines:
                try:
                    return library.Interpreter.from_bytes(model, arena_size=arena)
                except (RuntimeError, ValueError) as error:
                    if arena >= LARGEST_ARENA:
                        detail = " ".join(f"{error}: {native_lines()}".split())
                        raise self._refusal(f"{detail}; see 'edge-cnn inspect {self._file}'") from error
            # Too small an arena and an operator that is missing look the same from here, so a larger one is tried.
            arena *= GROWTH

    @property
    def version(self) -> str:
        from importlib.metadata import version

        return version("tflite-micro")

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """As `Runtime.run`.

        Raises:
            DataError: the arrays do not fit the inputs.
            ModelError: an operator of the graph fails.
        """
        check_fit(inputs, self.inputs)
        if len(inputs[0]) == self._batch:
            return self._run_batch(inputs)
        return run_in_batches(self._run_batch, inputs, self.inputs, self.outputs)

    def _run_batch(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        interpreter = self._interpreter
        try:
            for index, array in enumerate(inputs):
                interpreter.set_input(array, index)
            interpreter.invoke()
        except (RuntimeError, ValueError) as error:
            detail = " ".join(str(error).split())
            raise ModelError(
                f"{self.name} cannot run {self._file}: {detail}; see 'edge-cnn inspect {self._file}'"
            ) from error
        # The interpreter hands out its own memory, which the next sample overwrites.
        return [interpreter.get_output(index).copy() for index in range(len(self.outputs))]

    def kernels(self) -> Kernels:
        """All operators are TFLite Micro's own, here its portable ones; with the arena that the graph takes."""
        with captured_native_stderr(_ALL_LINES) as native_lines:
            self._interpreter.print_allocations()
            used = _ARENA_USED.search(native_lines())
        return Kernels(self.name, {"TFLite Micro": 1.0}, arena_bytes=int(used[1]) if used else None)

    def _refusal(self, reason: str) -> ModelError:
        return ModelError(f"{self.name} refuses {self._file}: {reason}")
