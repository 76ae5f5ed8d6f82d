"""How to make one kind of file."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from converters.calibration.samples import Calibration
from converters.sources.source_model import SourceModel

INTEGER = "integer"
"""`Recipe.arithmetic` of schemes whose logits are codes; the others are those of `edge_cnn.core.tolerance`."""


class Convert(Protocol):
    """Makes the bytes of a file, without metadata."""

    def __call__(self, source: SourceModel, calibration: Calibration, in_float: Collection[str] = ()) -> bytes:
        """From a model.

        Args:
            source: the float model.
            calibration: samples that set the ranges, where the scheme needs them.
            in_float: names of operators (`.tflite`) or nodes (`.onnx`) that stay float32.

        Raises:
            ModelError: the model cannot be converted, or a name is not in it.
            InputError: the scheme leaves nothing in float, and was asked to.
        """
        ...


@dataclass(frozen=True)
class Recipe:
    """How to make one kind of file.

    Attributes:
        format: "tflite" or "onnx".
        scheme: quantization scheme, as `export --scheme` names it.
        suffix: what tells its file from others of the same format.
        is_quantized: whether weights or activations are rounded to integers, so that accuracy may fall.
        convert: model, calibration, names in float -> the bytes of the file, without metadata.
        about: in a few words.
        arithmetic: which bounds other kernels keep to: `INTEGER`, `HYBRID`, `HALF` or `FLOAT`.
    """

    format: str
    scheme: str
    suffix: str
    is_quantized: bool
    convert: Convert
    about: str
    arithmetic: str = INTEGER
