"""Samples that travel: golden ones for parity, embeddings for fine-tuning without forgetting."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import BundleError


@dataclass(frozen=True)
class GoldenSamples:
    """Inputs with what the host computed for them.

    Attributes:
        inputs: uint8 images (n, height, width, channels), or float32 model inputs.
        labels: int64 (n,).
        float_outputs: float32 (n, classes), from the host's float model.
        outputs: artifact name -> the graph's output (n, classes), codes or floats, from the host's reference kernels.
        logits: artifact name -> the head's output (n, classes), codes or floats, where the graph has a head.
    """

    inputs: NDArray[Any]
    labels: NDArray[np.int64]
    float_outputs: NDArray[np.float32]
    outputs: dict[str, NDArray[Any]] = field(default_factory=dict[str, "NDArray[Any]"])
    logits: dict[str, NDArray[Any]] = field(default_factory=dict[str, "NDArray[Any]"])

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        arrays: dict[str, NDArray[Any]] = {
            "inputs": self.inputs,
            "labels": self.labels,
            "float_outputs": self.float_outputs,
        }
        arrays |= {f"outputs/{name}": codes for name, codes in self.outputs.items()}
        arrays |= {f"logits/{name}": codes for name, codes in self.logits.items()}
        return arrays

    @staticmethod
    def from_arrays(arrays: dict[str, NDArray[Any]], classes: int, image_shape: tuple[int, int, int]) -> GoldenSamples:
        """The samples in an `.npz` of `to_arrays`, for a model of so many classes and images.

        Raises:
            BundleError: an array is missing, or has another number of rows than the others, or another shape or dtype
                than this class says, or values that are not finite; a label is not one of the classes.
        """
        member = "golden.npz"
        _check_rows(member, arrays, ("inputs", "labels", "float_outputs"))
        _check_labels(member, arrays["labels"], classes)
        inputs = arrays["inputs"]
        is_images = inputs.dtype == np.uint8 and inputs.shape[1:] == image_shape
        if not is_images and inputs.dtype.kind != "f":
            raise _fault(member, f"inputs are {inputs.dtype} {inputs.shape[1:]}, not uint8 {image_shape} or floats")
        for name, array in arrays.items():
            if name not in ("labels", "inputs"):
                _check_numbers(member, name, array, classes)
        if not np.isfinite(inputs).all():
            raise _fault(member, "inputs hold NaN or infinity")
        return GoldenSamples(
            arrays["inputs"],
            arrays["labels"],
            arrays["float_outputs"],
            _below("outputs/", arrays),
            _below("logits/", arrays),
        )


@dataclass(frozen=True)
class ReplaySamples:
    """A few embeddings a class, as the artifact's own backbone gives them.

    Attributes:
        labels: int64 (n,).
        embeddings: artifact name -> codes or floats (n, features).
    """

    labels: NDArray[np.int64]
    embeddings: dict[str, NDArray[Any]]

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        return {"labels": self.labels} | {f"embeddings/{name}": codes for name, codes in self.embeddings.items()}

    @staticmethod
    def from_arrays(arrays: dict[str, NDArray[Any]], classes: int) -> ReplaySamples:
        """The samples in an `.npz` of `to_arrays`, for a model of so many classes. Raises: BundleError: as above."""
        _check_rows("replay.npz", arrays, ("labels",))
        _check_labels("replay.npz", arrays["labels"], classes)
        for name, array in arrays.items():
            if name != "labels":
                _check_numbers("replay.npz", name, array, None)
        return ReplaySamples(arrays["labels"], _below("embeddings/", arrays))


def _below(prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _check_rows(member: str, arrays: dict[str, NDArray[Any]], needed: tuple[str, ...]) -> None:
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise _fault(member, f"array {missing[0]!r} is missing")
    counts = {name: (array.shape[0] if array.ndim else -1) for name, array in arrays.items()}
    if -1 in counts.values() or len(set(counts.values())) > 1:
        raise _fault(member, f"arrays of different lengths {counts}")


def _check_labels(member: str, labels: NDArray[Any], classes: int) -> None:
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise _fault(member, f"labels are {labels.dtype} {labels.shape}, not integers (n,)")
    if len(labels) and not 0 <= labels.min() <= labels.max() < classes:
        raise _fault(member, f"labels {labels.min()}..{labels.max()} for {classes} classes")


def _check_numbers(member: str, name: str, array: NDArray[Any], classes: int | None) -> None:
    if array.dtype.kind not in "iuf" or array.ndim < 2:
        raise _fault(member, f"{name} is {array.dtype} {array.shape}, not numbers (n, ...)")
    if classes is not None and array.size != len(array) * classes:
        raise _fault(member, f"{name} has shape {array.shape} for {classes} classes")
    if not np.isfinite(array).all():
        raise _fault(member, f"{name} holds NaN or infinity")


def _fault(member: str, what: str) -> BundleError:
    return BundleError(f"{member}: {what}; export the bundle again")
