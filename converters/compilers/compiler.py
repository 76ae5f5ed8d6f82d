"""The seam behind which a target's own compiler stands."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.targets import Target
from edge_cnn.verify.devices.preparation import OnStep

_NAME_SHOWN, _REASON_SHOWN = 60, 160
"""Converters join the names of what they fused, so one name may take a screen."""
_OPERATORS_SHOWN = 5


@dataclass(frozen=True)
class CpuOperator:
    """Operators that the accelerator leaves to the CPU.

    Attributes:
        op: kind, for example "SOFTMAX".
        reason: as the compiler states it, in one line.
        name: of the output tensor; empty where the compiler tells kinds only.
        count: how many of them.
    """

    op: str
    reason: str
    name: str = ""
    count: int = 1

    def to_json(self) -> dict[str, Any]:
        return {"op": self.op, "name": self.name, "count": self.count, "reason": self.reason}

    def describe(self) -> str:
        """One line for a person."""
        name = f" {_short(self.name, _NAME_SHOWN)!r}" if self.name else ""
        times = f" ({self.count} of them)" if self.count > 1 else ""
        return f"{self.op}{name}{times}: {_short(self.reason, _REASON_SHOWN)}"


def cpu_notes(operators: tuple[CpuOperator, ...]) -> tuple[str, ...]:
    """The first of them, a line each, and how many more there are."""
    lines = [f"on the CPU: {operator.describe()}" for operator in operators[:_OPERATORS_SHOWN]]
    more = sum(operator.count for operator in operators[_OPERATORS_SHOWN:])
    return (*lines, f"and {more} more on the CPU") if more else tuple(lines)


def _short(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[:length]}..."


class Report(Protocol):
    """What a compiler tells of its work; the same file and versions give the same report."""

    @property
    def cpu_operators(self) -> tuple[CpuOperator, ...]:
        """What does not run on the accelerator; empty where everything does, or where there is no accelerator."""
        ...

    def to_json(self) -> dict[str, Any]:
        """JSON values without times, paths and names of machines."""
        ...

    def summary(self) -> str:
        """The figures, in one line for a person."""
        ...

    def notes(self) -> tuple[str, ...]:
        """What a person should know beside the figures, a line each."""
        ...


@dataclass(frozen=True)
class Compiled:
    """What came out.

    Attributes:
        files: names in the output folder.
        report: what the compiler tells.
    """

    files: tuple[str, ...]
    report: Report


class Compiler(Protocol):
    """A target's own compiler."""

    def check(self) -> None:
        """Look, without starting anything, whether it is there or can be made ready here.

        Raises:
            CompilerMissingError: neither.
        """
        ...

    def compile(self, artifact: Artifact, target: Target, folder: Path, on_step: OnStep) -> Compiled:
        """Compile `artifact` for `target`.

        Args:
            artifact: what the target's scheme made.
            target: with the options of the compiler, and the memory of the hardware.
            folder: where the files go; several artifacts of one target may share it.
            on_step: told of what has to be made ready first.

        Raises:
            CompilerMissingError: the compiler is not there and cannot be made ready.
            CompilerError: it crashes, hangs, refuses the file, or says what cannot be understood.
            ConstraintError: what came out does not fit the hardware.
        """
        ...
