"""How far what a device computed is from what the host recorded; pure numpy, no judgement."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.protocols import Kernels
from edge_cnn.core.quantization import QuantizationParams, dequantize
from edge_cnn.verify.paired_answers import PairedAnswers
from edge_cnn.verify.sqnr import sqnr_db


@dataclass(frozen=True)
class Difference:
    """One tensor of the device against the host's, over all samples. Differences are device minus host.

    Attributes:
        tensor: "logits" or "outputs".
        max_abs, mean_abs: of the differences in real units; infinite where the device gave NaN or infinity.
        peak: largest absolute real value of the host.
        cosine: smallest cosine similarity of any sample; 1 where both sides are zero.
        sqnr_db: power of the host's values over that of the differences, in dB; infinite where both are equal.
        gain: slope of the least-squares line through 0 from the host's real values to the device's, near 1 where only
            rounding differs; nan where the host's values are all 0 or the device's not finite.
        gain_error: standard error of `gain`.
        max_lsb: largest absolute difference in codes; None for float tensors.
        mean_lsb: mean signed difference in codes, near 0 where only rounding differs; None for float tensors.
        histogram: difference in codes -> number of values, every value counted; empty for float tensors.
        non_finite: number of device values that are NaN or infinite.
        step: real value of one code on the host; None for float tensors and scales per class.
    """

    tensor: str
    max_abs: float
    mean_abs: float
    peak: float
    cosine: float
    sqnr_db: float
    gain: float
    gain_error: float
    max_lsb: int | None
    mean_lsb: float | None
    histogram: dict[int, int]
    non_finite: int
    step: float | None = None

    @property
    def mean_lsb_error(self) -> float:
        """Standard error of `mean_lsb`, from the histogram; 0 for float tensors."""
        values = np.array(list(self.histogram), np.float64)
        counts = np.array(list(self.histogram.values()), np.float64)
        total = counts.sum()
        if total == 0:
            return 0.0
        mean = (values * counts).sum() / total
        return math.sqrt(((values - mean) ** 2 * counts).sum()) / float(total)

    def to_json(self) -> dict[str, Any]:
        return {
            "tensor": self.tensor,
            "max_abs": _json_number(self.max_abs),
            "mean_abs": _json_number(self.mean_abs),
            "peak": _json_number(self.peak),
            "cosine": _json_number(self.cosine),
            "sqnr_db": _json_number(self.sqnr_db),
            "gain": _json_number(self.gain),
            "gain_error": _json_number(self.gain_error),
            "max_lsb": self.max_lsb,
            "mean_lsb": self.mean_lsb,
            "histogram": {str(lsb): count for lsb, count in self.histogram.items()},
            "non_finite": self.non_finite,
        }


@dataclass(frozen=True)
class ParityReport:
    """One artifact on one device against the golden samples.

    Attributes:
        artifact: its name.
        device: DEVICE as typed.
        runtime, runtime_version: what ran it.
        kernels: which code computed there.
        samples: number of golden samples.
        outputs: the graph's outputs compared.
        logits: the head's outputs compared; None where the golden samples hold none.
        top1_agreement: share of samples whose answer on the device is one of the host's best classes, ties included.
        host_accuracy, device_accuracy: share of golden labels hit by the first best class.
        answers: of the host (before) and of the device (after), sample by sample.
        output_sha256: of all that the device computed, so that two runs with the same bits are told at a glance.
    """

    artifact: str
    device: str
    runtime: str
    runtime_version: str
    kernels: Kernels
    samples: int
    outputs: Difference
    logits: Difference | None
    top1_agreement: float
    host_accuracy: float
    device_accuracy: float
    answers: PairedAnswers
    output_sha256: str

    @property
    def compared(self) -> Difference:
        """Logits where there are any: a saturated softmax hides differences, and amplifies others."""
        return self.logits if self.logits is not None else self.outputs

    def to_json(self) -> dict[str, Any]:
        return {
            "runtime_version": self.runtime_version,
            "kernel_shares": self.kernels.shares,
            "arena_bytes": self.kernels.arena_bytes,
            "samples": self.samples,
            "outputs": self.outputs.to_json(),
            "logits": self.logits.to_json() if self.logits else None,
            "output_sha256": self.output_sha256,
            "host_accuracy_interval": list(self.answers.interval_before),
            "device_accuracy_interval": list(self.answers.interval_after),
            "lost": self.answers.lost,
            "won": self.answers.won,
            "mcnemar_p": self.answers.p_value,
            "flips": [
                {"sample": f.sample, "label": f.label, "host": f.before, "device": f.after} for f in self.answers.flips
            ],
        }


def compare(
    tensor: str,
    host: NDArray[Any],
    device: NDArray[Any],
    host_params: QuantizationParams | None = None,
    device_params: QuantizationParams | None = None,
) -> Difference:
    """Compare one tensor.

    Args:
        tensor: "logits" or "outputs".
        host, device: (n, classes), codes or floats, of the same shape.
        host_params, device_params: how each side reads its codes; with floats they give the grid on which the values
            lie, so that a graph with dequantized outputs is counted in codes as well.
    """
    host_real, device_real = _real(host, host_params), _real(device, device_params)
    finite = np.isfinite(device_real)
    non_finite = int(finite.size - finite.sum())
    absolute = np.abs(device_real - host_real)
    lsb = _code_differences(host, device, host_params, device_params) if non_finite == 0 else None
    values, counts = np.unique(lsb, return_counts=True) if lsb is not None else (np.empty(0, int), np.empty(0, int))
    gain, gain_error = _gain(host_real, device_real) if non_finite == 0 else (math.nan, math.nan)
    return Difference(
        tensor,
        max_abs=float(absolute.max(initial=0.0)) if non_finite == 0 else math.inf,
        mean_abs=float(absolute.mean()) if absolute.size and non_finite == 0 else (math.inf if non_finite else 0.0),
        peak=float(np.abs(host_real).max(initial=0.0)),
        cosine=float(_cosines(host_real, device_real).min(initial=1.0)) if non_finite == 0 else 0.0,
        sqnr_db=sqnr_db(host_real, device_real),
        gain=gain,
        gain_error=gain_error,
        max_lsb=int(np.abs(lsb).max(initial=0)) if lsb is not None else None,
        mean_lsb=float(lsb.mean()) if lsb is not None and lsb.size else None,
        histogram={int(v): int(c) for v, c in zip(values, counts, strict=True)},
        non_finite=non_finite,
        step=host_params.scale if host_params is not None and host_params.axis is None else None,
    )


def top1_agreement(host: NDArray[Any], device: NDArray[Any]) -> float:
    """Share of samples whose answer on the device is one of the classes that the host scores best.

    8-bit scores tie now and then, and then the host itself has no preference. A tie on the device only is not
    forgiven: it does give another answer there, and a constant output would agree with everything.

    Args:
        host, device: (n, classes), codes or floats.
    """
    if len(host) == 0:
        return 1.0
    answers = device.argmax(axis=1)
    return float((host[np.arange(len(host)), answers] == host.max(axis=1)).mean())


def accuracy(outputs: NDArray[Any], labels: NDArray[np.int64]) -> float:
    """Share of rows (n, classes) whose first best class is the label (n,)."""
    return float((outputs.argmax(axis=1) == labels).mean()) if len(labels) else 1.0


def output_hash(*tensors: NDArray[Any] | None) -> str:
    """SHA-256 of the tensors' dtypes, shapes and bytes, hexadecimal; None stands for a tensor that is not there."""
    digest = hashlib.sha256()
    for tensor in tensors:
        if tensor is None:
            digest.update(b"none;")
            continue
        little = tensor.astype(tensor.dtype.newbyteorder("<"), order="C", copy=False)
        digest.update(f"{tensor.dtype.name}{tensor.shape};".encode())
        digest.update(little.tobytes())
    return digest.hexdigest()


