"""A head from a stream in a file: its logits' range, and how far writing it moved them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.artifact import Artifact
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.embedding import Embedder
from edge_cnn.device.head_quantization import LOGITS_FLOOR, relevant_range
from edge_cnn.device.head_surgery import merge_head
from edge_cnn.device.softmax_head import SoftmaxHead
from edge_cnn.device.standardization import BLOCK_ROWS
from edge_cnn.device.stream_holdout import StreamHoldout
from edge_cnn.device.tuned_model import file_logits


def write_head(artifact: Artifact, head: SoftmaxHead, embedder: Embedder, parts: tuple[NDArray[Any], ...]) -> Artifact:
    """A copy of the file with `head`, its logits in a range that fits the embedding codes in `parts`, (n, features)."""
    blocks = (part[start : start + BLOCK_ROWS] for part in parts for start in range(0, len(part), BLOCK_ROWS))
    ranges = [relevant_range(head.logits(embedder.to_real(block))) for block in blocks]
    return merge_head(artifact, head, (min(low for low, _ in ranges), max(high for _, high in ranges)))


def logit_error(
    merged: Artifact, classifier: Classifier, head: SoftmaxHead, embedder: Embedder, holdout: StreamHoldout
) -> float:
    """Largest difference between the logits of `head` and of the file that it was written into, of held-out samples."""
    images, codes = holdout.images, holdout.codes
    worst = 0.0
    for start in range(0, len(images), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        meant = head.logits(embedder.to_real(codes[block]))
        given = file_logits(merged, classifier, np.stack(images[block]))
        error = np.maximum(given, LOGITS_FLOOR) - np.maximum(meant, LOGITS_FLOOR)
        worst = max(worst, float(np.abs(error).max()))
    return worst
