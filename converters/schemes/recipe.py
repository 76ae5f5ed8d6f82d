"""How to make one kind of file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from converters.calibration.samples import Calibration
from converters.sources.source_model import SourceModel


@dataclass(frozen=True)
class Recipe:
    """How to make one kind of file.

    Attributes:
        format: "tflite" or "onnx".
        scheme: quantization scheme, as `export --scheme` names it.
        suffix: what tells its file from others of the same format.
        is_quantized: whether it computes in integers.
        convert: model, calibration -> the bytes of the file, without metadata.
    """

    format: str
    scheme: str
    suffix: str
    is_quantized: bool
    convert: Callable[[SourceModel, Calibration], bytes]
