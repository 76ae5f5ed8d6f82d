"""For TFLite Micro on a Cortex-M: how much memory the network takes there, and the file as C++ source."""

from __future__ import annotations

import json
import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from converters.compilers import arena_search
from converters.compilers.c_array import c_header, c_source
from converters.compilers.compiler import Compiled, CpuOperator
from converters.compilers.environment import check_environment, make_ready, variables
from converters.compilers.process import Finished, run_program
from edge_cnn.core.artifact import TFLITE, Artifact
from edge_cnn.core.errors import ConstraintError
from edge_cnn.core.targets import Memory, Target
from edge_cnn.device.tflite.file import read_tflite
from edge_cnn.verify.devices.environments import TFLM
from edge_cnn.verify.devices.preparation import OnStep

LIMIT_S = 600.0

_ADVICE = "export with another scheme, or leave the compiler out with --no-compile"
_HEAD = re.compile(r"Arena allocation head (\d+) bytes")


@dataclass(frozen=True)
class TflmReport:
    """Memory that the network takes on a microcontroller.

    Attributes:
        version: of TFLite Micro.
        model_bytes: of the `.tflite` file, in flash.
        arena_bytes: the smallest arena with which it runs, with 64-bit pointers.
        activation_bytes: the part of it that holds tensors and scratch memory, which pointers do not change.
        ram_bytes: what the target has for it; None where the row does not say.
    """

    version: str
    model_bytes: int
    arena_bytes: int
    activation_bytes: int
    ram_bytes: int | None = None
    cpu_operators: tuple[CpuOperator, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {
            "version": self.version,
            "model_bytes": self.model_bytes,
            "arena_bytes": self.arena_bytes,
            "activation_bytes": self.activation_bytes,
            "pointer_bytes": 8,
            "ram_bytes": self.ram_bytes,
        }

    def summary(self) -> str:
        return (
            f"TFLite Micro {self.version}: arena {self.arena_bytes:,} bytes, of which {self.activation_bytes:,} hold "
            f"activations (64-bit pointers and portable kernels); {self.model_bytes:,} bytes of flash for the model"
        )

    def notes(self) -> tuple[str, ...]:
        if self.ram_bytes is None or self.arena_bytes <= self.ram_bytes:
            return ()
        return (f"the arena of {self.arena_bytes:,} bytes may be too large for {self.ram_bytes:,} bytes of RAM",)


class TflmCompiler:
    """As `Compiler`; it compiles nothing: TFLite Micro interprets the file as it is."""

    def check(self) -> None:
        check_environment(TFLM.environment)

    def compile(self, artifact: Artifact, target: Target, folder: Path, on_step: OnStep) -> Compiled:
        report = measure_arena(artifact, on_step)
        if target.memory is not None:
            _check_memory(artifact.name, report, target.name, target.memory)
            report = replace(report, ram_bytes=target.memory.ram)
        stem = artifact.name.removesuffix(f".{TFLITE}")
        sources = {f"{stem}.h": c_header(artifact, report.arena_bytes), f"{stem}.cc": c_source(artifact)}
        for name, text in sources.items():
            (folder / name).write_text(text)
        return Compiled(tuple(sources), report)


def _check_memory(name: str, report: TflmReport, target: str, memory: Memory) -> None:
    # Pointers are shorter there, so that the rest of the arena proves nothing.
    if report.activation_bytes > memory.ram:
        raise ConstraintError(
            f"{name} takes {report.activation_bytes:,} bytes of RAM for activations in TFLite Micro, {target} has "
            f"{memory.ram:,}; use a smaller network or input, or another target"
        )


def measure_arena(artifact: Artifact, on_step: OnStep) -> TflmReport:
    """Try out how small an arena may be.

    Raises:
        CompilerMissingError: TFLite Micro is not here and cannot be made ready.
        CompilerError: it does not run the file.
    """
    make_ready(TFLM.environment, on_step)
    inputs = len(read_tflite(artifact).inputs)
    with tempfile.TemporaryDirectory(prefix="edge_cnn-tflm-") as temporary:
        path = Path(temporary, artifact.name)
        path.write_bytes(artifact.data)
        finished = run_program(
            [TFLM.environment.python, "-P", arena_search.__file__, path, str(inputs)],
            name="TFLite Micro",
            limit_s=LIMIT_S,
            advice=_ADVICE,
            install=f"delete {TFLM.folder} and export again",
            environment=variables(),
        )
    return _read(finished, len(artifact.data))


def _read(finished: Finished, model_bytes: int) -> TflmReport:
    heads = _HEAD.findall(finished.stderr)
    try:
        arena = int(json.loads(finished.stdout)["arena_bytes"])
    except (ValueError, KeyError, TypeError) as error:
        raise finished.not_understood("told no size of an arena") from error
    if not heads:
        raise finished.not_understood("told nothing of its allocations")
    return TflmReport(TFLM.requirements[0].partition("==")[2], model_bytes, arena, int(heads[-1]))
