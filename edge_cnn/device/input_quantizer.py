"""Graphs that take floats and quantize them at once: what that first operator says of the range of the input."""

from __future__ import annotations

from collections.abc import Callable

from edge_cnn.core.artifact import ONNX, TFLITE, Artifact
from edge_cnn.core.tensor_spec import TensorSpec


def quantized_input(artifact: Artifact) -> TensorSpec | None:
    """Dtype and quantization of the only quantizer that reads the graph's input; None where there is none.

    Raises:
        ModelError: the file is damaged.
    """
    return _READERS[artifact.format](artifact)


def _of_onnx(artifact: Artifact) -> TensorSpec | None:
    from edge_cnn.device.onnx.file import read_onnx
    from edge_cnn.device.onnx.quantizer import codes_dtype, linear_quantizer, quantizer_params

    model = read_onnx(artifact)
    if len(model.inputs) != 1:
        return None
    entry = model.inputs[0]
    readers = model.consumers(entry.name)
    if len(readers) != 1 or readers[0].op != "QuantizeLinear":
        return None
    quantizer = linear_quantizer(readers[0])
    return TensorSpec(entry.name, entry.shape, codes_dtype(model, quantizer), quantizer_params(model, quantizer))


def _of_tflite(artifact: Artifact) -> TensorSpec | None:
    from edge_cnn.device.tflite.file import read_tflite

    graph = read_tflite(artifact).main
    if len(graph.inputs) != 1:
        return None
    readers = graph.consumers.get(graph.inputs[0], [])
    if len(readers) != 1 or readers[0].name != "QUANTIZE":
        return None
    return graph.tensors[readers[0].outputs[0]].spec


_READERS: dict[str, Callable[[Artifact], TensorSpec | None]] = {ONNX: _of_onnx, TFLITE: _of_tflite}
