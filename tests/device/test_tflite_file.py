from __future__ import annotations

import contextlib
import struct
import time
from collections import Counter
from typing import Any

import numpy as np
import pytest

from edge_cnn.core.artifact import TFLITE, Artifact
from edge_cnn.core.errors import ModelError
from edge_cnn.device.tflite.file import has_hybrid_per_channel_dense, op_versions, read_tflite
from edge_cnn.device.tflite.flatbuffer import read_root
from edge_cnn.device.tflite.schema import ACTIVATIONS, BUILTIN_OPERATORS, TENSOR_TYPES

schema: Any = pytest.importorskip("ai_edge_litert.schema_py_generated")
flatbuffers: Any = pytest.importorskip("flatbuffers")


def names(enumeration: Any) -> dict[int, str]:
    return {value: name for name, value in vars(enumeration).items() if isinstance(value, int)}


def pack(tree: Any) -> Artifact:
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return Artifact("packed.tflite", TFLITE, bytes(builder.Output()))


def tree_of(artifact: Artifact) -> Any:
    return schema.ModelT.InitFromPackedBuf(artifact.data, 0)


def listed(values: Any) -> list[Any]:
    return [] if values is None else list(values)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (BUILTIN_OPERATORS, names(schema.BuiltinOperator)),
        (tuple(name.upper() for name in TENSOR_TYPES), names(schema.TensorType)),
        (ACTIVATIONS, names(schema.ActivationFunctionType)),
    ],
)
def test_the_numbers_of_the_schema_have_their_names(ours, theirs):
    assert {number: name for number, name in theirs.items() if number < len(ours)} == dict(enumerate(ours))


@pytest.mark.parametrize("name", ["float32", "int8", "int8-per-tensor", "uint8-io", "int16x8", "hybrid", "no-dense"])
def test_a_file_reads_as_by_the_generated_code_of_the_schema(tflite_models, name):
    artifact = tflite_models[name]
    ours, theirs = read_tflite(artifact), tree_of(artifact)
    graph, their_graph = ours.main, theirs.subgraphs[0]
    assert len(graph.tensors) == len(their_graph.tensors)
    for tensor, their in zip(graph.tensors, their_graph.tensors, strict=True):
        assert tensor.name == their.name.decode()
        assert list(tensor.shape) == listed(their.shape)
        assert list(tensor.shape_signature) == listed(their.shapeSignature)
        assert tensor.dtype.upper() == names(schema.TensorType)[their.type]
        constant = ours.constant(tensor)
        assert list(artifact.data[slice(*constant)] if constant else b"") == listed(theirs.buffers[their.buffer].data)
        scales = listed(their.quantization.scale) if their.quantization else []
        if not scales:
            assert tensor.params is None
            continue
        assert tensor.params is not None
        assert tensor.params.scales == tuple(float(s) for s in scales)
        assert list(tensor.params.zero_points) == listed(their.quantization.zeroPoint)
        assert tensor.params.axis == (their.quantization.quantizedDimension if len(scales) > 1 else None)
    for operator, their in zip(graph.operators, their_graph.operators, strict=True):
        code = theirs.operatorCodes[their.opcodeIndex]
        assert operator.name == names(schema.BuiltinOperator)[max(code.builtinCode, code.deprecatedBuiltinCode)]
        assert operator.version == code.version
        assert list(operator.inputs) == listed(their.inputs)
        assert list(operator.outputs) == listed(their.outputs)
    assert list(graph.inputs) == list(their_graph.inputs)
    assert list(graph.outputs) == list(their_graph.outputs)
    for signature, their in zip(ours.signatures, theirs.signatureDefs, strict=True):
        assert signature.key == their.signatureKey.decode()
        assert [(e.name, e.tensor) for e in signature.outputs] == [
            (e.name.decode(), e.tensorIndex) for e in their.outputs
        ]
    assert ours.metadata == tuple((m.name.decode(), m.buffer) for m in theirs.metadata)


