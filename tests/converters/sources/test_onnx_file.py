"""Whole `.onnx` files: layouts, metadata, weights beside them, and what is refused."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.float_graph.float_graph import FloatGraph
from converters.metadata.onnx_metadata import add_onnx_metadata
from converters.schemes.onnx_float32 import convert_to_onnx_float32
from converters.sources.load import load_classifier, load_source_model
from edge_cnn.core.errors import ModelError
from edge_cnn.core.preprocessing import input_range
from tests.converters.sources.onnx_models import classifier, helper, onnx, onnx_model, run_onnx, write

SHAPE = (9, 8, 3)


def operators(graph: FloatGraph) -> Counter[str]:
    return Counter(operator.op for operator in graph.operators)


def images(*shape: int, count: int = 4) -> np.ndarray:
    return np.random.default_rng(5).normal(size=(count, *(shape or SHAPE))).astype(np.float32)


def test_images_with_the_channels_first_come_with_the_channels_last(tmp_path: Path) -> None:
    model = classifier()
    source = load_classifier(write(model, tmp_path / "m.onnx"))
    assert (source.image_shape, source.classes) == (SHAPE, 4)
    assert np.abs(source.predict(images()) - run_onnx(model, images().transpose(0, 3, 1, 2))).max() < 1e-5


@pytest.mark.parametrize("opset", [11, 13, 17])
def test_a_network_from_keras_comes_back_without_a_transpose(
    opset: int, tiny_folder: Path, tiny_keras: Any, tmp_path: Path
) -> None:
    import tensorflow as tf
    import tf2onnx

    spec = tf.TensorSpec((None, *tiny_keras.input_shape[1:]), tf.float32, name="input")
    forward = tf.function(lambda x: tiny_keras(x, training=False))
    inputs = images(*tiny_keras.input_shape[1:])
    for first in ([], ["input"]):
        model, _ = tf2onnx.convert.from_function(forward, (spec,), opset=opset, inputs_as_nchw=first)
        source = load_classifier(write(model, tmp_path / "m.onnx"))
        assert source.image_shape == tiny_keras.input_shape[1:]
        assert np.abs(source.predict(inputs) - tiny_keras.predict(inputs, verbose=0)).max() < 1e-5
        found = operators(source.float_graph)
        assert found["CONV_2D"] == 2
        # BatchNorm is folded and nothing is moved: the same operators as straight from Keras.
        assert found == operators(load_classifier(tiny_folder / "tiny.keras").float_graph)


def test_layers_keep_their_names_in_the_float_graph(tmp_path: Path) -> None:
    source = load_source_model(write(classifier(), tmp_path / "m.onnx"))
    # The last one is named by the output of the graph.
    assert [layer.name for layer in source.float_graph.layers] == ["stem", "scores"]


def test_an_exported_onnx_goes_round_with_its_labels(tmp_path: Path) -> None:
    first = load_classifier(write(classifier(), tmp_path / "m.onnx"))
    labels, preprocessing = ("a", "b", "c", "d"), input_range(-1.0, 1.0, SHAPE)
    data = convert_to_onnx_float32(first)
    (tmp_path / "again.onnx").write_bytes(
        add_onnx_metadata(data, labels=labels, preprocessing=preprocessing, producer="test")
    )
    second = load_classifier(tmp_path / "again.onnx")
    assert (second.labels, second.preprocessing, second.described_by) == (labels, preprocessing, "again.onnx")
    assert np.abs(first.predict(images()) - second.predict(images())).max() < 1e-5


def test_labels_of_another_number_and_foreign_preprocessing_are_left_out(tmp_path: Path) -> None:
    data = classifier().SerializeToString()
    add = {"labels": ["a", "b"], "preprocessing": input_range(0.0, 1.0, (5, 5, 1)), "producer": "test"}
    (tmp_path / "m.onnx").write_bytes(add_onnx_metadata(data, **add))
    source = load_classifier(tmp_path / "m.onnx")
    assert (source.labels, source.preprocessing) == (None, None)


def test_float16_weights_become_float32(tmp_path: Path) -> None:
    model = classifier()
    for tensor in model.graph.initializer:
        half = onnx.numpy_helper.to_array(tensor).astype(np.float16)
        tensor.CopyFrom(onnx.numpy_helper.from_array(half, tensor.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT16
    source = load_classifier(write(model, tmp_path / "m.onnx"))
    expected = run_onnx(model, images().transpose(0, 3, 1, 2).astype(np.float16))
    assert np.abs(source.predict(images()) - expected).max() < 0.02


def with_external_data(folder: Path, location: str = "weights.bin") -> Path:
    model = classifier()
    onnx.external_data_helper.convert_model_to_external_data(model, location="weights.bin", size_threshold=0)
    onnx.save(model, folder / "m.onnx")
    model = onnx.load(folder / "m.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = location
    return write(model, folder / "m.onnx")


def test_weights_in_a_file_beside_the_model_are_read(tmp_path: Path) -> None:
    whole = load_classifier(write(classifier(), tmp_path / "whole.onnx"))
    (tmp_path / "parts").mkdir()
    parts = load_classifier(with_external_data(tmp_path / "parts"))
    assert (whole.predict(images()) == parts.predict(images())).all()


@pytest.mark.parametrize("way", ["absolute", "above", "within", "link"])
def test_weights_outside_the_folder_are_refused(way: str, tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    location = {
        "absolute": str(tmp_path / "weights.bin"),
        "above": "../weights.bin",
        "within": "sub/../../weights.bin",
        "link": "link.bin",
    }[way]
    path = with_external_data(inside, location)
    shutil.move(inside / "weights.bin", tmp_path / "weights.bin")
    (inside / "link.bin").symlink_to(tmp_path / "weights.bin")
    with pytest.raises(ModelError, match=r"outside its folder; put them beside it and save it again$"):
        load_source_model(path)


def test_missing_and_short_weights_are_named(tmp_path: Path) -> None:
    path = with_external_data(tmp_path)
    weights = tmp_path / "weights.bin"
    weights.write_bytes(weights.read_bytes()[:100])
    with pytest.raises(ModelError, match=r"wants bytes \d+\.\.\d+ of weights\.bin, which has 100; copy both again"):
        load_source_model(path)
    weights.unlink()
    with pytest.raises(ModelError, match=r"keeps weights in weights\.bin, which cannot be read: No such file"):
        load_source_model(path)


def refused(model: Any, tmp_path: Path) -> str:
    """The one line that the model is refused with."""
    with pytest.raises(ModelError) as caught:
        load_classifier(write(model, tmp_path / "m.onnx"))
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(str(tmp_path / "m.onnx") + " ")


def test_operators_that_are_not_read_are_named_with_their_layers(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Einsum", ["x"], ["a"], "mixing", equation="nchw->nc"),
        helper.make_node("Magic", ["a"], ["y"], "wand", domain="org.example"),
    ]
    model = onnx_model(nodes, ("n", 3, 9, 8))
    model.opset_import.append(helper.make_opsetid("org.example", 1))
    message = refused(model, tmp_path)
    assert message.startswith(
        "has operators that export does not read: Einsum (layer 'mixing'), org.example.Magic (layer 'wand')"
    )


def test_a_form_that_is_not_read_is_named_with_its_layer(tmp_path: Path) -> None:
    nodes = [helper.make_node("Conv", ["x", "x"], ["y"], "stem")]
    message = refused(onnx_model(nodes, ("n", 3, 9, 8)), tmp_path)
    assert message == (
        "the operator Conv of layer 'stem' cannot be read: input 1 is computed, it must be a constant; "
        "export the model in another form"
    )


@pytest.mark.parametrize("shape", [("n", 3, "h", "w"), ("n", 3, 9, "w"), ("n", 3, -1, 8)])
def test_dynamic_heights_and_widths_are_refused(shape: tuple[Any, ...], tmp_path: Path) -> None:
    message = refused(onnx_model([helper.make_node("Relu", ["x"], ["y"])], shape), tmp_path)
    assert "export needs known sizes behind the batch; save it again with a fixed height and width" in message


def test_a_huge_input_is_refused_before_it_is_made(tmp_path: Path) -> None:
    message = refused(onnx_model([helper.make_node("Relu", ["x"], ["y"])], ("n", 3, 10**5, 10**5)), tmp_path)
    assert "values a sample; save it again" in message


def test_a_huge_constant_is_refused_before_it_is_made(tmp_path: Path) -> None:
    nodes = [helper.make_node("ConstantOfShape", ["s"], ["c"], "filler"), helper.make_node("Add", ["x", "c"], ["y"])]
    model = onnx_model(nodes, ("n", 7), {"s": np.array([10**6, 10**7], np.int64)})
    assert "layer 'filler' cannot be read: a constant of 10000000000000 elements" in refused(model, tmp_path)


def test_weights_that_claim_more_than_they_have_are_refused(tmp_path: Path) -> None:
    model = classifier()
    model.graph.initializer[0].dims[0] = 10**9
    assert "weights 'k' are damaged" in refused(model, tmp_path)


def test_several_inputs_or_outputs_are_refused(tmp_path: Path) -> None:
    two = onnx_model([helper.make_node("Add", ["x", "z"], ["y"])], ("n", 3, 9, 8), inputs=("x", "z"))
    assert refused(two, tmp_path) == "has 2 inputs, export needs one; give a model with one"
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Abs", ["x"], ["z"])]
    assert refused(onnx_model(nodes, ("n", 3, 9, 8), outputs=("y", "z")), tmp_path).startswith("has 2 outputs")


@pytest.mark.parametrize("form", ["QDQ", "QOperator", "dynamic"])
def test_a_quantized_file_is_refused(form: str, tmp_path: Path) -> None:
    from onnxruntime import quantization

    write(classifier(), tmp_path / "float.onnx")
    if form == "dynamic":
        quantization.quantize_dynamic(tmp_path / "float.onnx", tmp_path / "m.onnx")
    else:

        class Reader(quantization.CalibrationDataReader):
            def __init__(self) -> None:
                self.rows = iter(images().transpose(0, 3, 1, 2))

            def get_next(self) -> Any:
                row = next(self.rows, None)
                return None if row is None else {"x": row[None]}

        kind = quantization.QuantFormat[form]
        quantization.quantize_static(tmp_path / "float.onnx", tmp_path / "m.onnx", Reader(), quant_format=kind)
    message = refused(onnx.load(tmp_path / "m.onnx"), tmp_path)
    assert message.startswith("is already quantized: ")
    assert message.endswith("; give the float model")


def test_inputs_of_integers_are_refused(tmp_path: Path) -> None:
    model = onnx_model([helper.make_node("Cast", ["x"], ["y"], to=1)], ("n", 3, 9, 8))
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.UINT8
    assert refused(model, tmp_path).startswith("takes uint8 inputs, export needs float32")


def test_a_reshape_that_joins_samples_is_refused(tmp_path: Path) -> None:
    nodes = [helper.make_node("Reshape", ["x", "s"], ["y"], "mix")]
    model = onnx_model(nodes, ("n", 6), {"s": np.array([-1, 3], np.int64)})
    assert "layer 'mix' cannot be read: it makes [-1, 3] of (n, 6), which joins or cuts samples" in refused(
        model, tmp_path
    )


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_file_is_one_line(share: float, tmp_path: Path) -> None:
    data = classifier().SerializeToString()
    (tmp_path / "m.onnx").write_bytes(data[: int(share * len(data))])
    with pytest.raises(ModelError, match=r"empty|not a whole|is not an|damaged|declares|cannot be") as caught:
        load_source_model(tmp_path / "m.onnx")
    assert "\n" not in str(caught.value)


def test_flipped_bytes_are_one_line_or_another_model(tmp_path: Path) -> None:
    data = classifier().SerializeToString()
    rng = np.random.default_rng(0)
    for _ in range(60):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] ^= 1 << rng.integers(8)
        (tmp_path / "m.onnx").write_bytes(damaged)
        try:
            load_source_model(tmp_path / "m.onnx")
        except ModelError as error:
            assert "\n" not in str(error)  # noqa: PT017  # both ends are right, the way is what is judged
