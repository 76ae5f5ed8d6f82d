"""Take the last layer out of a classifier file and write a new one back, whatever the format."""

from __future__ import annotations

from collections.abc import Callable

from edge_cnn.core.artifact import ONNX, TFLITE, Artifact
from edge_cnn.device.head.class_change import ClassChange
from edge_cnn.device.head.softmax_head import SoftmaxHead
from edge_cnn.device.head.split_model import SplitModel
from edge_cnn.device.onnx.head import merge_onnx_head, onnx_has_softmax, split_onnx_head
from edge_cnn.device.onnx.head_resizing import resize_onnx_head
from edge_cnn.device.tflite.head import merge_tflite_head, split_tflite_head, tflite_has_softmax
from edge_cnn.device.tflite.head_resizing import resize_tflite_head

_SPLIT: dict[str, Callable[[Artifact], SplitModel]] = {TFLITE: split_tflite_head, ONNX: split_onnx_head}
_MERGE: dict[str, Callable[[Artifact, SoftmaxHead, tuple[float, float]], Artifact]] = {
    TFLITE: merge_tflite_head,
    ONNX: merge_onnx_head,
}
_RESIZE: dict[str, Callable[[Artifact, ClassChange], Artifact]] = {TFLITE: resize_tflite_head, ONNX: resize_onnx_head}
_HAS_SOFTMAX: dict[str, Callable[[Artifact], bool]] = {TFLITE: tflite_has_softmax, ONNX: onnx_has_softmax}


def has_softmax(artifact: Artifact) -> bool:
    """Whether the graph's output is that of a softmax. Raises: ModelError: the file is damaged."""
    return _HAS_SOFTMAX[artifact.format](artifact)


def split_head(artifact: Artifact) -> SplitModel:
    """Find the final fully-connected layer and make the backbone by surgery on the file itself.

    Raises:
        NoHeadError: the graph does not end with a fully-connected layer; the message says what it ends with.
        ModelError: the file is damaged or uses a feature that the surgery does not know.
    """
    return _SPLIT[artifact.format](artifact)


def merge_head(artifact: Artifact, head: SoftmaxHead, logits_range: tuple[float, float]) -> Artifact:
    """Write `head` into a copy of the file, requantized as the file is.

    Weights, weight scales, bias, bias scales and the logits' scale and zero point change; every other byte stays, and
    so does the size.

    Args:
        artifact: the original file.
        head: as many classes and features as the file's own.
        logits_range: smallest and largest logit that the new head gives on representative embeddings.

    Raises:
        NoHeadError, ModelError: as `split_head`; also when the head does not fit.
    """
    return _MERGE[artifact.format](artifact, head, logits_range)


def resize_head(artifact: Artifact, change: ClassChange) -> Artifact:
    """A copy of the file whose last layer has the classes of `change`, with their names in its metadata.

    Classes that stay keep their weights bit for bit. A new class has weights of 0 and the lowest bias, so that the file
    answers as before until `merge_head` teaches it the class.

    Raises:
        NoHeadError, ModelError: as `split_head`; also when the layer has no bias, or something behind it cannot take
            another number of classes.
    """
    return _RESIZE[artifact.format](artifact, change)
