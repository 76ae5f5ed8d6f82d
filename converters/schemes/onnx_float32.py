"""Float model -> ONNX float32, opset 17 or older, images in the layout (n, channels, height, width)."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from converters.converter_output import silent_step
from converters.schemes.onnx_cleanup import name_by_order, settle_reshapes
from converters.schemes.onnx_opset import lower_opset
from converters.sources.source_model import SourceModel
from edge_cnn.host.tensorflow_import import import_tensorflow

OPSET = 17
"""What every runtime of the targets reads; tf2onnx stops at 18."""

INPUT, OUTPUT, BATCH = "input", "scores", "batch"


def convert_to_onnx_float32(source: SourceModel) -> bytes:
    """The bytes of an `.onnx` with input "input" (batch, channels, height, width) and output "scores" (batch, classes).

    What is not of three axes keeps them as the source has them.

    BatchNorm is folded into the convolutions and MatMul + Add joined to Gemm, so that quantization sees whole layers.

    Raises:
        ModelError: the converter refuses the model.
    """
    with silent_step(f"converting {source.name} to ONNX float32"):
        import onnx

        model = _fold(_from_tensorflow(source))
        _name_edges(model, source)
        settle_reshapes(model)
        name_by_order(model)
        # ONNX Runtime declares every domain that it knows.
        del model.opset_import[:]
        del model.metadata_props[:]
        model.opset_import.append(onnx.helper.make_opsetid("", OPSET))
        lower_opset(model)
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString(deterministic=True)


def _from_tensorflow(source: SourceModel) -> Any:
    tf, _ = import_tensorflow()
    import tf2onnx

    spec = tf.TensorSpec((None, *source.input_shape), tf.float32, name=INPUT)
    # inputs_as_nchw moves the change of layout out of the graph; a Transpose of the input would cost on every image.
    model, _ = tf2onnx.convert.from_function(
        tf.function(source.function.python_function),
        (spec,),
        opset=OPSET,
        inputs_as_nchw=[INPUT] if len(source.input_shape) == 3 else None,
    )
    return model


def _fold(model: Any) -> Any:
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with tempfile.TemporaryDirectory() as folder:
        plain, folded = Path(folder) / "plain.onnx", Path(folder) / "folded.onnx"
        # As a file: a model in memory would come back with its weights moved out to a file that is gone by then.
        onnx.save(model, plain)
        # Symbolic shapes need SymPy, and plain shape inference suffices for graphs with one dynamic dimension.
        quant_pre_process(plain, folded, skip_symbolic_shape=True)
        return onnx.load(folded)


def _name_edges(model: Any, source: SourceModel) -> None:
    """Give the graph's ends their names and shapes; a shape says `batch` where it is dynamic."""
    import onnx

    graph = model.graph
    old = graph.output[0].name
    for node in graph.node:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                names[i] = OUTPUT if name == old else name
    float32 = onnx.TensorProto.FLOAT
    shape = source.input_shape
    if len(shape) == 3:
        shape = (shape[2], *shape[:2])
    graph.input[0].CopyFrom(onnx.helper.make_tensor_value_info(graph.input[0].name, float32, [BATCH, *shape]))
    graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info(OUTPUT, float32, [BATCH, *source.output_shape]))
    del graph.value_info[:]
    graph.name = "classifier"
    model.doc_string = graph.doc_string = ""
