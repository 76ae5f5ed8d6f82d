"""What surgery makes of a classifier file: a backbone, a view of the logits, and the last layer as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.quantization import QuantizationParams
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.head.softmax_head import SoftmaxHead


@dataclass(frozen=True)
class HeadInfo:
    """The last layer as it stands in the file.

    Attributes:
        name: of the layer, or of its output tensor where layers have no names.
        op: operator as the format spells it: "FULLY_CONNECTED", "CONV_2D", "Gemm", "MatMul", "Conv", ...
        features, classes: its width.
        embedding: the tensor that the layer reads, (n, features).
        logits: the tensor that the layer writes, (n, classes).
        weights_dtype: element type of the stored weights, for example "int8" or "float16".
        weights_quantization: None for float weights; `axis` is the class axis of the stored array.
    """

    name: str
    op: str
    features: int
    classes: int
    embedding: TensorSpec
    logits: TensorSpec
    weights_dtype: str
    weights_quantization: QuantizationParams | None

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "op": self.op,
            "features": self.features,
            "classes": self.classes,
            "quantization": {
                "embedding": self.embedding.to_json(),
                "logits": self.logits.to_json(),
                "weights_dtype": self.weights_dtype,
                "weights": self.weights_quantization.to_json() if self.weights_quantization else None,
            },
        }


@dataclass(frozen=True)
class SplitModel:
    """A classifier file taken apart; every part computes with the file's own weights and quantization.

    Attributes:
        backbone: the same graph ending at the embedding (codes where it is quantized).
        logits_view: the same graph ending at the logits, since a saturated softmax hides differences.
        head: the last layer in real values, float32, as the file's (quantized) weights represent it.
        info: names, widths and quantization of the last layer.
    """

    backbone: Artifact
    logits_view: Artifact
    head: SoftmaxHead
    info: HeadInfo
