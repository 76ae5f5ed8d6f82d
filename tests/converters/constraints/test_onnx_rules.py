from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from converters.constraints.table import constraints_of, violations
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.targets import find_target

onnx: Any = pytest.importorskip("onnx")

JETSON = find_target("jetson-orin")
HTP = find_target("qualcomm-htp")


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


@pytest.mark.parametrize("rule", ["layers_between_pairs", "residual_adds_between_pairs"])
def test_tensorrt_wants_pairs_before_both_inputs(rule: str) -> None:
    """x -> Q -> DQ -> op(DQ, second), where second is x itself or its DequantizeLinear."""
    op = {"layers_between_pairs": "MatMul", "residual_adds_between_pairs": "Add"}[rule]

    def broken(second: str) -> str:
        nodes = [
            onnx.helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="q"),
            onnx.helper.make_node("DequantizeLinear", ["q", "s", "z"], ["d"], name="dq"),
            onnx.helper.make_node(op, ["d", second], ["y"], name="last"),
        ]
        return " ".join(violations(graph(nodes, {"s": np.float32(1), "z": np.int8(0)}), JETSON, "int8"))

    assert broken("d") == ""
    assert re.search(r"A DequantizeLinear stands before .*; got last$", broken("x"))


def test_an_added_constant_is_no_residual() -> None:
    node = onnx.helper.make_node("Add", ["x", "c"], ["y"], name="bias")
    assert violations(graph([node], {"c": np.float32([1])}), JETSON, "int8") == []


def test_qualcomm_refuses_a_relu_without_a_pair_before_it(
    onnx_cpu_int8: Artifact, artifacts: dict[str, Artifact]
) -> None:
    assert violations(onnx_cpu_int8, HTP, "int8") == []
    # What TensorRT takes; that the HTP's simulator refuses it is a test of the runtime.
    (line,) = violations(artifacts["int8.onnx"], HTP, "int8")
    assert "Between two operators stand QuantizeLinear and DequantizeLinear (QNN); got Conv straight before" in line


def test_qualcomm_has_no_int16_codes() -> None:
    nodes = [
        onnx.helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="q"),
        onnx.helper.make_node("DequantizeLinear", ["q", "s", "z"], ["y"], name="dq"),
    ]
    for dtype, found in (("int8", 0), ("uint8", 0), ("uint16", 0), ("int16", 1)):
        artifact = graph(nodes, {"s": np.float32(1), "z": np.zeros((), dtype)})
        assert len(violations(artifact, HTP, "int8")) == found, dtype


def test_qualcomm_has_no_det_and_no_open_image_size() -> None:
    value = onnx.helper.make_tensor_value_info
    made = onnx.helper.make_graph(
        [onnx.helper.make_node("Det", ["x"], ["y"])],
        "g",
        [value("x", onnx.TensorProto.FLOAT, ["batch", "height", 4])],
        [value("y", onnx.TensorProto.FLOAT, ["batch"])],
    )
    model = onnx.helper.make_model(made, opset_imports=[onnx.helper.make_opsetid("", 17)])
    found = " ".join(violations(Artifact("g.onnx", "onnx", model.SerializeToString()), HTP, "int8"))
    assert re.search(r"QNN provider takes; got Det .*but the batch is a number.*; got x$", found)


def test_openvino_takes_pairs_and_no_operators_on_codes(
    onnx_cpu_int8: Artifact, artifacts: dict[str, Artifact]
) -> None:
    target = find_target("openvino")
    assert violations(onnx_cpu_int8, target, "int8") == violations(artifacts["float32.onnx"], target, "float32") == []
    node = onnx.helper.make_node("MatMulInteger", ["x", "x"], ["y"], name="codes")
    assert "No layer is an operator on codes" in " ".join(violations(graph([node], {}), target, "int8"))


def test_operators_of_onnx_runtime_itself_are_for_its_own_scheme_alone() -> None:
    node = onnx.helper.make_node("QLinearAdd", ["x"], ["y"], domain="com.microsoft")
    artifact = graph([node], {}, (("", 17), ("com.microsoft", 1)))
    target = find_target("rpi5-onnx")
    assert violations(artifact, target, "qoperator-int8") == []
    assert "standard ONNX set" in violations(artifact, target, "int8")[0]
