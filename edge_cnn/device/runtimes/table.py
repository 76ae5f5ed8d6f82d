"""The table of light runtimes and how to open an artifact in one."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_cnn.core.artifact import ONNX, TFLITE, Artifact
from edge_cnn.core.errors import InputError, RuntimeUnavailableError

if TYPE_CHECKING:
    from edge_cnn.core.protocols import Runtime


@dataclass(frozen=True)
class RuntimeRow:
    """One light runtime.

    Attributes:
        name: RUNTIME as users type it.
        format: the artifact format that it loads.
        package: the Python package that must be importable.
        extra: of this project, installs the package.
        open: artifact, threads -> Runtime.
        build: distribution that `package` must come from, where several bring a package of that name.
        device: DEVICE that has it in an environment of its own, where it does not go with the others.
    """

    name: str
    format: str
    package: str
    extra: str
    open: Callable[[Artifact, int], Runtime]
    build: str | None = None
    device: str | None = None

    def is_installed(self) -> bool:
        """Whether it can be imported here; looks at files only."""
        spec = importlib.util.find_spec(self.package)
        if spec is None or self.build is None:
            return spec is not None
        return _builds(spec.origin) == self.build

    def advice(self, installing: str = "pip install") -> str:
        """What to do where it is not installed: a command that begins with `installing`, or another DEVICE."""
        if self.device is not None:
            return f"take --on {self.device}, which 'edge-cnn devices setup {self.device}' makes ready"
        return f"{installing} 'edge-cnn[{self.extra}]'"


def _builds(origin: str | None) -> str | None:
    """Name of the distribution that the package onnxruntime at `origin` belongs to; every build of it writes it there.

    Not asked of importlib.metadata, whose import is a tenth of a cold start.
    """
    if origin is None:
        return None
    try:
        with open(origin.removesuffix("__init__.py") + "capi/build_and_package_info.py", encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError:
        return None
    named = [line.partition("=")[2].strip(" '\"") for line in lines if line.startswith("package_name")]
    return named[0] if named else None


def _tflite(name: str, package: str, *, reference: bool = False) -> Callable[[Artifact, int], Runtime]:
    def open_tflite(artifact: Artifact, threads: int) -> Runtime:
        from edge_cnn.device.runtimes.tflite_interpreters import TfliteInterpreter

        return TfliteInterpreter(artifact, name=name, package=package, reference=reference, threads=threads)

    return open_tflite


def _tflm(artifact: Artifact, threads: int) -> Runtime:
    from edge_cnn.device.runtimes.tflm_interpreter import TflmInterpreter

    del threads  # A microcontroller has one.
    return TflmInterpreter(artifact)


def _tosa(artifact: Artifact, threads: int) -> Runtime:
    from edge_cnn.device.runtimes.tosa_graph import TosaGraph

    del threads  # The reference model has one.
    return TosaGraph(artifact)


def _onnx(accelerator: str | None = None) -> Callable[[Artifact, int], Runtime]:
    def open_onnx(artifact: Artifact, threads: int) -> Runtime:
        from edge_cnn.device.runtimes.onnx_session import OnnxSession

        if accelerator is None:
            return OnnxSession(artifact, threads=threads)
        from edge_cnn.device.runtimes import onnx_accelerators

        return OnnxSession(artifact, threads=threads, accelerator=onnx_accelerators.ACCELERATORS[accelerator])

    return open_onnx


RUNTIMES: dict[str, RuntimeRow] = {
    row.name: row
    for row in (
        RuntimeRow("litert", TFLITE, "ai_edge_litert", "litert", _tflite("litert", "ai_edge_litert")),
        RuntimeRow("tflite-runtime", TFLITE, "tflite_runtime", "tflite", _tflite("tflite-runtime", "tflite_runtime")),
        RuntimeRow(
            "litert-ref", TFLITE, "ai_edge_litert", "litert", _tflite("litert-ref", "ai_edge_litert", reference=True)
        ),
        RuntimeRow(
            "tflite-runtime-ref",
            TFLITE,
            "tflite_runtime",
            "tflite",
            _tflite("tflite-runtime-ref", "tflite_runtime", reference=True),
        ),
        RuntimeRow("tflm", TFLITE, "tflite_micro", "tflm", _tflm, device="tflm"),
        RuntimeRow("tosa-ref", TFLITE, "tosa_reference_model", "tosa", _tosa, device="tosa"),
        RuntimeRow("onnxruntime", ONNX, "onnxruntime", "onnx", _onnx()),
        RuntimeRow("onnxruntime-cuda", ONNX, "onnxruntime", "cuda", _onnx("onnxruntime-cuda"), build="onnxruntime-gpu"),
        RuntimeRow(
            "onnxruntime-tensorrt", ONNX, "onnxruntime", "cuda", _onnx("onnxruntime-tensorrt"), build="onnxruntime-gpu"
        ),
        RuntimeRow("onnxruntime-qnn", ONNX, "onnxruntime_qnn", "qnn", _onnx("onnxruntime-qnn")),
        RuntimeRow(
            "onnxruntime-webgpu", ONNX, "onnxruntime", "webgpu", _onnx("onnxruntime-webgpu"), build="onnxruntime-webgpu"
        ),
    )
}
"""In the order of preference for each format."""


def installed_runtimes(format: str) -> tuple[str, ...]:
    """Names of the runtimes for `format` that can be imported here, the preferred one first."""
    return tuple(row.name for row in RUNTIMES.values() if row.format == format and row.is_installed())


_REFERENCES = {TFLITE: ("litert-ref", "tflite-runtime-ref"), ONNX: ("onnxruntime",)}
"""Runtimes whose kernels are the measure for golden outputs, by format."""


def reference_runtime(format: str) -> str:
    """Name of the runtime that records golden outputs of `format` here: the first installed one, else the first."""
    names = _REFERENCES[format]
    return next((name for name in names if RUNTIMES[name].is_installed()), names[0])


def find_runtime(name: str) -> RuntimeRow:
    """Raises: InputError: no such runtime."""
    try:
        return RUNTIMES[name]
    except KeyError:
        raise InputError(f"unknown runtime {name!r}; known: {', '.join(RUNTIMES)}") from None


def open_runtime(artifact: Artifact, name: str | None = None, *, threads: int = 1) -> Runtime:
    """Load `artifact` in the runtime `name`, by default the first installed one for its format.

    Raises:
        InputError: unknown runtime, or one for another format.
        RuntimeUnavailableError: it is not installed here.
        ModelError: it refuses the file.
    """
    if threads < 1:
        raise InputError(f"threads must be at least 1, got {threads}")
    if name is None:
        row = next((r for r in RUNTIMES.values() if r.format == artifact.format and r.is_installed()), None)
        if row is None:
            extras = " or ".join(
                dict.fromkeys(
                    f"'edge-cnn[{r.extra}]'"
                    for r in RUNTIMES.values()
                    if r.format == artifact.format and r.build is None and r.device is None
                )
            )
            raise RuntimeUnavailableError(f"no runtime for {artifact.name} is installed here; pip install {extras}")
    else:
        row = find_runtime(name)
        if row.format != artifact.format:
            raise InputError(
                f"runtime {name!r} loads .{row.format} files, {artifact.name} is .{artifact.format}; "
                f"choose from {', '.join(r.name for r in RUNTIMES.values() if r.format == artifact.format)}"
            )
        if not row.is_installed():
            raise RuntimeUnavailableError(f"runtime {name!r} is not installed here; {row.advice()}")
    return row.open(artifact, threads)
