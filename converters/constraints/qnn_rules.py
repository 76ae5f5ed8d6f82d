"""Rules of Qualcomm's HTP behind ONNX Runtime (onnxruntime.ai, "QNN Execution Provider")."""

from __future__ import annotations

from converters.constraints.onnx_file import constants, node_name, onnx_model, producers, quantization_nodes
from edge_cnn.core.artifact import Artifact

_WITH_BIAS = ("Conv", "ConvTranspose", "Gemm")

_QNN_OPERATORS_NAMES = """
Abs Add And ArgMax ArgMin Asin Atan AveragePool BatchNormalization Cast Clip Concat Conv ConvTranspose Cos
DepthToSpace DequantizeLinear Div Elu Equal Exp Expand Flatten Floor Gather GatherElements Gelu Gemm
GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual GridSample HardSwish InstanceNormalization LRN
LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization MatMul Max MaxPool Mean Min Mul Neg Not
Or PRelu Pad Pow QuantizeLinear ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum Relu Reshape Resize Round
Sigmoid Sign Sin Slice Softmax SpaceToDepth Split Sqrt Squeeze Sub Tanh Tile TopK Transpose Unsqueeze Upsample Where
"""
QNN_OPERATORS = frozenset(_QNN_OPERATORS_NAMES.split())


def operators_of_qnn(artifact: Artifact) -> list[str]:
    """Every operator is one that ONNX Runtime's QNN provider takes."""
    names = dict.fromkeys(node.op_type for node in onnx_model(artifact).graph.node)
    return [name for name in names if name not in QNN_OPERATORS]


def only_the_batch_is_open(artifact: Artifact) -> list[str]:
    """Every dimension of inputs and outputs but the batch is a number; the batch is fixed to 1 at opening (QNN)."""
    graph = onnx_model(artifact).graph
    return [
        entry.name
        for entry in (*graph.input, *graph.output)
        if any(dimension.dim_value <= 0 for dimension in entry.type.tensor_type.shape.dim[1:])
    ]


def unsigned_activations(artifact: Artifact) -> list[str]:
    """Activations are uint8 or uint16 (QNN)."""
    held = constants(artifact)
    found: list[str] = []
    for node in quantization_nodes(artifact):
        zero_point = held.get(node.input[2]) if len(node.input) > 2 else None
        # The type is uint8 where the zero point is left out.
        if node.input[0] not in held and zero_point is not None and zero_point.dtype.name not in ("uint8", "uint16"):
            found.append(f"{node_name(node)} of type {zero_point.dtype}")
    return found


def bias_in_int32(artifact: Artifact) -> list[str]:
    """A bias is int32 behind a DequantizeLinear (QNN)."""
    held, made_by = constants(artifact), producers(artifact)
    found: list[str] = []
    for node in onnx_model(artifact).graph.node:
        if node.op_type not in _WITH_BIAS or len(node.input) < 3 or not node.input[2]:
            continue
        maker = made_by.get(node.input[2])
        codes = held.get(maker.input[0]) if maker is not None and maker.op_type == "DequantizeLinear" else None
        if codes is None or codes.dtype.name != "int32":
            found.append(node_name(node))
    return found
