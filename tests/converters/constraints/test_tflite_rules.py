"""Each rule for `.tflite` files with a file that keeps it, as the converter wrote it, and one edited to break it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.calibration.samples import Calibration
from converters.compilers.vela import Vela
from converters.constraints.memory_rules import least_activation_bytes
from converters.constraints.table import constraints_of, violations
from converters.schemes.tflite_int8 import convert_to_tflite_int8
from converters.sources.source_model import SourceModel
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.bundle import Bundle
from edge_cnn.core.errors import CompilerMissingError
from edge_cnn.core.targets import Memory, Target, find_target
from edge_cnn.device.tflite.file import read_tflite
from tests.device.tflite_oracle import flatbuffers, schema

OPS = schema.BuiltinOperator
TYPES = schema.TensorType

Change = Callable[[Any, Any], None]
"""Edits (model, main graph)."""


def edited(artifact: Artifact, change: Change) -> Artifact:
    model = schema.ModelT.InitFromPackedBuf(artifact.data, 0)
    change(model, model.subgraphs[0])
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return Artifact(artifact.name, "tflite", bytes(builder.Output()))


def operator(model: Any, graph: Any, code: int) -> Any:
    """The first operator of that code."""
    return next(o for o in graph.operators if model.operatorCodes[o.opcodeIndex].builtinCode == code)


def renamed(old: int, new: int) -> Change:
    def change(model: Any, graph: Any) -> None:
        del graph
        code = next(c for c in model.operatorCodes if c.builtinCode == old)
        code.builtinCode, code.deprecatedBuiltinCode = new, min(new, 127)

    return change


def batch_of_two(model: Any, graph: Any) -> None:
    del model
    graph.tensors[graph.inputs[0]].shape = [2, 28, 28, 1]
    graph.tensors[graph.inputs[0]].shapeSignature = None


def computed_weights(model: Any, graph: Any) -> None:
    graph.tensors[operator(model, graph, OPS.FULLY_CONNECTED).inputs[1]].buffer = 0


def relu_in_pool(model: Any, graph: Any) -> None:
    operator(model, graph, OPS.MAX_POOL_2D).builtinOptions.fusedActivationFunction = schema.ActivationFunctionType.RELU


def tall_dilation(model: Any, graph: Any) -> None:
    operator(model, graph, OPS.CONV_2D).builtinOptions.dilationHFactor = 2


def long_softmax(model: Any, graph: Any) -> None:
    graph.tensors[operator(model, graph, OPS.SOFTMAX).inputs[0]].shape = [1, 20_000]


def four_bit_weights(model: Any, graph: Any) -> None:
    graph.tensors[operator(model, graph, OPS.CONV_2D).inputs[1]].type = TYPES.INT4


def float_pool(model: Any, graph: Any) -> None:
    graph.tensors[operator(model, graph, OPS.MAX_POOL_2D).outputs[0]].type = TYPES.FLOAT32


def scales_in_reshape(model: Any, graph: Any) -> None:
    quantization = graph.tensors[operator(model, graph, OPS.RESHAPE).outputs[0]].quantization
    quantization.scale, quantization.zeroPoint = [0.1, 0.2], [0, 0]


def far_strides(model: Any, graph: Any) -> None:
    options = operator(model, graph, OPS.CONV_2D).builtinOptions
    options.strideH, options.padding = 4, schema.Padding.SAME


def weight_only(model: Any, graph: Any) -> None:
    scales_in_reshape(model, graph)
    reshape = operator(model, graph, OPS.RESHAPE)
    reshape.inputs = [reshape.outputs[0]]
    renamed(OPS.RESHAPE, OPS.DEQUANTIZE)(model, graph)


def open_height(model: Any, graph: Any) -> None:
    del model
    graph.tensors[graph.inputs[0]].shapeSignature = [1, -1, 28, 1]


@pytest.mark.parametrize(
    ("target", "change", "rule", "culprit"),
    [
        ("coral-edgetpu", renamed(OPS.MAX_POOL_2D, OPS.HARD_SWISH), "operators_of_edgetpu", "HARD_SWISH"),
        ("coral-edgetpu", batch_of_two, "one_sample_at_a_time", "[2, 28, 28, 1]"),
        ("coral-edgetpu", batch_of_two, "three_dimensions", "[2, 28, 28, 1]"),
        ("coral-edgetpu", computed_weights, "parameters_are_constant", "of FULLY_CONNECTED"),
        ("coral-edgetpu", relu_in_pool, "no_fused_activation_in_pools", "MAX_POOL_2D with RELU"),
        ("coral-edgetpu", tall_dilation, "equal_dilations", "CONV_2D dilated by 2 x 1"),
        ("coral-edgetpu", long_softmax, "short_softmax", "[1, 20000]"),
        ("ethos-u55", renamed(OPS.MAX_POOL_2D, OPS.CEIL), "operators_of_ethos_u", "CEIL"),
        ("ethos-u65", renamed(OPS.MAX_POOL_2D, OPS.SELECT), "operators_of_ethos_u", "SELECT"),
        ("ethos-u85", renamed(OPS.MAX_POOL_2D, OPS.CEIL), "operators_of_ethos_u85", "CEIL"),
        ("ethos-u55", four_bit_weights, "eight_bit_weights", "of type int4"),
        ("ethos-u85", computed_weights, "eight_bit_weights", "which is computed"),
        ("ethos-u55", float_pool, "feature_maps_are_integers", "of type float32"),
        ("ethos-u55", scales_in_reshape, "scale_a_channel_in_layers_only", "of RESHAPE"),
        ("ethos-u55", far_strides, "strides_of_ethos_u", "CONV_2D with strides 4 x 1"),
        ("cortex-m4", renamed(OPS.MAX_POOL_2D, OPS.GELU), "operators_of_tflm", "GELU"),
        ("cortex-m4", weight_only, "no_weight_only_layers", "one that has"),
        ("rpi5", renamed(OPS.MAX_POOL_2D, OPS.CUSTOM), "built_in_operators", "CUSTOM"),
        ("rpi5", open_height, "fixed_shapes", "[1, -1, 28, 1]"),
        ("rpi5", float_pool, "integer_operators", "of type float32"),
    ],
)
def test_a_broken_rule_names_the_culprit(
    artifacts: dict[str, Artifact], target: str, change: Change, rule: str, culprit: str
) -> None:
    kept = artifacts["int8.tflite"]
    (constraint,) = [c for c in constraints_of(find_target(target), "int8") if c.name == rule]
    assert constraint.violation(kept, find_target(target)) is None
    line = constraint.violation(edited(kept, change), find_target(target))
    assert line is not None
    assert line.startswith(f"model.tflite: {constraint.message}; got ")
    assert culprit in line


def test_the_largest_accelerator_has_operators_that_the_smaller_have_not(artifacts: dict[str, Artifact]) -> None:
    artifact = edited(artifacts["int8.tflite"], renamed(OPS.MAX_POOL_2D, OPS.SELECT))
    assert violations(artifact, find_target("ethos-u85"), "int8") == []


def test_far_strides_are_fine_without_padding(artifacts: dict[str, Artifact]) -> None:
    def change(model: Any, graph: Any) -> None:
        far_strides(model, graph)
        operator(model, graph, OPS.CONV_2D).builtinOptions.padding = schema.Padding.VALID

    assert violations(edited(artifacts["int8.tflite"], change), find_target("ethos-u55"), "int8") == []


def window_file(kind: str, image: tuple[int, int], size: int, strides: tuple[int, int], padding: str) -> Artifact:
    """A network of one int8 operator."""
    import tensorflow as tf

    rng = np.random.default_rng(0)
    weights = rng.normal(size=(size, size, 8, 8)).astype(np.float32)
    compute = {
        "CONV_2D": lambda x: tf.nn.conv2d(x, weights, strides, padding),
        "AVERAGE_POOL_2D": lambda x: tf.nn.avg_pool2d(x, size, strides, padding),
        "MAX_POOL_2D": lambda x: tf.nn.max_pool2d(x, size, strides, padding),
    }[kind]
    function = tf.function(compute, input_signature=[tf.TensorSpec((None, *image, 8), name="input")])
    inputs = rng.normal(size=(10, *image, 8)).astype(np.float32)
    source = SourceModel("one", function, (*image, 8), function(inputs).shape[1:])
    return Artifact("model.tflite", "tflite", convert_to_tflite_int8(source, Calibration(inputs)))


WINDOWS = [
    ("AVERAGE_POOL_2D", (16, 16), 16, (16, 16), "VALID", True),
    ("AVERAGE_POOL_2D", (16, 16), 3, (5, 5), "VALID", True),
    ("AVERAGE_POOL_2D", (16, 16), 3, (5, 5), "SAME", False),
    ("AVERAGE_POOL_2D", (16, 16), 8, (8, 8), "SAME", True),  # which adds nothing
    ("AVERAGE_POOL_2D", (7, 7), 8, (8, 8), "SAME", True),  # padded, to an output of 1 x 1
    ("MAX_POOL_2D", (16, 16), 5, (4, 4), "SAME", False),
    ("CONV_2D", (16, 16), 3, (4, 4), "SAME", True),
    ("CONV_2D", (16, 16), 5, (4, 4), "SAME", False),
    ("CONV_2D", (3, 16), 5, (4, 1), "SAME", True),  # the far stride is along an output of 1
    ("CONV_2D", (16, 3), 5, (4, 1), "SAME", False),
]
"""Operator, image, window, strides, padding, and whether Vela 5.2 places it on an Ethos-U55."""


@pytest.mark.parametrize(("kind", "image", "size", "strides", "padding", "placed"), WINDOWS)
def test_a_far_stride_counts_where_the_output_is_larger_than_1(
    kind: str, image: tuple[int, int], size: int, strides: tuple[int, int], padding: str, placed: bool
) -> None:
    artifact = window_file(kind, image, size, strides, padding)
    found = violations(artifact, find_target("ethos-u55"), "int8")
    assert found == violations(artifact, find_target("ethos-u65"), "int8")
    assert [line.rpartition("; got ")[2] for line in found] == (
        [] if placed else [f"{kind} with strides {strides[0]} x {strides[1]}"]
    )
    assert violations(artifact, find_target("ethos-u85"), "int8") == []


@pytest.mark.slow  # Vela runs for each
@pytest.mark.parametrize(("kind", "image", "size", "strides", "padding", "placed"), WINDOWS)
def test_vela_places_those_and_no_others(
    kind: str, image: tuple[int, int], size: int, strides: tuple[int, int], padding: str, placed: bool, tmp_path: Path
) -> None:
    artifact = window_file(kind, image, size, strides, padding)
    try:
        report = Vela().compile(artifact, find_target("ethos-u55"), tmp_path, lambda *_: None).report
    except CompilerMissingError as error:
        pytest.skip(str(error))
    assert [operator.op for operator in report.cpu_operators] == ([] if placed else [kind])


def test_a_depthwise_layer_has_strides_of_at_most_3_to_any_output(artifacts: dict[str, Artifact]) -> None:
    def change(model: Any, graph: Any) -> None:
        renamed(OPS.CONV_2D, OPS.DEPTHWISE_CONV_2D)(model, graph)
        layer = operator(model, graph, OPS.DEPTHWISE_CONV_2D)
        old, layer.builtinOptions = layer.builtinOptions, schema.DepthwiseConv2DOptionsT()
        layer.builtinOptionsType = schema.BuiltinOptions.DepthwiseConv2DOptions
        layer.builtinOptions.strideH, layer.builtinOptions.strideW = 28, 28
        layer.builtinOptions.padding = old.padding
        graph.tensors[layer.outputs[0]].shape = [1, 1, 1, 8]

    (line, *_) = violations(edited(artifacts["int8.tflite"], change), find_target("ethos-u55"), "int8")
    assert "DEPTHWISE_CONV_2D with strides 28 x 28" in line


@pytest.fixture(scope="module")
def dynamic_range(keras_model: Any) -> Artifact:
    """What TensorFlow's converter makes without samples: float activations, int8 weights."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_keras_model(keras_model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    return Artifact("dynamic.tflite", "tflite", bytes(converter.convert()))


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("cortex-m7", "for which TensorFlow Lite Micro has no kernels"),
        ("ethos-u55", "which leaves out dynamic range"),
        ("ethos-u85", "which leaves out dynamic range"),
    ],
)
def test_dynamic_range_is_not_for_microcontrollers(dynamic_range: Artifact, target: str, message: str) -> None:
    assert message in " ".join(violations(dynamic_range, find_target(target), "dynamic-int8"))