@pytest.mark.parametrize("name", ["float32", "int8", "uint8-io"])
def test_inputs_and_outputs_are_those_that_an_interpreter_tells(tflite_models, name):
    from ai_edge_litert.interpreter import Interpreter

    model = read_tflite(tflite_models[name])
    interpreter = Interpreter(model_content=tflite_models[name].data)
    for specs, details in (
        (model.inputs, interpreter.get_input_details()),
        (model.outputs, interpreter.get_output_details()),
    ):
        for spec, detail in zip(specs, details, strict=True):
            assert spec.name == detail["name"]
            assert list(spec.shape) == list(detail["shape_signature"])
            assert spec.numpy_dtype == detail["dtype"]
            scale, zero_point = detail["quantization"]
            if scale:
                assert spec.quantization is not None
                assert spec.quantization.scale == scale
                assert spec.quantization.zero_point == zero_point
            else:
                assert spec.quantization is None


def test_operators_are_counted_by_name_and_version(tflite_models):
    tree = tree_of(tflite_models["int8"])
    codes = [tree.operatorCodes[op.opcodeIndex] for op in tree.subgraphs[0].operators]
    expected = Counter((names(schema.BuiltinOperator)[code.builtinCode], code.version) for code in codes)
    rows = op_versions(tflite_models["int8"])
    assert rows == [(*key, count) for key, count in sorted(expected.items())]
    assert rows == read_tflite(tflite_models["int8"]).op_versions()
    assert ("CONV_2D", 3, 2) in rows


def test_a_custom_operator_goes_by_its_own_name(tflite_models):
    tree = tree_of(tflite_models["int8"])
    code = tree.operatorCodes[tree.subgraphs[0].operators[-1].opcodeIndex]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = b"TFLite_Detection_PostProcess", 7
    assert ("TFLite_Detection_PostProcess", 7, 1) in op_versions(pack(tree))


def test_an_operator_newer_than_this_project_goes_by_its_number(tflite_models):
    tree = tree_of(tflite_models["int8"])
    tree.operatorCodes[0].builtinCode = 4321
    assert "BUILTIN_4321" in {name for name, _, _ in op_versions(pack(tree))}


def test_values_kept_behind_the_flatbuffer_are_found(tflite_models):
    # As in files beyond 2 GB: the Buffer table holds offset and size instead of the bytes.
    tree = tree_of(tflite_models["int8"])
    weights = next(t for t in tree.subgraphs[0].tensors if list(t.shape if t.shape is not None else []) == [10, 128])
    buffer = tree.buffers[weights.buffer]
    content = bytes(buffer.data)
    buffer.data, buffer.offset, buffer.size = None, 2**20, len(content)
    data = pack(tree).data
    artifact = Artifact("large.tflite", TFLITE, data + bytes(2**20 - len(data)) + content)
    model = read_tflite(artifact)
    tensor = next(t for t in model.main.tensors if t.shape == (10, 128))
    assert model.constant(tensor) == (2**20, 2**20 + len(content))
    with pytest.raises(ModelError, match="goes beyond the end of the file"):
        read_tflite(Artifact("cut.tflite", TFLITE, artifact.data[:-1]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tree: setattr(tree.subgraphs[0], "outputs", [999]), "is not there"),
        (lambda tree: setattr(tree.subgraphs[0].operators[0], "inputs", [-2]), "is not there"),
        (lambda tree: setattr(tree.subgraphs[0].operators[0], "opcodeIndex", 99), "has code 99"),
        (lambda tree: setattr(tree.subgraphs[0].tensors[0], "buffer", 9999), "names a buffer that is not there"),
        (lambda tree: setattr(tree.subgraphs[0].tensors[0], "type", 99), "has element type 99"),
        (lambda tree: setattr(tree.subgraphs[0].tensors[0], "shape", [1] * 65), "a shape of 65 dimensions"),
        (lambda tree: setattr(tree.metadata[0], "buffer", 9999), "a metadata entry names a buffer"),
        (lambda tree: setattr(tree, "subgraphs", []), "holds no graph"),
        (lambda tree: setattr(tree.subgraphs[0].operators[0], "inputs", np.zeros(70_000, np.int32)), "70000 tensors"),
    ],
)
def test_an_index_that_points_nowhere_is_a_model_error(tflite_models, change, message):
    tree = tree_of(tflite_models["int8"])
    change(tree)
    with pytest.raises(ModelError, match=message):
        read_tflite(pack(tree))


