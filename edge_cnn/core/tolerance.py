"""How far a device may be from the host, by kernel family; the numbers travel in the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

KERNEL_FAMILIES = ("litert-ref", "xnnpack", "tflite-builtin", "ort-cpu")
"""Which code computes: LiteRT's reference kernels, XNNPACK, the optimized built-ins, ONNX Runtime's CPU provider."""


@dataclass(frozen=True)
class Tolerance:
    """The bounds that a replay of golden samples must keep.

    Attributes:
        max_lsb: largest difference of any logit code, in steps of the output's own scale; None for float outputs.
        max_abs: largest difference of any real output value; None for quantized outputs.
        min_top1_agreement: share of samples with the same top class as on the host.
        max_accuracy_drop: share of samples by which the device may be less accurate than the host's same artifact.
        reason: why these numbers.
    """

    max_lsb: int | None
    max_abs: float | None
    min_top1_agreement: float
    max_accuracy_drop: float
    reason: str

    def to_json(self) -> dict[str, Any]:
        return {
            "max_lsb": self.max_lsb,
            "max_abs": self.max_abs,
            "min_top1_agreement": self.min_top1_agreement,
            "max_accuracy_drop": self.max_accuracy_drop,
            "reason": self.reason,
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> Tolerance:
        max_lsb, max_abs = value["max_lsb"], value["max_abs"]
        return Tolerance(
            None if max_lsb is None else int(max_lsb),
            None if max_abs is None else float(max_abs),
            float(value["min_top1_agreement"]),
            float(value["max_accuracy_drop"]),
            str(value["reason"]),
        )


_FLOAT = Tolerance(None, 1e-4, 0.99, 0.005, "float kernels differ in the order of additions only")
_EXACT = Tolerance(0, None, 1.0, 0.0, "the same integer kernels as the golden recording: bit for bit")
_ACROSS = Tolerance(
    3, None, 0.98, 0.01, "other integer kernels than the golden recording round their requantization differently"
)
_ORT = Tolerance(
    2, None, 0.98, 0.01, "x86 without VNNI saturates 16-bit partial sums of uint8 x int8 products; else bit for bit"
)

_TOLERANCES: dict[str, dict[str, dict[str, Tolerance]]] = {
    "tflite": {
        "float": dict.fromkeys(("litert-ref", "xnnpack", "tflite-builtin"), _FLOAT),
        "integer": {"litert-ref": _EXACT, "xnnpack": _ACROSS, "tflite-builtin": _ACROSS},
    },
    "onnx": {"float": {"ort-cpu": _FLOAT}, "integer": {"ort-cpu": _ORT}},
}


def default_tolerances(format: str, quantized: bool) -> dict[str, Tolerance]:
    """Tolerance by kernel family for an artifact of `format`, whose golden outputs come from the host's
    reference kernels (litert-ref for TFLite, ort-cpu for ONNX)."""
    return dict(_TOLERANCES[format]["integer" if quantized else "float"])
