"""What ONNX Runtime's quantizers have in common: a plain file in, checked bytes of our opset out."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from converters.calibration.samples import Calibration
from converters.schemes.onnx_float32 import OPSET
from converters.schemes.onnx_opset import lower_opset
from converters.schemes.onnx_ranges import onnx_ranges_of
from edge_cnn.core.errors import ModelError

_IN_FLOAT = frozenset({"Softmax"})
"""Its output lies in [0, 1]; rounding probabilities to 255 steps would cost ties and win no time."""


def check_node_names(model: bytes, names: Collection[str]) -> None:
    """Raises: ModelError: a name is not that of a node."""
    import onnx

    known = {node.name for node in onnx.ModelProto.FromString(model).graph.node}
    unknown = sorted(set(names) - known)
    if unknown:
        raise ModelError(
            f"there is no node {unknown[0]!r} to leave in float; the graph has {', '.join(sorted(known)[:5])}, ..."
        )


def operators_to_quantize(model: bytes) -> list[str]:
    """Every kind of node that the graph has, save those that stay in float."""
    import onnx

    return sorted({node.op_type for node in onnx.ModelProto.FromString(model).graph.node} - _IN_FLOAT)


def tensors_data(ranges: Mapping[str, tuple[float, float]]) -> Any:
    """Ranges as ONNX Runtime's quantizers take them."""
    from onnxruntime.quantization.calibrate import CalibrationMethod, TensorData, TensorsData

    data: dict[str, Any] = {
        name: TensorData(lowest=np.float32(low), highest=np.float32(high)) for name, (low, high) in ranges.items()
    }
    return TensorsData(CalibrationMethod.MinMax, data)


@contextmanager
def inferred(model: bytes) -> Iterator[Any]:
    """The model with the shapes of its tensors, which the quantizers look at."""
    from onnxruntime.quantization.quant_utils import load_model_with_shape_infer

    # As a file: a model in memory would come back with its weights moved out to a file that is gone by then.
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(model)
        yield load_model_with_shape_infer(path)


def quantize_statically(
    model: bytes,
    calibration: Calibration,
    in_float: Collection[str],
    make: Callable[[Any, list[Any]], Any],
) -> Any:
    """The model that one of ONNX Runtime's static quantizers makes, its nodes in the order of execution.

    Args:
        model: the bytes of a float model from `convert_to_onnx_float32`.
        calibration: samples that set the ranges.
        in_float: names of nodes that stay float32.
        make: the model with shapes, and what both quantizers take in the same order -> the quantizer. The list is the
            ranges, the nodes to quantize (all), the nodes to leave out, and the kinds of nodes to quantize.
    """
    with inferred(model) as proto:
        ranges = tensors_data(onnx_ranges_of(model, calibration))
        quantizer = make(proto, [ranges, [], sorted(in_float), operators_to_quantize(model)])
        return quantized(quantizer)


def quantized(quantizer: Any) -> Any:
    """The model that one of ONNX Runtime's quantizers makes, its nodes in the order of execution."""
    quantizer.quantize_model()
    quantizer.model.topological_sort()
    return quantizer.model.model


def finished(proto: Any, *, domains: Collection[str] = ()) -> bytes:
    """The bytes of a quantized model: the oldest opset that says the same, no traces of the making, checked.

    Args:
        proto: the model.
        domains: of operators beyond the standard ones, each in version 1.
    """
    import onnx

    del proto.opset_import[:]
    del proto.metadata_props[:]
    proto.opset_import.append(onnx.helper.make_opsetid("", OPSET))
    proto.opset_import.extend(onnx.helper.make_opsetid(domain, 1) for domain in domains)
    lower_opset(proto)
    onnx.checker.check_model(proto, full_check=True)
    return proto.SerializeToString(deterministic=True)
