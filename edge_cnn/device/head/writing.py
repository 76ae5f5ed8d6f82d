"""A trained head in a file: the range that its logits need codes for, and what the file then computes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.quantization import dequantize
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.finetuning.embedding import Embedder
from edge_cnn.device.finetuning.embedding_store import CodeTable
from edge_cnn.device.head.quantization import LOGITS_FLOOR, relevant_range
from edge_cnn.device.head.softmax_head import SoftmaxHead
from edge_cnn.device.head.surgery import merge_head, split_head
from edge_cnn.device.runtimes.table import open_runtime


def write_head(artifact: Artifact, head: SoftmaxHead, embedder: Embedder, parts: Iterable[CodeTable]) -> Artifact:
    """A copy of the file with `head`, its logits in a range that fits the embedding codes in `parts`, (n, features)."""
    ranges = [relevant_range(head.logits(real)) for part in parts for _, real in embedder.real_blocks(part)]
    return merge_head(artifact, head, (min(low for low, _ in ranges), max(high for _, high in ranges)))


def logits_of_file(artifact: Artifact, classifier: Classifier) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """A function from images (n, ...) to the logits (n, classes) that `artifact` itself computes, as real values.

    Args:
        artifact: a file with the classifier's backbone.
        classifier: whose runtime and preprocessing are used.
    """
    split = split_head(artifact)
    runtime = open_runtime(split.logits_view, classifier.runtime.name, threads=classifier.threads)
    quantization = split.info.logits.quantization

    def logits(images: NDArray[Any]) -> NDArray[np.float32]:
        (output,) = runtime.run((classifier.encode(images),))
        output = output.reshape(len(images), -1)
        return output.astype(np.float32) if quantization is None else dequantize(output, quantization)

    return logits


def logit_error(given: NDArray[np.float32], meant: NDArray[Any]) -> float:
    """Largest difference between logits (n, classes) of a file and of the head in it, of those above `LOGITS_FLOOR`."""
    return float(np.abs(np.maximum(given, LOGITS_FLOOR) - np.maximum(meant, LOGITS_FLOOR)).max())