def _real(values: NDArray[Any], params: QuantizationParams | None) -> NDArray[np.float64]:
    if params is not None and values.dtype.kind in "iu":
        return dequantize(values, params).astype(np.float64)
    return values.astype(np.float64)


def _code_differences(
    host: NDArray[Any],
    device: NDArray[Any],
    host_params: QuantizationParams | None,
    device_params: QuantizationParams | None,
) -> NDArray[np.int64] | None:
    if host.dtype.kind in "iu" and device.dtype.kind in "iu":
        # Widen first: int8 minus int8 overflows.
        return device.astype(np.int64) - host.astype(np.int64)
    if host_params is None or host_params.axis is not None:
        return None
    difference = _real(device, device_params) - _real(host, host_params)
    return np.rint(difference / host_params.scale).astype(np.int64)


def _gain(host: NDArray[np.float64], device: NDArray[np.float64]) -> tuple[float, float]:
    power = float((host * host).sum())
    if power == 0:
        return math.nan, math.nan
    gain = float((host * device).sum()) / power
    residual = device - gain * host
    return gain, math.sqrt(float((residual * residual).mean()) / power)


def _cosines(host: NDArray[np.float64], device: NDArray[np.float64]) -> NDArray[np.float64]:
    host_norm, device_norm = np.linalg.norm(host, axis=1), np.linalg.norm(device, axis=1)
    product = host_norm * device_norm
    cosines = np.where(product > 0, (host * device).sum(axis=1) / np.where(product > 0, product, 1.0), 0.0)
    return np.where((host_norm == 0) & (device_norm == 0), 1.0, np.clip(cosines, -1.0, 1.0))


def _json_number(value: float) -> float | None:
    return value if math.isfinite(value) else None
