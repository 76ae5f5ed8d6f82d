"""The wire format against the protobuf package, which this reader must do without."""

import onnx
import pytest
from google.protobuf.internal import decoder, encoder
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_cnn.core.errors import ModelError
from edge_cnn.device.onnx.protobuf_wire import (
    as_signed,
    encode_delimited,
    encode_integer,
    encode_text,
    encode_varint,
    read_fields,
    read_float,
    read_integer,
    read_integers,
    read_text,
    read_varint,
    rewrite,
)

INT64 = st.integers(-(2**63), 2**63 - 1)


@settings(deadline=None)
@given(st.integers(0, 2**64 - 1))
def test_a_varint_is_encoded_as_protobuf_encodes_it_and_read_back(value):
    encoded = encode_varint(value)
    assert encoded == encoder._VarintBytes(value)
    assert read_varint(encoded, 0, len(encoded)) == (value, len(encoded))


@settings(deadline=None)
@given(INT64, st.integers(1, 10))
def test_protobuf_reads_a_padded_varint_as_the_same_number(value, width):
    encoded = encode_varint(value, width)
    assert len(encoded) == max(width, len(encode_varint(value)))
    assert as_signed(read_varint(encoded, 0, len(encoded))[0]) == value
    tensor = onnx.TensorProto.FromString(encode_delimited(7, encoded))
    assert list(tensor.int64_data) == [value]
    assert decoder._DecodeSignedVarint(encoded, 0) == (value, len(encoded))


@settings(deadline=None)
@given(st.lists(INT64), st.text(), st.floats(width=32, allow_nan=False), INT64)
def test_the_fields_of_a_message_that_protobuf_wrote_are_read(integers, text, number, single):
    data = onnx.AttributeProto(ints=integers, name=text, f=number, i=single).SerializeToString()
    found = {f.number: f for f in read_fields(data, (0, len(data)))}
    unpacked = [v for f in read_fields(data, (0, len(data))) if f.number == 8 for v in read_integers(data, f)]
    assert unpacked == integers
    assert read_text(data, found[1]) == text
    assert read_float(data, found[2]) == number
    assert read_integer(found[3]) == single


@settings(deadline=None)
@given(st.lists(INT64, max_size=20))
def test_packed_numbers_are_read(integers):
    data = onnx.TensorProto(int64_data=integers).SerializeToString()
    assert [v for f in read_fields(data, (0, len(data))) for v in read_integers(data, f)] == integers


def test_a_number_below_zero_takes_the_ten_bytes_that_protobuf_gives_it():
    assert encode_integer(1, -40) == onnx.TensorProto(dims=[-40]).SerializeToString()
    assert encode_text(8, "größe") == onnx.TensorProto(name="größe").SerializeToString()


def nested_model():
    names = ["a", "b", "c" * 200]
    nodes = [onnx.NodeProto(op_type="Identity", name=n, input=[n], output=[n + "'"]) for n in names]
    return onnx.ModelProto(ir_version=8, graph=onnx.GraphProto(node=nodes, name="g"), producer_name="p")


def node_spans(data):
    graph = next(f for f in read_fields(data, (0, len(data))) if f.number == 7)
    return [f.span for f in read_fields(data, graph.value) if f.number == 1]


def test_a_dropped_and_a_longer_field_leave_the_message_that_protobuf_would_write():
    model = nested_model()
    data = model.SerializeToString()
    first, second, third = node_spans(data)
    longer = onnx.NodeProto(op_type="Relu", name="r" * 300, input=["a"], output=["b'"])
    edited = rewrite(data, {second: encode_delimited(1, longer.SerializeToString()), first: b"", third: b""})
    del model.graph.node[:]
    model.graph.node.append(longer)
    assert edited == model.SerializeToString()


def test_a_rewrite_without_edits_gives_the_same_bytes():
    data = nested_model().SerializeToString()
    assert rewrite(data, {}) == data


def test_two_edits_deep_in_one_message_correct_every_length_around_them():
    model = nested_model()
    data = model.SerializeToString()
    start, end = node_spans(data)[0]
    _, value = read_varint(data, start + 1, end)
    inner = [f for f in read_fields(data, (value, end)) if f.number in (1, 2)]
    edited = rewrite(data, {inner[0].span: encode_text(1, "x" * 500), inner[1].span: encode_text(2, "y")})
    model.graph.node[0].input[0] = "x" * 500
    model.graph.node[0].output[0] = "y"
    assert onnx.ModelProto.FromString(edited) == model


def test_an_edit_that_is_no_field_is_a_mistake_of_the_caller():
    data = nested_model().SerializeToString()
    with pytest.raises(ValueError, match="no field spans"):
        rewrite(data, {(0, 1): b""})
    with pytest.raises(ValueError, match="no field spans"):
        rewrite(data, {(len(data), len(data)): b"x"})


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"\x80", "does not end"),
        (b"\x08" + b"\xff" * 11, "does not end"),
        (b"\x0a\x05ab", "longer than what holds it"),
        (b"\x0a\xff\xff\xff\xff\x7f", "longer than what holds it"),
        (b"\x0d\x00\x00", "longer than what holds it"),
        (b"\x09\x00\x00", "longer than what holds it"),
        (b"\x0b\x0c", "unknown wire type 3"),
        (b"\x0f", "unknown wire type 7"),
        (b"\x00\x01", "no field number 0"),
    ],
)
def test_bytes_that_no_writer_makes_are_damage(data, what):
    with pytest.raises(ModelError, match=what) as caught:
        list(read_fields(data, (0, len(data))))
    assert "damaged .onnx" in str(caught.value)


def test_a_field_of_another_kind_than_asked_for_is_damage():
    data = encode_integer(1, 5) + encode_delimited(2, b"\xff\xfe")
    number, text = read_fields(data, (0, len(data)))
    for read in (lambda: read_text(data, number), lambda: read_text(data, text), lambda: read_float(data, text)):
        with pytest.raises(ModelError, match=r"damaged \.onnx"):
            read()
    with pytest.raises(ModelError, match="wire type 2, not 0"):
        read_integer(text)
