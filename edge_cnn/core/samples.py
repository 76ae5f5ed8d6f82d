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
    def from_arrays(arrays: dict[str, NDArray[Any]]) -> GoldenSamples:
        """Raises: BundleError: an array is missing, or has another number of rows than the others."""
        _check_rows("golden.npz", arrays, ("inputs", "labels", "float_outputs"))
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
    def from_arrays(arrays: dict[str, NDArray[Any]]) -> ReplaySamples:
        """Raises: BundleError: an array is missing, or has another number of rows than the others."""
        _check_rows("replay.npz", arrays, ("labels",))
        return ReplaySamples(arrays["labels"], _below("embeddings/", arrays))


def _below(prefix: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}


def _check_rows(member: str, arrays: dict[str, NDArray[Any]], needed: tuple[str, ...]) -> None:
    missing = [name for name in needed if name not in arrays]
    if missing:
        raise BundleError(f"{member}: array {missing[0]!r} is missing; export the bundle again")
    counts = {name: (array.shape[0] if array.ndim else -1) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        raise BundleError(f"{member}: arrays of different lengths {counts}; export the bundle again")
