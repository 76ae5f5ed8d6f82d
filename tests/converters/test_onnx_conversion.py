from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.calibration.samples import Calibration
from converters.metadata.onnx_metadata import add_onnx_metadata
from converters.schemes.onnx_float32 import convert_to_onnx_float32
from converters.schemes.onnx_int8 import quantize_to_onnx_int8
from converters.sources.load import load_source_model
from converters.sources.source_model import SourceModel
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.device.runtimes.table import open_runtime

onnx: Any = pytest.importorskip("onnx")


@pytest.fixture(scope="module")
def source(tiny_folder: Path) -> SourceModel:
    return load_source_model(tiny_folder / "tiny.keras")


@pytest.fixture(scope="module")
def inputs(tiny_pixels: np.ndarray) -> np.ndarray:
    return tiny_pixels.astype(np.float32) / np.float32(127.5) - np.float32(1)


@pytest.fixture(scope="module")
def float32(source: SourceModel) -> bytes:
    return convert_to_onnx_float32(source)


@pytest.fixture(scope="module", params=["cpu", "symmetric"])
def int8(request: pytest.FixtureRequest, float32: bytes, inputs: np.ndarray) -> tuple[str, bytes]:
    data = quantize_to_onnx_int8(float32, Calibration(inputs), symmetric=request.param == "symmetric")
    return request.param, data


def run(model: bytes, inputs: np.ndarray) -> np.ndarray:
    channels_first = np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))
    return open_runtime(Artifact("m.onnx", "onnx", model)).run([channels_first])[0]


def nodes_of(model: bytes, op: str | None = None) -> list[Any]:
    return [n for n in onnx.ModelProto.FromString(model).graph.node if op in (None, n.op_type)]


def constants_of(model: bytes) -> dict[str, np.ndarray]:
    return {t.name: onnx.numpy_helper.to_array(t) for t in onnx.ModelProto.FromString(model).graph.initializer}


def test_float_outputs_equal_those_of_keras(float32: bytes, inputs: np.ndarray, tiny_keras: Any) -> None:
    assert np.abs(run(float32, inputs) - tiny_keras.predict(inputs, verbose=0)).max() < 1e-5


def test_the_reference_evaluator_agrees_with_onnx_runtime(float32: bytes, inputs: np.ndarray) -> None:
    from onnx.reference import ReferenceEvaluator

    evaluator = ReferenceEvaluator(onnx.ModelProto.FromString(float32))
    (output,) = evaluator.run(None, {"input": inputs[:2].transpose(0, 3, 1, 2)})
    assert np.abs(output - run(float32, inputs[:2])).max() < 1e-5


def test_the_reference_evaluator_agrees_on_int8(int8: tuple[str, bytes], inputs: np.ndarray) -> None:
    from onnx.reference import ReferenceEvaluator

    proto = onnx.ModelProto.FromString(int8[1])
    proto.opset_import[
        0
    ].version = 19  # The evaluator's oldest QuantizeLinear; for these types nothing changed since 13.
    evaluator = ReferenceEvaluator(proto)
    (output,) = evaluator.run(None, {"input": inputs[:2].transpose(0, 3, 1, 2)})
    # One step of the logits, at most 1/100 of their range, may round the other way.
    assert np.abs(output - run(int8[1], inputs[:2])).max() < 0.02


def test_int8_outputs_are_near_those_of_keras(int8: tuple[str, bytes], inputs: np.ndarray, tiny_keras: Any) -> None:
    assert np.abs(run(int8[1], inputs) - tiny_keras.predict(inputs, verbose=0)).max() < 0.05


def test_the_files_are_valid_in_an_old_opset_of_the_standard_domain_alone(
    float32: bytes, int8: tuple[str, bytes]
) -> None:
    for model in (float32, int8[1]):
        proto = onnx.ModelProto.FromString(model)
        onnx.checker.check_model(proto, full_check=True)
        ((domain, opset),) = [(o.domain, o.version) for o in proto.opset_import]
        assert domain == ""
        assert 13 <= opset <= 16
        # As new as an operator of it asks for, and each is the same one in opset 17.
        changed = {onnx.defs.get_schema(n.op_type, 17).since_version for n in proto.graph.node}
        assert changed == {onnx.defs.get_schema(n.op_type, opset).since_version for n in proto.graph.node}


