from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from converters.constraints.table import CONSTRAINTS, constraints_of, violations
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.targets import TARGETS, find_target

onnx: Any = pytest.importorskip("onnx")

JETSON = find_target("jetson-orin")


def graph(nodes: list[Any], constants: dict[str, Any], domains: tuple[tuple[str, int], ...] = (("", 17),)) -> Artifact:
    value = onnx.helper.make_tensor_value_info
    made = onnx.helper.make_graph(
        nodes,
        "g",
        [value("x", onnx.TensorProto.FLOAT, [1, 4])],
        [value("y", onnx.TensorProto.FLOAT, [1, 4])],
        [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    opsets = [onnx.helper.make_opsetid(*d) for d in domains]
    return Artifact("g.onnx", "onnx", onnx.helper.make_model(made, opset_imports=opsets).SerializeToString())


def dequantized(codes: Any, zero_point: Any) -> Artifact:
    node = onnx.helper.make_node("DequantizeLinear", ["w", "s", "z"], ["y"], name="dq")
    return graph([node], {"w": codes, "s": np.float32(1), "z": zero_point})


def test_every_constraint_has_one_line_for_a_person_and_holds_for_some_target() -> None:
    for constraint in CONSTRAINTS:
        assert re.fullmatch(r"[A-Z].{10,110}", constraint.message)
        assert any(constraint.applies(t, s) for t in TARGETS.values() for s in t.schemes)


def test_the_exported_files_keep_the_rules_of_their_targets(artifacts: dict[str, Artifact]) -> None:
    for kind, artifact in artifacts.items():
        scheme, suffix = kind.split(".")
        for target in TARGETS.values():
            if target.format == suffix and (suffix == "tflite" or target.symmetric_activations):
                assert violations(artifact, target, scheme) == []


def test_a_float_tflite_is_no_int8_one(artifacts: dict[str, Artifact]) -> None:
    found = violations(artifacts["float32.tflite"], find_target("rpi5"), "int8")
    assert any("Input and output of the graph are int8; got " in line and "of type float32" in line for line in found)
    assert any("Every operator reads and writes integers only" in line for line in found)


def test_uint8_activations_and_an_int32_bias_break_the_rules_of_tensorrt(onnx_cpu_int8: Artifact) -> None:
    found = " ".join(violations(onnx_cpu_int8, JETSON, "int8"))
    assert "of type uint8" in found
    assert "No DequantizeLinear reads int32" in found
    assert violations(onnx_cpu_int8, find_target("rpi5-onnx"), "int8") == []


@pytest.mark.parametrize(
    ("artifact", "message"),
    [
        (dequantized(np.int8([[1, -128, 3, 4]]), np.int8(0)), r"\[-127, 127\].*; got w with -128"),
        (dequantized(np.int8([[1, 2, 3, 4]]), np.int8(5)), "every zero point 0 .*got dq with zero point 5"),
        (dequantized(np.int32([[1, 2, 3, 4]]), np.int32(0)), "reads int32.*got dq"),
        (
            graph([onnx.helper.make_node("DequantizeLinear", ["x", "s"], ["y"], name="dq")], {"s": np.float32(1)}),
            "got dq without an int8 zero point",
        ),
        (
            graph([onnx.helper.make_node("Transpose", ["x"], ["y"], name="turn", perm=[0, 1])], {}),
            "without a Transpose; got turn",
        ),
        (
            graph(
                [
                    onnx.helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
                    onnx.helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"]),
                    onnx.helper.make_node("Transpose", ["d"], ["y"], name="later", perm=[0, 1]),
                ],
                {"s": np.float32(1), "z": np.int8(0)},
            ),
            "without a Transpose; got later",
        ),
        (
            graph([onnx.helper.make_node("Gelu", ["x"], ["y"], domain="com.microsoft")], {}, (("com.microsoft", 1),)),
            "standard ONNX set.*got domain 'com.microsoft'",
        ),
        (graph([onnx.helper.make_node("Relu", ["x"], ["y"])], {}, (("", 21),)), "opset 17 or older; got opset 21"),
    ],
)
def test_a_broken_rule_names_the_culprit(artifact: Artifact, message: str) -> None:
    assert re.search(message, " ".join(violations(artifact, JETSON, "int8")))


def test_float_files_have_no_quantization_rules() -> None:
    assert {c.name for c in constraints_of(JETSON, "float32")} == {"standard_operators", "no_input_transpose"}
