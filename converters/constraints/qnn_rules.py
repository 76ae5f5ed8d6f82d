"""Rules of Qualcomm's HTP behind ONNX Runtime (onnxruntime.ai, "QNN Execution Provider").

Types and pairs as measured with onnxruntime-qnn 2.7 on its simulator (`edge-cnn devices setup qualcomm-htp-sim`): it
took int8, uint8 and uint16 activations, biases in float and in int32, and refused a Relu without a pair before it.
"""

from __future__ import annotations

from converters.constraints.onnx_file import constants, node_name, onnx_model, producers, quantization_nodes
from edge_cnn.core.artifact import Artifact

_CODES = ("int8", "uint8", "uint16")
_PAIR = ("QuantizeLinear", "DequantizeLinear")

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


def narrow_activations(artifact: Artifact) -> list[str]:
    """Activations are int8, uint8 or uint16 (QNN)."""
    held = constants(artifact)
    found: list[str] = []
    for node in quantization_nodes(artifact):
        zero_point = held.get(node.input[2]) if len(node.input) > 2 else None
        # The type is uint8 where the zero point is left out.
        if node.input[0] not in held and zero_point is not None and zero_point.dtype.name not in _CODES:
            found.append(f"{node_name(node)} of type {zero_point.dtype}")
    return found


def pairs_between_operators(artifact: Artifact) -> list[str]:
    """Between two operators stand QuantizeLinear and DequantizeLinear (QNN)."""
    made_by = producers(artifact)
    return [
        f"{made_by[name].op_type} straight before {node_name(node)}"
        for node in onnx_model(artifact).graph.node
        if node.op_type not in _PAIR
        for name in node.input
        if name in made_by and made_by[name].op_type not in (*_PAIR, "Constant")
    ]
