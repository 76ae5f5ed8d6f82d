"""The seams: what a runtime must offer. Values are frozen, so that a report can keep them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from edge_cnn.core.tensor_spec import TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Kernels:
    """Which code ran the operators.

    Attributes:
        family: one of `tolerance.KERNEL_FAMILIES`.
        shares: name of a delegate or provider -> share of the executed nodes, summing to 1.
        arena_bytes: working memory that the graph takes, where the runtime plans it beforehand and tells.
    """

    family: str
    shares: dict[str, float]
    arena_bytes: int | None = None


class Runtime(Protocol):
    """A light runtime with one loaded graph. Arrays are what the graph holds: codes or floats, never converted."""

    @property
    def name(self) -> str:
        """RUNTIME as users type it: "litert", "litert-ref", "tflm", "onnxruntime", ..."""
        ...

    @property
    def version(self) -> str: ...

    @property
    def inputs(self) -> tuple[TensorSpec, ...]: ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]: ...

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """One array a graph input, each (n, ...) of the tensor's dtype and layout -> one a graph output, (n, ...).

        Raises:
            DataError: wrong number, shape or dtype of inputs.
        """
        ...

    def kernels(self) -> Kernels:
        """Which kernels the loaded graph runs on."""
        ...
