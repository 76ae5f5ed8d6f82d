"""Coral's `edgetpu_compiler`, where it is on PATH; it comes as a Debian package for x86-64 alone.

Options and the table of operators: https://coral.ai/docs/edgetpu/compiler
"""

from __future__ import annotations

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.compilers.compiler import Compiled, CpuOperator, cpu_notes
from converters.compilers.process import Finished, run_program
from edge_cnn.core.artifact import TFLITE, Artifact
from edge_cnn.core.errors import CompilerMissingError
from edge_cnn.core.targets import Target
from edge_cnn.device.tflite.fixed_shapes import with_fixed_shapes
from edge_cnn.verify.devices.preparation import OnStep

PROGRAM = "edgetpu_compiler"
TIMEOUT_S = 600
"""Seconds of its own timer, which makes it give up in words."""

_GRACE_S = 60.0
_ADVICE = "export for another target or scheme, or leave the compiler out with --no-compile"
_INSTALL = (
    "install the Debian package edgetpu-compiler on x86-64 Linux, see https://coral.ai/docs/edgetpu/compiler, "
    "or compile the .tflite file of the bundle elsewhere"
)

_VERSION = re.compile(r"Edge TPU Compiler version (\S+)")
_ROW = re.compile(r"^([A-Z][A-Z0-9_]*)[ \t]+(\d+)[ \t]+(\S.*?)[ \t]*$", re.MULTILINE)
_MAPPED = "Mapped to Edge TPU"
_TOTAL = re.compile(r"Total number of operat(?:ions|ors): (\d+)")
_SUBGRAPHS = re.compile(r"Number of Edge TPU subgraphs: (\d+)")
_SIZE = r"memory used for {} model parameters: ([\d.]+)([KMG]?i?B)"
_ON_CHIP = re.compile("On-chip " + _SIZE.format("caching"))
_OFF_CHIP = re.compile("Off-chip " + _SIZE.format("streaming uncached"))
_UNITS = {"B": 1, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


@dataclass(frozen=True)
class EdgeTpuReport:
    """What the compiler tells, in its own rounding.

    Attributes:
        version: of the compiler.
        mapped: kind -> how many operators run on the Edge TPU.
        cpu_operators: the others, by kind.
        subgraphs: custom operators in the file; every one beyond the first means a way over the bus.
        on_chip_bytes, off_chip_bytes: weights that stay on the chip, and those that are sent anew for every inference.
    """

    version: str
    mapped: dict[str, int]
    cpu_operators: tuple[CpuOperator, ...]
    subgraphs: int | None
    on_chip_bytes: int | None
    off_chip_bytes: int | None

    def to_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "mapped": self.mapped,
            "cpu_operators": [operator.to_json() for operator in self.cpu_operators],
            "subgraphs": self.subgraphs,
            "on_chip_bytes": self.on_chip_bytes,
            "off_chip_bytes": self.off_chip_bytes,
        }

    def summary(self) -> str:
        mapped = sum(self.mapped.values())
        total = mapped + sum(operator.count for operator in self.cpu_operators)
        sizes = {"on the chip": self.on_chip_bytes, "sent for every inference": self.off_chip_bytes}
        weights = "".join(f", {size / 1024:.1f} KiB of weights {where}" for where, size in sizes.items() if size)
        return f"Edge TPU Compiler {self.version}: {mapped} of {total} operators on the Edge TPU{weights}"

    def notes(self) -> tuple[str, ...]:
        return cpu_notes(self.cpu_operators)


class EdgeTpuCompiler:
    """As `Compiler`; `Target.compiler_options` are words of its command line, for example ("-m", "13")."""

    def check(self) -> None:
        _program()

    def compile(self, artifact: Artifact, target: Target, folder: Path, on_step: OnStep) -> Compiled:
        del on_step
        program = _program()
        stem = artifact.name.removesuffix(f".{TFLITE}")
        with tempfile.TemporaryDirectory(prefix="edge_cnn-edgetpu-") as temporary:
            source, out = Path(temporary, f"{stem}.{TFLITE}"), Path(temporary, "out")
            out.mkdir()
            # It refuses graphs with dynamic dimensions, such as a batch size that is left open.
            source.write_bytes(with_fixed_shapes(artifact).data)
            finished = run_program(
                [program, "-s", "-t", str(TIMEOUT_S), "-o", out, *target.compiler_options, source],
                name=PROGRAM,
                limit_s=TIMEOUT_S + _GRACE_S,
                advice=_ADVICE,
                install=_INSTALL,
            )
            name = f"{stem}_edgetpu.{TFLITE}"
            try:
                data = (out / name).read_bytes()
            except OSError:
                raise finished.not_understood(f"wrote no {name}") from None
        report = read_report(finished)
        (folder / name).write_bytes(data)
        return Compiled((name,), report)


def _program() -> str:
    program = shutil.which(PROGRAM)
    if program is None:
        raise CompilerMissingError(f"{PROGRAM} is not on PATH; {_INSTALL}")
    return program


def read_report(finished: Finished) -> EdgeTpuReport:
    """What the compiler printed.

    Raises:
        CompilerError: no table of operators, or one whose sum is not the number of operators that it tells.
    """
    said = finished.stdout + finished.stderr
    mapped: dict[str, int] = {}
    left: list[CpuOperator] = []
    for op, count, status in _ROW.findall(said):
        if status == _MAPPED:
            mapped[op] = mapped.get(op, 0) + int(count)
        else:
            left.append(CpuOperator(op, status, count=int(count)))
    found = sum(mapped.values()) + sum(operator.count for operator in left)
    total = _first(_TOTAL, said)
    if not found:
        raise finished.not_understood("told nothing of operators")
    if total is not None and found != total:
        raise finished.not_understood(f"told of {found} operators where it counts {total}")
    version = _VERSION.search(said)
    return EdgeTpuReport(
        version[1] if version else "unknown",
        mapped,
        tuple(left),
        _first(_SUBGRAPHS, said),
        _bytes(_ON_CHIP, said),
        _bytes(_OFF_CHIP, said),
    )


def _first(pattern: re.Pattern[str], text: str) -> int | None:
    match = pattern.search(text)
    return int(match[1]) if match else None


def _bytes(pattern: re.Pattern[str], text: str) -> int | None:
    match = pattern.search(text)
    return round(float(match[1]) * _UNITS[match[2]]) if match and match[2] in _UNITS else None
