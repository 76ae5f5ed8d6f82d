"""The numpy-only reader against the onnx package."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import ModelError
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.onnx.file import read_onnx
from edge_cnn.device.onnx.protobuf_wire import rewrite
from edge_cnn.device.onnx.tensor import DTYPES, encode_tensor, read_tensor

NUMPY_TYPES = sorted(DTYPES.values())


def artifact_of(model):
    return Artifact("model.onnx", "onnx", model.SerializeToString())


def value(name, shape, dtype=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def model_of(nodes, initializers=(), inputs=None, outputs=None, **kwargs):
    graph = helper.make_graph(
        nodes, "g", inputs or [value("x", ["n", 1, 8, 8])], outputs or [value("y", ["n", 5])], list(initializers)
    )
    return helper.make_model(graph, **({"opset_imports": [helper.make_opsetid("", 17)]} | kwargs))


def samples(dtype):
    values = np.array([[0, 1, 100], [127, 5, 3]])
    if np.dtype(dtype).kind in "if":
        values[1] *= -1
    return values.astype(dtype)


def data_of(tensor):
    data = tensor.SerializeToString()
    return data, read_tensor(data, (0, len(data)))


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("dtype", NUMPY_TYPES)
def test_values_are_those_that_onnx_reads_whatever_field_holds_them(dtype, raw):
    values = samples(dtype)
    data_type = helper.np_dtype_to_tensor_dtype(values.dtype)
    tensor = helper.make_tensor("t", data_type, values.shape, values.tobytes() if raw else values.reshape(-1), raw=raw)
    _, stored = data_of(tensor)
    read = stored.values()
    assert read.dtype == values.dtype
    np.testing.assert_array_equal(read, numpy_helper.to_array(tensor))
    assert (stored.raw_span is not None) == raw


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("dtype", NUMPY_TYPES)
def test_onnx_reads_the_values_that_an_edit_wrote(dtype, raw):
    values = samples(dtype)
    data_type = helper.np_dtype_to_tensor_dtype(values.dtype)
    data, stored = data_of(
        helper.make_tensor("t", data_type, values.shape, values.tobytes() if raw else values.reshape(-1), raw=raw)
    )
    new = values[::-1, ::-1].copy()
    edited = rewrite(data, stored.edits(new))
    assert len(edited) == len(data)
    parsed = onnx.TensorProto.FromString(edited)
    np.testing.assert_array_equal(numpy_helper.to_array(parsed), new)
    assert (parsed.name, list(parsed.dims), parsed.data_type) == ("t", [2, 3], data_type)


@pytest.mark.parametrize("dtype", ["uint8", "int8"])
def test_a_zero_point_stored_as_a_varint_takes_any_new_value_in_the_same_size(dtype):
    limits = np.iinfo(dtype)
    for old in (limits.min, 0, 1, 127, limits.max):
        for new in (limits.min, 0, 88, 127, limits.max):
            data, stored = data_of(helper.make_tensor("z", helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), [], [old]))
            edited = rewrite(data, stored.edits(np.array(new, dtype)))
            assert len(edited) == len(data), (old, new)
            tensor = onnx.TensorProto.FromString(edited)
            onnx.checker.check_tensor(tensor)
            assert numpy_helper.to_array(tensor) == new


def test_varints_that_find_no_room_make_the_field_longer():
    data, stored = data_of(helper.make_tensor("t", TensorProto.INT32, [2], [1, 2]))
    edited = rewrite(data, stored.edits(np.array([-1, 2**31 - 1], np.int32)))
    assert list(numpy_helper.to_array(onnx.TensorProto.FromString(edited))) == [-1, 2**31 - 1]


def test_numbers_in_several_fields_are_gathered_and_written_as_one():
    # int32_data as proto2 wrote it: one field a number.
    data = b"\x08\x03\x10\x06\x28\x01\x28\x02\x28\x03"
    stored = read_tensor(data, (0, len(data)))
    np.testing.assert_array_equal(stored.values(), [1, 2, 3])
    edited = onnx.TensorProto.FromString(rewrite(data, stored.edits(np.array([7, 8, 900], np.int32))))
    assert list(edited.int32_data) == [7, 8, 900]


@pytest.mark.parametrize("dtype", NUMPY_TYPES)
def test_onnx_reads_a_new_tensor(dtype):
    tensor = onnx.TensorProto.FromString(encode_tensor("new", samples(dtype)))
    onnx.checker.check_tensor(tensor)
    np.testing.assert_array_equal(numpy_helper.to_array(tensor), samples(dtype))
    assert tensor.name == "new"


@pytest.mark.parametrize(
    "tensor",
    [
        TensorProto(dims=[3], data_type=1, raw_data=b"1234"),
        TensorProto(dims=[1], data_type=1, raw_data=b"123"),
        TensorProto(dims=[2**40, 2**40], data_type=3, raw_data=b"1"),
        TensorProto(dims=[-1], data_type=3, raw_data=b"1"),
        TensorProto(dims=[0, 2**40, 2**40], data_type=3),
        TensorProto(dims=[1] * 1000, data_type=3, raw_data=b"1"),
        TensorProto(dims=[1], data_type=3, raw_data=b"1", int32_data=[1]),
        TensorProto(dims=[1], data_type=1, int64_data=[1]),
        TensorProto(dims=[4], data_type=3),
    ],
)
def test_a_tensor_whose_values_do_not_fit_its_shape_is_damage(tensor):
    with pytest.raises(ModelError, match=r"damaged \.onnx"):
        data_of(tensor)[1].values()


def test_a_type_that_numpy_does_not_have_is_named():
    with pytest.raises(ModelError, match="ONNX data type 16"):
        data_of(TensorProto(dims=[1], data_type=TensorProto.BFLOAT16, raw_data=b"12"))[1].values()


def test_values_in_another_file_are_refused_with_the_way_out():
    tensor = TensorProto(name="w", dims=[1], data_type=1, data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="w.bin")
    model = model_of([helper.make_node("Relu", ["x"], ["y"])], [tensor])
    with pytest.raises(
        ModelError, match=r"'w' has its values in another file; save the model with all data in the one"
    ):
        read_onnx(artifact_of(model))


def test_the_graph_reads_as_onnx_parses_it():
    weights = numpy_helper.from_array(np.ones((4, 1, 3, 3), np.float32), "w")
    model = model_of(
        [
            helper.make_node("Conv", ["x", "w"], ["c"], "conv", kernel_shape=[3, 3], strides=[2, 2], auto_pad="VALID"),
            helper.make_node("Clip", ["c", "", "top"], ["r"], alpha=0.5),
            helper.make_node("FusedThing", ["r"], ["y"], domain="com.microsoft"),
        ],
        [weights, numpy_helper.from_array(np.float32(6), "top")],
        opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)],
        ir_version=9,
    )
    helper.set_model_props(model, {"key": "wert ä"})
    read = read_onnx(artifact_of(model))
    assert (read.ir_version, read.opsets, read.metadata) == (9, {"": 17, "com.microsoft": 1}, {"key": "wert ä"})
    for got, want in zip(read.nodes, model.graph.node, strict=True):
        assert (got.op, got.domain, got.name) == (want.op_type, want.domain, want.name)
        assert (list(got.inputs), list(got.outputs)) == (list(want.input), list(want.output))
    assert read.nodes[0].attributes == {"kernel_shape": (3, 3), "strides": (2, 2), "auto_pad": "VALID"}
    assert read.nodes[1].attributes == {"alpha": 0.5}
    assert read.inputs == (TensorSpec("x", (-1, 1, 8, 8), "float32"),)
    assert read.outputs == (TensorSpec("y", (-1, 5), "float32"),)
    stored = read.initializers["w"].tensor
    assert stored.raw_span is not None
    assert read.data[slice(*stored.raw_span)] == weights.raw_data


def test_constants_are_not_inputs_even_where_an_old_file_lists_them():
    scale = numpy_helper.from_array(np.ones(1, np.float32), "s")
    inputs = [value("x", [2, 3], TensorProto.INT8), value("s", [1])]
    model = model_of([helper.make_node("Mul", ["x", "s"], ["y"])], [scale], inputs, ir_version=3)
    assert read_onnx(artifact_of(model)).inputs == (TensorSpec("x", (2, 3), "int8"),)


def test_a_constant_node_counts_as_a_constant():
    held = numpy_helper.from_array(np.arange(3, dtype=np.int64))
    model = model_of([helper.make_node("Constant", [], ["k"], value=held), helper.make_node("Add", ["x", "k"], ["y"])])
    np.testing.assert_array_equal(read_onnx(artifact_of(model)).constants["k"].tensor.values(), [0, 1, 2])


def test_operators_are_counted_with_the_version_of_their_set_subgraphs_included():
    branch = helper.make_graph([helper.make_node("Relu", ["outer"], ["b"])], "branch", [], [value("b", None)])
    model = model_of(
        [
            helper.make_node("Relu", ["x"], ["outer"]),
            helper.make_node("If", ["flag"], ["i"], then_branch=branch, else_branch=branch),
            helper.make_node("QGelu", ["i"], ["q"], domain="com.microsoft"),
            helper.make_node("Other", ["q"], ["y"], domain="org.nowhere"),
        ],
        opset_imports=[helper.make_opsetid("ai.onnx", 13), helper.make_opsetid("com.microsoft", 1)],
    )
    rows = read_onnx(artifact_of(model)).op_versions()
    assert rows == [("If", 13, 1), ("Relu", 13, 3), ("com.microsoft.QGelu", 1, 1), ("org.nowhere.Other", 0, 1)]
    assert "outer" in read_onnx(artifact_of(model)).nodes[1].outer_names


def test_graphs_nested_without_end_are_damage():
    node = helper.make_node("Relu", ["x"], ["y"])
    for _ in range(20):
        node = helper.make_node("If", ["x"], ["y"], then_branch=helper.make_graph([node], "g", [], []))
    with pytest.raises(ModelError, match="graphs within graphs"):
        read_onnx(artifact_of(model_of([node])))


def test_a_file_without_a_graph_is_damage():
    for data in (b"\x08\x08", b"", b"garbage"):
        with pytest.raises(ModelError, match=r"damaged \.onnx"):
            read_onnx(Artifact("m.onnx", "onnx", data))
