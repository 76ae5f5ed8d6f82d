"""SavedModel folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from converters.sources.loaded_graph import LoadedGraph
from converters.sources.saved_model_operators import check_operators
from edge_cnn.core.errors import ModelError
from edge_cnn.host.tensorflow_import import import_tensorflow


def load_saved_model(path: Path) -> LoadedGraph:
    """Raises: ModelError: TensorFlow cannot read it, or it has several inputs or outputs."""
    tf, _ = import_tensorflow()
    try:
        from tensorflow.core.protobuf import saved_model_pb2

        content: Any = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
        check_operators(path, content)
        loaded: Any = tf.saved_model.load(str(path))
        signature = loaded.signatures["serving_default"]
    except ModelError:
        raise
    # TensorFlow raises OSError, ValueError, KeyError, DecodeError, ... on a damaged or foreign folder.
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise ModelError(f"TensorFlow cannot read {path}: {reason[:300]}; export it again") from error
    inputs, outputs = signature.structured_input_signature[1], signature.structured_outputs
    if len(inputs) != 1 or len(outputs) != 1:
        raise ModelError(
            f"{path} has {len(inputs)} inputs and {len(outputs)} outputs, export needs one of each; "
            "give a model with one of each"
        )
    ((input_name, input_spec),) = inputs.items()
    ((output_name, output_spec),) = outputs.items()
    shape = tuple(input_spec.shape)
    function = tf.function(
        lambda images: signature(**{input_name: images})[output_name],
        input_signature=[tf.TensorSpec((None, *shape[1:]), tf.float32, name="input")],
    )
    # The signature alone does not keep the variables alive.
    function.loaded = loaded  # type: ignore[attr-defined]
    return LoadedGraph(function, shape, tuple(output_spec.shape))
