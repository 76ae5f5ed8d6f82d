"""What Vela tells: figures from its CSV file, reasons from its words, operators on the CPU from the file it made."""

from __future__ import annotations

import csv
import math
import re
from dataclasses import dataclass
from typing import Any

from converters.compilers.compiler import CpuOperator, cpu_notes
from converters.compilers.process import Finished
from edge_cnn.core.artifact import Artifact
from edge_cnn.device.tflite.file import read_tflite

ETHOS_U = "ethos-u"
"""Name of the custom operator that holds what runs on the accelerator."""

MEMORIES = ("sram", "dram", "on_chip_flash", "off_chip_flash")
"""Columns of the CSV file, and what they are of."""

_REASON = re.compile(r"^Warning \([^)\n]*\) operator: (\S+), ofm: '(.*)'\nReason: (.*)\n(.+)?", re.MULTILINE)


@dataclass(frozen=True)
class VelaReport:
    """Figures of one compilation, which are estimates for a model of the hardware.

    Attributes:
        version: of Vela.
        accelerator, system_config, memory_mode: what it compiled for, as it calls them.
        clock_hz: of the accelerator.
        cycles: "total", "npu", and one entry for the accesses to each memory that is used.
        memory_bytes: memory -> bytes that the network takes there; those that are used.
        macs: multiplications with additions on the accelerator.
        operators: how many the `.tflite` file has.
        cpu_operators: those that the accelerator does not run.
    """

    version: str
    accelerator: str
    system_config: str
    memory_mode: str
    clock_hz: int
    cycles: dict[str, int]
    memory_bytes: dict[str, int]
    macs: int
    operators: int
    cpu_operators: tuple[CpuOperator, ...]

    @property
    def milliseconds(self) -> float:
        """Estimated time of one inference, of what runs on the accelerator."""
        return 1e3 * self.cycles["total"] / self.clock_hz

    def to_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "accelerator": self.accelerator,
            "system_config": self.system_config,
            "memory_mode": self.memory_mode,
            "clock_hz": self.clock_hz,
            "cycles": self.cycles,
            "estimated_ms": round(self.milliseconds, 6),
            "memory_bytes": self.memory_bytes,
            "macs": self.macs,
            "operators": self.operators,
            "cpu_operators": [operator.to_json() for operator in self.cpu_operators],
        }

    def summary(self) -> str:
        memories = ", ".join(f"{size / 1024:.1f} KiB {name}" for name, size in self.memory_bytes.items())
        cycles = ", ".join(f"{name} {count:,}" for name, count in self.cycles.items() if name != "total")
        return (
            f"Vela {self.version} for {self.accelerator} ({self.system_config}, {self.memory_mode}): "
            f"{self.cycles['total']:,} cycles ({cycles}), about {self.milliseconds:.3g} ms; {memories or 'no memory'}; "
            f"{self.operators - len(self.cpu_operators)} of {self.operators} operators on the accelerator"
        )

    def notes(self) -> tuple[str, ...]:
        return cpu_notes(self.cpu_operators)


def read_figures(
    text: str, version: str, on_cpu: tuple[int, tuple[CpuOperator, ...]], finished: Finished
) -> VelaReport:
    """The report.

    Args:
        text: Vela's CSV file.
        version: of Vela.
        on_cpu: as `cpu_operators` returns it.
        finished: the run, for the message.

    Raises:
        CompilerError: a column is missing, or holds no number.
    """
    operators, left = on_cpu
    try:
        (row,) = csv.DictReader(text.splitlines())
        memory = {name: float(row[f"{name}_memory_used"]) for name in MEMORIES}
        accesses = {name: int(row[f"cycles_{name}_access"]) for name in MEMORIES}
        return VelaReport(
            version,
            row["accelerator_configuration"],
            row["system_config"],
            row["memory_mode"],
            int(float(row["core_clock"])),
            {"total": int(row["cycles_total"]), "npu": int(row["cycles_npu"])}
            | {name: count for name, count in accesses.items() if memory[name]},
            # The file has KiB with fractions, up to whole bytes.
            {name: math.ceil(1024 * size) for name, size in memory.items() if size},
            int(row["nn_macs"]),
            operators,
            left,
        )
    except (ValueError, KeyError, TypeError) as error:
        raise finished.not_understood(f"its summary cannot be read: {type(error).__name__}: {error}") from error


def cpu_operators(source: Artifact, compiled: Artifact, said: str) -> tuple[int, tuple[CpuOperator, ...]]:
    """How many operators `source` has, and those that stand in `compiled` beside the accelerator's own.

    Args:
        source: what went in.
        compiled: what came out.
        said: what Vela printed, for the reasons.

    Raises:
        ModelError: one of the files is damaged.
    """
    reasons: dict[str, dict[str, str]] = {}
    for op, tensor, reason, detail in _REASON.findall(said):
        reasons.setdefault(tensor, {})[op] = " ".join(f"{reason}; {detail}".split()).rstrip("; ")
    graph = read_tflite(compiled).main
    left: list[CpuOperator] = []
    for operator in graph.operators:
        if operator.name == ETHOS_U:
            continue
        name = graph.tensors[operator.outputs[0]].spec.name if operator.outputs else ""
        told = reasons.get(name, {})
        # A fused activation is an operator of its own to Vela, and may be the one that it complains of.
        reason = told.get(operator.name) or next(iter(told.values()), "Vela gives no reason")
        left.append(CpuOperator(operator.name, reason, name))
    return len(read_tflite(source).main.operators), tuple(left)
