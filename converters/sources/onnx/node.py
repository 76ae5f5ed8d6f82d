"""A node with its inputs, as the functions of operators take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.sources.onnx.value import Value

Constant = NDArray[Any]


@dataclass(frozen=True)
class Node:
    """A node with its inputs.

    Attributes:
        tf: the module tensorflow, which no file of this package imports by itself.
        op: ONNX's name of the operator.
        inputs: activations and constants, None where an optional one is left out.
        attributes: as Python values.
        opset: version of the operator set, since operators changed.
        outputs: how many results are read.
        batch: size of the batch that the file has built in, None where it has none.
    """

    tf: Any
    op: str
    inputs: tuple[Value | Constant | None, ...]
    attributes: dict[str, Any]
    opset: int
    outputs: int
    batch: int | None

    @property
    def value(self) -> Value:
        """The first input, which must be an activation."""
        return self.activation(0)

    def activation(self, position: int) -> Value:
        """Raises: ValueError: that input is a constant."""
        value = self.inputs[position]
        if not isinstance(value, Value):
            raise ValueError(f"input {position} is a constant")  # noqa: TRY004  # the caller catches one kind
        return value

    def constant(self, position: int) -> Constant | None:
        """That input, None where it is left out. Raises: ValueError: it is computed."""
        value = self.inputs[position] if position < len(self.inputs) else None
        if isinstance(value, Value):
            raise ValueError(f"input {position} is computed, it must be a constant")  # noqa: TRY004  # as above
        return value

    def needed(self, position: int) -> Constant:
        """As `constant`. Raises: ValueError: computed or left out."""
        value = self.constant(position)
        if value is None:
            raise ValueError(f"input {position} is missing")
        return value

    def integers(self, name: str, position: int | None = None) -> list[int] | None:
        """Integers that older operator sets keep in an attribute and newer ones in an input."""
        found = self.attributes.get(name)
        if found is None and position is not None:
            found = self.constant(position)
        return None if found is None else [int(i) for i in np.ravel(found)]

    def axis(self, default: int) -> int:
        """The attribute "axis", counted from the front. Raises: ValueError: it is the batch, or out of range."""
        return self.own_axis(int(self.attributes.get("axis", default)), self.value.rank)

    def own_axis(self, axis: int, rank: int) -> int:
        """`axis` counted from the front. Raises: ValueError: it is the batch, or out of range."""
        counted = axis + rank if axis < 0 else axis
        if not 1 <= counted < rank:
            raise ValueError(f"axis {axis} of {rank} is the batch or none")
        return counted
