"""What a budget and a device allow, and how much of it a model takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_cnn.core.errors import InputError
from edge_cnn.core.targets import Target
from edge_cnn.host.budget.file_size import FLOAT32, INT8
from edge_cnn.host.budget.model_costs import ModelCosts


@dataclass(frozen=True)
class Budget:
    """Limits that a user sets; None is no limit.

    Attributes:
        max_params: parameters, as Keras counts them.
        max_macs: multiplications with an addition, for one sample.
        max_size: bytes of the `.tflite` file, int8 unless the target takes float32 alone.
    """

    max_params: int | None = None
    max_macs: int | None = None
    max_size: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_params", "max_macs", "max_size"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} {value}: a limit must be at least 1; leave it out for none")


@dataclass(frozen=True)
class Limit:
    """One number that must not be exceeded.

    Attributes:
        most: the limit.
        source: who sets it, "--max-params" or "the flash of cortex-m7".
        verb: "has" or "takes", before the number.
        unit: what is counted, after the number.
        measure: how much a model takes.
    """

    most: int
    source: str
    verb: str
    unit: str
    measure: Callable[[ModelCosts], int]

    def is_kept(self, costs: ModelCosts) -> bool:
        return self.measure(costs) <= self.most


def limits_of(budget: Budget, target: Target | None) -> list[Limit]:
    """All limits that hold, those of the user first."""
    scheme = scheme_for(target)
    file, ram = f"bytes as {scheme} .tflite (estimated)", f"bytes of {scheme} activations at the least"
    found: list[Limit] = []

    def add(most: int | None, source: str, verb: str, unit: str, measure: Callable[[ModelCosts], int]) -> None:
        if most is not None:
            found.append(Limit(most, source, verb, unit, measure))

    add(budget.max_params, "--max-params", "has", "parameters", lambda costs: costs.parameters)
    add(budget.max_macs, "--max-macs", "takes", "multiply-accumulates a sample", lambda costs: costs.macs)
    add(budget.max_size, "--max-size", "takes", file, lambda costs: costs.size(scheme))
    memory = None if target is None else target.memory
    if target is not None and memory is not None:
        add(memory.flash, f"the flash of {target.name}", "takes", file, lambda costs: costs.size(scheme))
        add(memory.ram, f"the RAM of {target.name}", "takes", ram, lambda costs: costs.activation_bytes(scheme))
    return found


def scheme_for(target: Target | None) -> str:
    """What a file for the target holds unless the user says otherwise."""
    return INT8 if target is None or target.default_scheme != FLOAT32 else FLOAT32
