"""Embeddings from the backbone of the very file that will be tuned: its integer graph, its runtime."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.quantization import dequantize
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.finetuning.embedding_store import CodeTable
from edge_cnn.device.head.split_model import SplitModel
from edge_cnn.device.head.surgery import split_head
from edge_cnn.device.runtimes.table import open_runtime
from edge_cnn.device.training.standardization import block_rows

BATCH = 32
"""Images a call, so that memory stays small and progress shows."""


class Embedder:
    """The backbone of a classifier, opened in the same runtime.

    Args:
        classifier: any with a fully-connected head.

    Raises:
        NoHeadError: it has none.
        ModelError: the file is damaged.
    """

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self.split: SplitModel = split_head(classifier.artifact)
        self._backbone = open_runtime(self.split.backbone, classifier.runtime.name, threads=classifier.threads)

    def codes(self, images: NDArray[Any]) -> NDArray[Any]:
        """Images as for `Classifier.predict` -> what the backbone's output holds, (n, features), codes or floats."""
        rows: list[NDArray[Any]] = []
        for start in range(0, len(images), BATCH):
            chunk = images[start : start + BATCH]
            (output,) = self._backbone.run((self._classifier.encode(chunk),))
            rows.append(output.reshape(len(chunk), -1))
        if not rows:
            spec = self.split.info.embedding
            return np.empty((0, self.split.info.features), spec.numpy_dtype)
        return np.concatenate(rows)

    def real_blocks(self, codes: CodeTable) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Real embeddings of all rows of `codes`, some at a time, with where each block starts."""
        step = block_rows(codes.shape[1])
        for start in range(0, len(codes), step):
            yield start, self.to_real(codes[start : start + step])

    def to_real(self, codes: NDArray[Any]) -> NDArray[np.float32]:
        """Codes (n, features) -> real embeddings float32."""
        quantization = self.split.info.embedding.quantization
        return codes.astype(np.float32) if quantization is None else dequantize(codes, quantization)
