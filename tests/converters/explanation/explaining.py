"""An explanation of a file in one call, on few samples."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from converters.explanation.explain import ExplainConfig, explain
from converters.explanation.explanation import Explanation
from converters.explanation.models import Quantized, Reference
from converters.explanation.quantized_onnx import QuantizedOnnx
from converters.explanation.quantized_tflite import QuantizedTflite
from converters.float_graph.float_graph import FloatGraph
from edge_cnn.core.artifact import TFLITE, Artifact
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import Preprocessing, input_range

UNIT = input_range(0.0, 1.0, (16, 16, 1))


class Digits(NamedTuple):
    train: LabelledImages
    test: LabelledImages

    @property
    def calibration(self) -> np.ndarray:
        """float32 (200, 16, 16, 1)."""
        return self.train.images[:200] / np.float32(255)


def explained(
    graph: FloatGraph,
    data: bytes,
    digits: Digits,
    *,
    format: str = TFLITE,  # as the manifest calls it
    preprocessing: Preprocessing = UNIT,
    stated: Preprocessing | None = None,
    labels: tuple[str, ...] | None = None,
    fix: bool = False,
) -> Explanation:
    model = QuantizedTflite(data) if format == TFLITE else QuantizedOnnx(data)
    quantized = Quantized(Artifact(f"model.{format}", format, data), model, labels, stated)
    config = ExplainConfig(samples=200, test_samples=400, calibration_samples=200, fix=fix)
    own = digits.test.class_names if labels else None
    reference = Reference("reference", graph, own, None)
    return explain(reference, quantized, digits.train, digits.test, config, preprocessing=preprocessing)