def test_ends_have_stable_names_and_a_dynamic_batch(float32: bytes, int8: tuple[str, bytes]) -> None:
    for model in (float32, int8[1]):
        graph = onnx.ModelProto.FromString(model).graph
        ends = [*graph.input, *graph.output]
        shapes = [[d.dim_param or d.dim_value for d in e.type.tensor_type.shape.dim] for e in ends]
        assert [e.name for e in ends] == ["input", "scores"]
        assert shapes == [["batch", 3, 12, 10], ["batch", 4]]


def test_batch_norm_is_folded_and_nothing_computes_shapes(float32: bytes, int8: tuple[str, bytes]) -> None:
    used = {n.op_type for n in nodes_of(float32)}
    assert used == {"Conv", "Relu", "Add", "MaxPool", "Transpose", "Reshape", "Gemm", "Softmax"}
    assert len(nodes_of(float32, "Add")) == 1  # the residual one
    assert {n.op_type for n in nodes_of(int8[1])} <= used | {"QuantizeLinear", "DequantizeLinear"}


def test_no_transpose_stands_at_the_input(float32: bytes, int8: tuple[str, bytes]) -> None:
    for model in (float32, int8[1]):
        seen = {"input"}
        for node in nodes_of(model):
            if node.op_type in ("QuantizeLinear", "DequantizeLinear") and node.input[0] in seen:
                seen.update(node.output)
        readers = {n.op_type for n in nodes_of(model) if seen.intersection(n.input)}
        assert readers <= {"QuantizeLinear", "DequantizeLinear", "Conv"}


def test_weights_are_int8_with_a_scale_a_channel(int8: tuple[str, bytes]) -> None:
    constants = constants_of(int8[1])
    found = 0
    for node in nodes_of(int8[1], "DequantizeLinear"):
        codes = constants.get(node.input[0])
        if codes is not None and codes.ndim > 1:
            found += 1
            assert codes.dtype == np.int8
            assert codes.min() >= -127
            (axis,) = [a.i for a in node.attribute if a.name == "axis"]
            assert constants[node.input[1]].shape == (codes.shape[axis],)
            assert codes.shape[axis] == (4 if codes.ndim == 2 else 8)
    assert found == 3


def test_activations_are_uint8_for_cpus_and_symmetric_int8_for_tensorrt(int8: tuple[str, bytes]) -> None:
    kind, model = int8
    constants = constants_of(model)
    activations = {constants[n.input[2]].dtype.name for n in nodes_of(model, "QuantizeLinear")}
    biases = [constants[n.input[2]] for n in nodes_of(model, "Conv") if n.input[2] in constants]
    if kind == "cpu":
        assert activations == {"uint8"}
        assert not biases  # int32 behind a DequantizeLinear
        return
    assert activations == {"int8"}
    assert {b.dtype.name for b in biases} == {"float32"}
    for node in nodes_of(model):
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            assert not np.any(constants[node.input[2]])


def test_a_layer_and_its_relu_are_not_rounded_twice(int8: tuple[str, bytes]) -> None:
    writers = {o: n.op_type for n in nodes_of(int8[1]) for o in n.output}
    assert {writers[n.input[0]] for n in nodes_of(int8[1], "Relu")} <= {"Conv", "Gemm", "Add"}


def test_softmax_stays_in_float(int8: tuple[str, bytes]) -> None:
    (softmax,) = nodes_of(int8[1], "Softmax")
    assert list(softmax.output) == ["scores"]


def test_names_do_not_depend_on_what_the_process_did_before(source: SourceModel, float32: bytes) -> None:
    assert convert_to_onnx_float32(source) == float32
    names = [n.name for n in nodes_of(float32)]
    assert len(set(names)) == len(names)


def test_metadata_is_json_that_any_reader_takes(float32: bytes) -> None:
    import json

    preprocessing = Preprocessing(12, 10, 3, (127.5,), (127.5,))
    labels = ("ant", "bée", "cat", 'd"og')
    described = add_onnx_metadata(float32, labels=labels, preprocessing=preprocessing, producer="edge_cnn x")
    twice = add_onnx_metadata(described, labels=labels, preprocessing=preprocessing, producer="edge_cnn x")
    import onnxruntime

    found = onnxruntime.InferenceSession(described, providers=["CPUExecutionProvider"]).get_modelmeta()
    properties = found.custom_metadata_map
    assert json.loads(properties["edge_cnn.labels"]) == list(labels)
    assert Preprocessing.from_json(json.loads(properties["edge_cnn.preprocessing"])) == preprocessing
    assert properties["producer"] == "edge_cnn x"
    assert twice == described
