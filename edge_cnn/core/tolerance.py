"""How far a device may be from the host, by kernel family; the numbers travel in the manifest."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

from edge_cnn.core.errors import BundleError

KERNEL_FAMILIES = (
    "litert-ref",
    "tflite-runtime-ref",
    "xnnpack",
    "tflite-builtin",
    "tflm",
    "tosa-ref",
    "ort-cpu",
    "ort-cuda",
    "ort-tensorrt",
    "ort-qnn",
    "ort-webgpu",
)
"""Which code computes: the reference kernels of LiteRT or of tflite-runtime, XNNPACK, the optimized built-in kernels,
TFLite Micro's, the TOSA reference model, ONNX Runtime's providers for the CPU, CUDA, TensorRT, Qualcomm and WebGPU."""


@dataclass(frozen=True)
class Tolerance:
    """The bounds that a replay of golden samples must keep.

    Attributes:
        max_lsb: largest difference of any logit code, in steps of the output's own scale; None for float outputs.
        max_abs: largest difference of any real output value; None for quantized outputs.
        min_top1_agreement: share of samples with the same top class as on the host.
        max_accuracy_drop: share of samples by which the device may be less accurate than the host's same artifact.
        reason: why these numbers.
        min_accuracy_share: the device's accuracy must be at least this share of the host's; 0 asks nothing.
    """

    max_lsb: int | None
    max_abs: float | None
    min_top1_agreement: float
    max_accuracy_drop: float
    reason: str
    min_accuracy_share: float = 0.0

    def to_json(self) -> dict[str, Any]:
        return {
            "max_lsb": self.max_lsb,
            "max_abs": self.max_abs,
            "min_top1_agreement": self.min_top1_agreement,
            "max_accuracy_drop": self.max_accuracy_drop,
            "reason": self.reason,
            "min_accuracy_share": self.min_accuracy_share,
        }

    @staticmethod
    def from_json(value: dict[str, Any]) -> Tolerance:
        """Raises: BundleError: not one bound exactly, a negative one, or a share beyond 0..1."""
        max_lsb, max_abs = value["max_lsb"], value["max_abs"]
        if (max_lsb is None) == (max_abs is None):
            raise BundleError(f"a tolerance has either max_lsb or max_abs, got {max_lsb} and {max_abs}; export again")
        bound = max_lsb if max_abs is None else max_abs
        if isinstance(bound, bool) or not isinstance(bound, int if max_abs is None else (int, float)):
            raise BundleError(f"the bound of a tolerance is not a number: {bound!r}; export again")
        if not 0 <= bound < math.inf:
            raise BundleError(f"the bound of a tolerance must be 0 or more, got {bound}; export again")
        return Tolerance(
            max_lsb,
            None if max_abs is None else float(max_abs),
            read_share(value["min_top1_agreement"], "min_top1_agreement"),
            read_share(value["max_accuracy_drop"], "max_accuracy_drop"),
            str(value["reason"]),
            # Bundles made before there was such a bound have none.
            read_share(value.get("min_accuracy_share", 0.0), "min_accuracy_share"),
        )


def read_share(value: Any, name: str) -> float:
    """A number of a manifest that must lie in [0, 1]. Raises: BundleError: it does not."""
    share = float(value)
    if not 0 <= share <= 1:
        raise BundleError(f"{name} must be a share from 0 to 1, got {share}; export again")
    return share


# The absolute drop binds an accurate model, the share of the host's accuracy one that is hardly better than chance:
# they meet at a host accuracy of 0.4 to 0.5.
_FLOAT = Tolerance(None, 1e-4, 0.99, 0.005, "float kernels differ in the order of additions only", 0.99)
_EXACT = Tolerance(0, None, 1.0, 0.0, "the same integer kernels as the golden recording: bit for bit", 1.0)
_ACROSS = Tolerance(
    10,
    None,
    0.95,
    0.02,
    "other integer kernels than the golden recording round each layer differently; up to 7 LSB and 1.5 % changed "
    "answers were seen on a ResNet-8, without any shift or slope",
    0.95,
)
_ORT = Tolerance(
    2,
    None,
    0.98,
    0.01,
    "x86 without VNNI saturates 16-bit partial sums of uint8 x int8 products; else up to 3 % of the logits of a "
    "ResNet-8 differ by 1 LSB between x86 and ARM, which round the float scale of a sum differently",
    0.98,
)

_ROUNDED_TWICE = replace(
    _ACROSS,
    max_lsb=2,
    min_top1_agreement=0.98,
    max_accuracy_drop=0.01,
    reason="the same integer kernels as LiteRT's reference, save that its fully-connected layers round once and these "
    "twice, as all convolutions do: 1 LSB in 0.2 to 2 % of the logits was seen where one to three such layers follow "
    "each other",
)
_INT16 = Tolerance(
    40,
    None,
    0.99,
    0.005,
    "steps are 256 times finer than those of int8: kernels that multiply by 16 bits instead of 31 after a "
    "fully-connected layer gave up to 1 step on a lenet and a ResNet-8 and 10 after ten such layers, optimized kernels "
    "4, and no answer changed; one channel's scale off by 2 % gave 99 and more",
    0.99,
)
_INT4_ROUNDED_TWICE = replace(
    _ROUNDED_TWICE,
    reason="as int8, but products of 4-bit weights are coarse, so rounding twice errs more often: 1 LSB in up to 14 % "
    "of the logits was seen on a lenet and a ResNet-8",
)
_INT4_ACROSS = replace(
    _ACROSS,
    min_top1_agreement=0.92,
    max_accuracy_drop=0.04,
    min_accuracy_share=0.92,
    reason="other integer kernels than the golden recording round each layer differently; up to 7 LSB and 4 % changed "
    "answers were seen, most where 4 bits leave a network unsure",
)
_HALF_FLOAT = replace(
    _FLOAT, max_abs=1e-2, reason="accelerators may compute in half or TF32 precision, 3 decimal digits a layer"
)
_HYBRID_FLOAT = Tolerance(
    None,
    0.1,
    0.95,
    0.02,
    "integer layers before float logits: each kernel rounds its inputs a little differently; up to 0.04 of the peak "
    "and 2 % changed answers were seen on a ResNet-8",
    0.95,
)
FLOAT, HALF, HYBRID = "float", "half", "hybrid"
"""What float logits come from: float32 alone, float16, layers that round their inputs to integers."""

INTEGER, INT16, INT4 = "integer", "int16x8", "int4-weights"
"""What integer logits come from: int8 throughout, int16 activations, int4 weights."""

INTEGERS = (INTEGER, INT16, INT4)
_LIKE_REFERENCE = {INTEGER: _ROUNDED_TWICE, INT16: _INT16, INT4: _INT4_ROUNDED_TWICE}
_OTHER_KERNELS = {INTEGER: _ACROSS, INT16: _INT16, INT4: _INT4_ACROSS}
_FLOAT_BOUNDS = {FLOAT: _FLOAT, HALF: _HALF_FLOAT, HYBRID: _HYBRID_FLOAT}
_FAMILIES = {
    "tflite": ("litert-ref", "tflite-runtime-ref", "xnnpack", "tflite-builtin", "tflm", "tosa-ref"),
    "onnx": ("ort-cpu", "ort-cuda", "ort-tensorrt", "ort-qnn", "ort-webgpu"),
}
_LIKE_LITERT_REF = frozenset({"tflm", "tosa-ref"})
_HALF_PRECISION = frozenset({"ort-cuda", "ort-tensorrt", "ort-qnn"})


def default_tolerances(
    format: str, *, quantized: bool, recorded_by: str, computes: str = FLOAT
) -> dict[str, Tolerance]:
    """Tolerance by kernel family.

    Args:
        format: "tflite" or "onnx".
        quantized: whether the logits are codes.
        recorded_by: the kernel family that the golden outputs come from.
        computes: what logits come from: codes `INTEGER`, `INT16` or `INT4`, others `FLOAT`, `HALF` or `HYBRID`.
    """
    families = _FAMILIES[format]
    if not quantized:
        bound = _FLOAT_BOUNDS[computes]
        return {family: _HALF_FLOAT if bound is _FLOAT and family in _HALF_PRECISION else bound for family in families}
    computes = computes if computes in INTEGERS else INTEGER
    return {family: _integer_tolerance(family, recorded_by, computes) for family in families}


def _integer_tolerance(family: str, recorded_by: str, computes: str) -> Tolerance:
    if family == recorded_by:
        return _ORT if family == "ort-cpu" else _EXACT
    alike = family in _LIKE_LITERT_REF and recorded_by == "litert-ref"
    return (_LIKE_REFERENCE if alike else _OTHER_KERNELS)[computes]


def tolerance_of(family: str, written: dict[str, Tolerance], format: str) -> Tolerance | None:
    """What the outputs of a kernel family are held against; None for a family that nobody knows.

    A bundle that was written before a family was known has nothing for it, and gets this version's default.

    Args:
        family: of the kernels that ran.
        written: the tolerances in the manifest.
        format: "tflite" or "onnx".
    """
    if family in written or family not in _FAMILIES[format] or not written:
        return written.get(family)
    quantized = any(tolerance.max_lsb is not None for tolerance in written.values())
    # The family that recorded is the one that must repeat it most exactly.
    recorded_by = min(written, key=lambda name: written[name].max_lsb or 0)
    computes = computes_of(written)
    return default_tolerances(format, quantized=quantized, recorded_by=recorded_by, computes=computes)[family]


def computes_of(written: dict[str, Tolerance]) -> str:
    """What logits come from, as the tolerances in a manifest tell."""
    if any(t.max_lsb is not None for t in written.values()):
        bounds = {replace(t, reason="") for t in written.values()}
        return next((name for name in (INT16, INT4) if replace(_OTHER_KERNELS[name], reason="") in bounds), INTEGER)
    tightest = min((t.max_abs for t in written.values() if t.max_abs is not None), default=0.0)
    return next((name for name in (HYBRID, HALF) if tightest >= (_FLOAT_BOUNDS[name].max_abs or 0)), FLOAT)
