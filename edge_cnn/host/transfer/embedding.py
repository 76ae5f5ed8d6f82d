"""Where the features of a trained network end, and its head begins."""

from __future__ import annotations

from typing import Any

from edge_cnn.core.errors import ModelError
from edge_cnn.host.architectures.architecture import BOTTLENECK
from edge_cnn.host.tensorflow_import import import_tensorflow

_SCORING = ("linear", "softmax", "sigmoid", "log_softmax")
"""Activations of a head; a fully-connected layer that ends in another, like ReLU, gives features."""

_AFTER_HEAD = ("Softmax", "Activation", "Dropout", "Reshape", "Flatten", "Sigmoid")


def find_embedding(model: Any, name: str) -> Any:
    """The tensor (n, features) that a new head goes on.

    It is what the last fully-connected layer takes, where that layer gives scores: alone, or as a convolution of one
    place. A network that ends otherwise is taken as one without a head, and its output as features. An autoencoder of
    ours is cut at its bottleneck.

    Args:
        model: `keras.Model` of one input and one output.
        name: for errors.

    Raises:
        ModelError: several inputs or outputs, an input that is no image, or features that are not flat.
    """
    image_shape_of(model, name)
    if BOTTLENECK in [layer.name for layer in model.layers]:
        return _flat(model.get_layer(BOTTLENECK).output, name)
    output = tensor = model.outputs[0]
    while (before := _input_of(tensor)) is not None:
        layer = _layer_of(tensor)
        kind = type(layer).__name__
        if kind in ("Dense", "Conv2D"):
            return _flat(before if _gives_scores(layer, tensor) else output, name)
        if kind not in _AFTER_HEAD or (kind == "Activation" and not _is_scoring(layer)):
            break
        tensor = before
    return _flat(output, name)


def image_shape_of(model: Any, name: str) -> tuple[int, int, int]:
    """(height, width, channels) of what it takes. Raises: ModelError: no images of one size, or several tensors."""
    for kind, tensors in (("inputs", model.inputs), ("outputs", model.outputs)):
        if len(tensors) != 1:
            raise ModelError(f"{name} has {len(tensors)} {kind}, training needs one; give a network with one")
    takes = tuple(model.inputs[0].shape)
    if len(takes) != 4 or None in takes[1:]:
        raise ModelError(
            f"{name} takes inputs of shape {takes}, not images (n, height, width, channels) of one size; "
            "give a network of images, built for the size that the device will use"
        )
    return takes[1:]


def _gives_scores(layer: Any, output: Any) -> bool:
    if type(layer).__name__ == "Conv2D" and (tuple(layer.kernel_size) != (1, 1) or tuple(output.shape[1:3]) != (1, 1)):
        return False
    return _is_scoring(layer)


def _is_scoring(layer: Any) -> bool:
    return getattr(layer.activation, "__name__", "") in _SCORING


def _flat(tensor: Any, name: str) -> Any:
    shape = tuple(tensor.shape)
    if len(shape) == 4 and shape[1:3] == (1, 1):
        _, keras = import_tensorflow()
        return keras.layers.Flatten(name="flat_embedding")(tensor)
    if len(shape) != 2 or shape[1] is None:
        raise ModelError(
            f"{name} ends with features of shape {shape[1:]}, a new head needs flat ones; "
            "end it with GlobalAveragePooling2D and save it again"
        )
    return tensor


def _layer_of(tensor: Any) -> Any:
    return tensor._keras_history.operation  # Keras has no public way from a tensor to its layer


def _input_of(tensor: Any) -> Any | None:
    """What the layer behind `tensor` took; None where it is an input, or took several."""
    history = tensor._keras_history  # as above
    taken = history.operation._inbound_nodes[history.node_index].input_tensors  # as above
    return taken[0] if len(taken) == 1 else None