def small(flash: int, ram: int) -> Target:
    return replace(find_target("cortex-m4"), memory=Memory(flash, ram))


def test_a_file_that_is_a_byte_too_large_is_told(artifacts: dict[str, Artifact]) -> None:
    artifact = artifacts["int8.tflite"]
    size, ram = len(artifact.data), least_activation_bytes(artifact)
    assert violations(artifact, small(size, ram), "int8") == []
    (line,) = violations(artifact, small(size - 1, ram), "int8")
    assert line.endswith(f"The file fits the flash memory; got {size:,} bytes for {size - 1:,}")
    (line,) = violations(artifact, small(size, ram - 1), "int8")
    assert line.endswith(f"fit the RAM; got {ram:,} bytes for {ram - 1:,}")


def test_of_a_chain_the_largest_operator_counts_and_float_takes_four_times(artifacts: dict[str, Artifact]) -> None:
    graph = read_tflite(artifacts["int8.tflite"]).main

    def size(index: int) -> int:
        product = 1
        for dimension in graph.tensors[index].shape:
            product *= dimension
        return product

    by_hand = max(size(o.inputs[0]) + size(o.outputs[0]) for o in graph.operators if o.name != "RESHAPE")
    assert least_activation_bytes(artifacts["int8.tflite"]) == by_hand
    assert least_activation_bytes(artifacts["float32.tflite"]) == 4 * by_hand


def test_a_residual_branch_is_kept_while_the_other_is_computed(resnet8: Bundle) -> None:
    # The first block: its input, the middle and the end of the branch, each 32 x 32 x 16 bytes.
    artifact = next(a for a in resnet8.artifacts if a.format == "tflite")
    assert least_activation_bytes(artifact) == 3 * 32 * 32 * 16
