"""TFLite files through LiteRT (`ai_edge_litert`) or the older `tflite_runtime`: one interpreter interface."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import DataError, ModelError
from edge_cnn.core.quantization import QuantizationParams
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.native_output import captured_native_stderr
from edge_cnn.device.runtimes.fixed_batch import batch_size, run_in_batches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge_cnn.core.protocols import Kernels


class TfliteInterpreter:
    """One `.tflite` file in an interpreter; samples go through one at a time, as the file's batch size says.

    Args:
        artifact: a `.tflite` file.
        name: RUNTIME as users type it.
        package: "ai_edge_litert" or "tflite_runtime".
        reference: compute with the reference kernels, the same bits on every machine, slowly.
        threads: of the interpreter.

    Raises:
        ModelError: this runtime refuses the file.
    """

    def __init__(self, artifact: Artifact, *, name: str, package: str, reference: bool, threads: int) -> None:
        module: Any = importlib.import_module(f"{package}.interpreter")
        resolver = module.OpResolverType.BUILTIN_REF if reference else module.OpResolverType.AUTO
        with captured_native_stderr() as native_lines:
            try:
                interpreter = module.Interpreter(
                    model_content=artifact.data, num_threads=threads, experimental_op_resolver_type=resolver
                )
                interpreter.allocate_tensors()
            except (ValueError, RuntimeError) as error:
                detail = " ".join(f"{error} {native_lines()}".split())
                raise ModelError(
                    f"{name} refuses {artifact.name}: {detail}; see 'edge-cnn inspect {artifact.name}'"
                ) from error
        self._interpreter: Any = interpreter
        self._file = artifact.name
        self._reference = reference
        self.name = name
        self._distribution = package.replace("_", "-")
        self.inputs = tuple(_spec(d) for d in interpreter.get_input_details())
        self.outputs = tuple(_spec(d) for d in interpreter.get_output_details())
        self._input_indices: list[int] = [int(d["index"]) for d in interpreter.get_input_details()]
        self._output_indices: list[int] = [int(d["index"]) for d in interpreter.get_output_details()]
        self._batch = batch_size(self.inputs)

    @property
    def version(self) -> str:
        # Imported late: it pulls in the e-mail parser, a tenth of a cold start.
        import importlib.metadata

        return importlib.metadata.version(self._distribution)

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """One array (n, ...) a graph input -> one array (n, ...) a graph output.

        Raises:
            DataError: the arrays do not fit the inputs.
            ModelError: an operator of the graph fails.
        """
        if len(inputs) == 1 and len(inputs[0]) == self._batch:
            return self._run_batch(inputs)
        return run_in_batches(self._run_batch, inputs, self.inputs, self.outputs)

    def _run_batch(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        interpreter = self._interpreter
        try:
            for index, array in zip(self._input_indices, inputs, strict=True):
                interpreter.set_tensor(index, array)
        except ValueError as error:
            wanted = ", ".join(f"{s.dtype} {s.shape}" for s in self.inputs)
            got = ", ".join(f"{a.dtype} {a.shape}" for a in inputs)
            raise DataError(f"the model takes {wanted}, got {got}; reshape or convert the input") from error
        try:
            interpreter.invoke()
        # What depends on the values, for example an index out of range, shows here only.
        except (ValueError, RuntimeError) as error:
            detail = " ".join(str(error).split())
            raise ModelError(
                f"{self.name} cannot run {self._file}: {detail}; see 'edge-cnn inspect {self._file}'"
            ) from error
        return [interpreter.get_tensor(index) for index in self._output_indices]

    def kernels(self) -> Kernels:
        """Which kernels run; a delegate's share is counted in operators of the file that it took over."""
        # Imported late: a prediction asks for no kernels, and a cold start shows every class that is made.
        from edge_cnn.core.protocols import Kernels

        # The private call is the only one that tells which nodes a delegate replaced.
        ops: list[dict[str, Any]] = self._interpreter._get_ops_details()
        own = [op for op in ops if op["op_name"] != "DELEGATE"]
        delegates = [op for op in ops if op["op_name"] == "DELEGATE"]
        if self._reference:
            return Kernels(self.name, {"reference": 1.0})
        if not delegates:
            return Kernels("tflite-builtin", {"builtin": 1.0})
        share = len(_replaced(own, delegates)) / max(len(own), 1)
        shares = {"XNNPACK": share} | ({"builtin": 1 - share} if share < 1 else {})
        return Kernels("xnnpack", shares)


def _replaced(own: list[dict[str, Any]], delegates: list[dict[str, Any]]) -> set[int]:
    """Indices of the operators between the delegates' inputs and outputs."""
    maker = {int(t): op for op in own for t in op["outputs"]}
    replaced: set[int] = set()
    for delegate in delegates:
        known = {int(t) for t in delegate["inputs"]}
        pending = [int(t) for t in delegate["outputs"]]
        while pending:
            op = maker.get(pending.pop())
            if op is None or int(op["index"]) in replaced:
                continue
            replaced.add(int(op["index"]))
            pending += [int(t) for t in op["inputs"] if int(t) not in known]
    return replaced


def _spec(details: dict[str, Any]) -> TensorSpec:
    parameters = details["quantization_parameters"]
    scales, zero_points = parameters["scales"], parameters["zero_points"]
    quantization = None
    if len(scales):
        axis = int(parameters["quantized_dimension"]) if len(scales) > 1 else None
        quantization = QuantizationParams(tuple(map(float, scales)), tuple(map(int, zero_points)), axis)
    shape = tuple(int(d) for d in details["shape"])
    return TensorSpec(str(details["name"]), shape, np.dtype(details["dtype"]).name, quantization)