def test_scales_and_zero_points_of_different_number_are_a_model_error(tflite_models):
    tree = tree_of(tflite_models["int8"])
    tree.subgraphs[0].tensors[0].quantization.zeroPoint = [0, 0, 0]
    with pytest.raises(ModelError, match="1 scales with 3 zero points"):
        _ = read_tflite(pack(tree)).inputs


def test_only_a_float_layer_that_hides_its_integer_scales_a_class_is_hybrid_per_channel(tflite_models):
    # TensorFlow's converter states the version that older runtimes refuse; AI Edge Quantizer leaves it at 1.
    assert not any(has_hybrid_per_channel_dense(artifact) for artifact in tflite_models.values())
    for name, artifact in tflite_models.items():
        tree = tree_of(artifact)
        for code in tree.operatorCodes:
            code.version = 1
        assert has_hybrid_per_channel_dense(pack(tree)) == (name == "hybrid")
    tree = tree_of(tflite_models["hybrid"])
    for code in tree.operatorCodes:
        code.version = 1
    assert has_hybrid_per_channel_dense(pack(tree))
    weights = next(t for t in tree.subgraphs[0].tensors if t.type == schema.TensorType.INT8)
    weights.quantization.scale, weights.quantization.zeroPoint = [0.5], [0]
    assert not has_hybrid_per_channel_dense(pack(tree))


def test_random_damage_gives_a_model_or_a_model_error(tflite_models):
    rng = np.random.default_rng(0)
    whole = tflite_models["int8"].data
    for length in range(0, len(whole), 97):
        damage(whole[:length])
    for _ in range(400):
        data = np.frombuffer(whole, np.uint8).copy()
        data[rng.integers(0, len(data), rng.integers(1, 5))] = rng.integers(0, 256)
        damage(data.tobytes())


def damage(data: bytes) -> None:
    with contextlib.suppress(ModelError):
        model = read_tflite(Artifact("damaged.tflite", TFLITE, data))
        _ = model.inputs, model.outputs, model.op_versions()


def test_many_graphs_that_are_one_are_refused_at_once(tflite_models):
    # The root's vector of graphs becomes 4,000 offsets to one graph, whose 20,000 offsets lead to one tensor.
    data = bytearray(tflite_models["int8"].data)
    data += bytes(-len(data) % 4)
    root = read_root(data, b"TFL3")
    field = root.field(2, 4)
    assert field is not None
    count = 4000
    vector = len(data)
    data += struct.pack("<I", count) + bytes(4 * count)
    struct.pack_into("<I", data, field, vector - field)
    tables = len(data)
    data += struct.pack("<HHH2x", 6, 8, 4) + struct.pack("<iI", 8, 4) + struct.pack("<I", 20_000)
    table = tables + 8
    leaf = table + 12 + 4 * 20_000
    data += b"".join(struct.pack("<I", leaf - (table + 12 + 4 * i)) for i in range(20_000))
    data += struct.pack("<iI", leaf - tables, 0)
    for i in range(count):
        struct.pack_into("<I", data, vector + 4 + 4 * i, table - (vector + 4 + 4 * i))
    start = time.process_time()
    with pytest.raises(ModelError, match="used over and over"):
        read_tflite(Artifact("crafted.tflite", TFLITE, bytes(data)))
    # Reading all of them, 80 million, would take minutes on any machine.
    assert time.process_time() - start < 20.0


def test_more_inputs_than_any_network_has_are_refused(tflite_models):
    tree = tree_of(tflite_models["int8"])
    tree.subgraphs[0].inputs = np.zeros(1025, np.int32)
    with pytest.raises(ModelError, match="1025 tensors are listed"):
        read_tflite(pack(tree))
