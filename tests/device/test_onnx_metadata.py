"""What an `.onnx` file says of itself, as the onnx package writes it."""

import json

import onnx
import pytest
from onnx import helper

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import ModelError
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.device.onnx.metadata import LABELS, PREPROCESSING, read_onnx_metadata

GRAY = Preprocessing(28, 28, 1, (33.3,), (78.5,))


def with_properties(**properties):
    x = helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 4])
    y = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["n", 4])
    model = helper.make_model(helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y]))
    helper.set_model_props(model, properties)
    return Artifact("model.onnx", "onnx", model.SerializeToString())


def test_labels_and_preprocessing_are_read_back():
    artifact = with_properties(
        **{LABELS: json.dumps(["null", "öins"]), PREPROCESSING: json.dumps(GRAY.to_json()), "other": "1"}
    )
    assert read_onnx_metadata(artifact) == (("null", "öins"), GRAY)


def test_a_file_of_another_program_has_neither():
    assert read_onnx_metadata(with_properties(other="1")) == (None, None)


@pytest.mark.parametrize(
    "text", ["", "[", "{}", "[]", "[1, 2]", '"ab"', "[" * 100_000, '{"height": 1}', "null", '[["a"]]']
)
def test_anything_else_under_our_names_counts_as_absent(text):
    assert read_onnx_metadata(with_properties(**{LABELS: text, PREPROCESSING: text})) == (None, None)


@pytest.mark.parametrize(
    ("field", "value"),
    [("height", 0), ("width", -1), ("channels", 2), ("std", [0]), ("mean", [1, 2, 3]), ("height", float("inf"))],
)
def test_a_preprocessing_that_cannot_be_counts_as_absent(field, value):
    text = json.dumps(GRAY.to_json() | {field: value})
    assert read_onnx_metadata(with_properties(**{PREPROCESSING: text})) == (None, None)


def test_a_damaged_file_is_said_to_be_damaged():
    with pytest.raises(ModelError, match=r"damaged \.onnx"):
        read_onnx_metadata(Artifact("model.onnx", "onnx", with_properties(a="1").data[:-1]))
