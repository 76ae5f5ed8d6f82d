"""Vela, Arm's compiler for the Ethos-U55, U65 and U85, in an environment of its own."""

from __future__ import annotations

import tempfile
from pathlib import Path

from converters.compilers.compiler import Compiled
from converters.compilers.environment import check_environment, make_ready, variables
from converters.compilers.process import Finished, run_program
from converters.compilers.vela_report import cpu_operators, read_figures
from edge_cnn.core.artifact import TFLITE, Artifact
from edge_cnn.core.errors import CompilerError, ModelError
from edge_cnn.core.targets import Target
from edge_cnn.device.tflite.fixed_shapes import with_fixed_shapes
from edge_cnn.verify.devices.preparation import OnStep, cache_folder
from edge_cnn.verify.devices.virtual_environment import LINUX_X86_64, VirtualEnvironment, python_of

VERSION = "5.2.0"
"""The one that was measured; another one counts other cycles."""

LIMIT_S = 1800.0
"""Networks for microcontrollers take a second, MobileNets some ten."""

_MODULE = ("-P", "-m", "ethosu.vela")
_ADVICE = "export for another target or scheme, or leave the compiler out with --no-compile"


def vela_environment() -> VirtualEnvironment:
    """Where Vela lives: below the user's cache folder, made at the first use."""
    return VirtualEnvironment(
        "Vela",
        cache_folder() / "compilers" / "vela",
        (f"ethos-u-vela=={VERSION}",),
        pythons=(11, 12, 13),
        machines=(LINUX_X86_64, ("linux", "aarch64"), ("darwin", "arm64")),
        megabytes=110,
        check=("does Vela load?", _check),
    )


class Vela:
    """As `Compiler`; `Target.compiler_options` are words of Vela's own command line.

    Its cycles are estimates: of a model of the accelerator, and of memories as its system configuration describes them.
    """

    def check(self) -> None:
        check_environment(vela_environment())

    def compile(self, artifact: Artifact, target: Target, folder: Path, on_step: OnStep) -> Compiled:
        environment = vela_environment()
        make_ready(environment, on_step)
        with tempfile.TemporaryDirectory(prefix="edge_cnn-vela-") as temporary:
            work = Path(temporary)
            stem = artifact.name.removesuffix(f".{TFLITE}")
            source = work / f"{stem}.{TFLITE}"
            source.write_bytes(with_fixed_shapes(artifact).data)
            finished = _run(
                environment.folder,
                [source, "--output-dir", work / "out", "--show-cpu-operations", *target.compiler_options],
            )
            data = _content(work / "out" / f"{stem}_vela.{TFLITE}", finished)
            figures = [path.read_text() for path in (work / "out").glob("*_summary_*.csv")]
        compiled = Artifact(f"{stem}_vela.{TFLITE}", TFLITE, data)
        try:
            on_cpu = cpu_operators(artifact, compiled, finished.stdout)
        except ModelError as error:
            raise finished.not_understood(f"its file cannot be read: {error}") from error
        if len(figures) != 1:
            raise finished.not_understood(f"wrote {len(figures)} summaries, not one")
        report = read_figures(figures[0], VERSION, on_cpu, finished)
        (folder / compiled.name).write_bytes(data)
        return Compiled((compiled.name,), report)


def _content(path: Path, finished: Finished) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise finished.not_understood(f"wrote no {path.name}") from None


def _run(folder: Path, words: list[str | Path]) -> Finished:
    return run_program(
        [python_of(folder), *_MODULE, *words],
        name="Vela",
        limit_s=LIMIT_S,
        advice=_ADVICE,
        install=f"delete {folder} and export again",
        environment=variables(),
    )


def _check(making: Path) -> None:
    try:
        _run(making, ["--version"])
    except CompilerError as error:
        raise vela_environment().failed(str(error), "then export again") from error
