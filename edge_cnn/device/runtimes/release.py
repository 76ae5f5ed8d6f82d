"""What of a file a release of a runtime does not run, known without having that release: `tflite-runtime==2.14.0`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from edge_cnn.core.artifact import ONNX, TFLITE, Artifact
from edge_cnn.core.errors import InputError
from edge_cnn.device.runtimes import release_facts as facts
from edge_cnn.device.runtimes.runtime_check import known_wrong, refusal

_FAMILIES: dict[str, tuple[str, dict[str, Any]]] = {
    "litert": (TFLITE, facts.LITERT),
    "tflite-runtime": (TFLITE, facts.TFLITE_RUNTIME),
    "onnxruntime": (ONNX, facts.ONNX_RUNTIME),
}
"""What has releases: name -> format, facts by release in their order."""

_PACKAGES = {"ai-edge-litert": "litert", "tflite-micro": "tflm"}
"""Packages whose name is not that of their runtime."""

_PROVIDERS = (
    "onnxruntime",
    *(f"onnxruntime-{name}" for name in ("gpu", "cuda", "tensorrt", "qnn", "webgpu", "openvino")),
)
"""Runtimes that read files as ONNX Runtime does."""

_DOMAINS = ("com.microsoft", "ai.onnx.ml")
"""Operators beyond ONNX's own that ONNX Runtime brings."""


@dataclass(frozen=True)
class Release:
    """One release of a runtime.

    Attributes:
        runtime: "litert", "tflite-runtime", "tflm", "onnxruntime", or a provider as "onnxruntime-cuda".
        version: None for the newest that is known.
    """

    runtime: str
    version: tuple[int, ...] | None = None

    @property
    def family(self) -> str:
        return "onnxruntime" if self.runtime in _PROVIDERS else self.runtime

    @property
    def format(self) -> str:
        return TFLITE if self.family == "tflm" else _FAMILIES[self.family][0]

    def __str__(self) -> str:
        return self.runtime if self.version is None else f"{self.runtime} {'.'.join(map(str, self.version))}"


def parse_release(text: str) -> Release:
    """RUNTIME or RUNTIME==VERSION, as requirements are written.

    Raises:
        InputError: no such runtime, no version, or one older than all that is known.
    """
    name, _, version = (part.strip() for part in text.partition("=="))
    name = _PACKAGES.get(name, name)
    release = Release(name)
    if name != "tflm" and release.family not in _FAMILIES:
        raise InputError(f"unknown runtime {text!r}; known: {', '.join((*_FAMILIES, 'tflm'))}, each with ==VERSION")
    if not version and "==" not in text:
        return release
    if not re.fullmatch(r"\d+(\.\d+)*", version):
        # TFLite Micro's releases are named by their days, and its kernels do not look at versions.
        if name == "tflm" and version:
            return release
        raise InputError(f"{text!r} has no version; write it as {name}==2.14.0")
    release = Release(name, tuple(map(int, version.split("."))))
    _facts_of(release)
    return release


def problems(artifact: Artifact, release: Release) -> list[str]:
    """One line for each thing that keeps `artifact` from running there, or from running right; empty if none is known.

    Raises:
        ModelError: the file is damaged.
        InputError: the release runs files of another format.
    """
    if artifact.format != release.format:
        raise InputError(f"{release} loads .{release.format} files, {artifact.name} is .{artifact.format}")
    lines = _onnx_problems(artifact, release) if release.format == ONNX else _tflite_problems(artifact, release)
    for line in (refusal(artifact, release.runtime), known_wrong(artifact, release.runtime, release.version)):
        if line is not None:
            lines.append(line)
    return lines


def _tflite_problems(artifact: Artifact, release: Release) -> list[str]:
    from edge_cnn.device.tflite.traits import needed_op_versions

    lines: list[str] = []
    newest = None if release.family == "tflm" else _facts_of(release)
    for name, version in needed_op_versions(artifact):
        if newest is None:
            if name not in facts.TFLM_OPERATORS:
                lines.append(f"{name}: {release} has no such operator")
            continue
        highest, lowest = newest.get(name, 0), facts.LOWEST_VERSIONS.get(name, 1)
        if highest == 0:
            lines.append(f"{name}: {release} has no such operator")
        elif not lowest <= version <= highest:
            lines.append(f"{name} version {version}: {release} has versions {lowest} to {highest}")
    return lines


def _onnx_problems(artifact: Artifact, release: Release) -> list[str]:
    from edge_cnn.device.onnx.file import read_onnx

    model = read_onnx(artifact)
    opset, ir_version = _facts_of(release)
    lines: list[str] = []
    if model.ir_version > ir_version:
        lines.append(f"IR version {model.ir_version}: {release} reads up to {ir_version}")
    if model.opsets.get("", 0) > opset:
        lines.append(f"opset {model.opsets['']}: {release} has up to {opset}")
    domains = {domain for node in model.nodes for domain, _ in ((node.domain, node.op), *node.inner_ops)}
    lines += [
        f"operators of domain {domain!r}: {release} has none" for domain in sorted(domains - {"", "ai.onnx", *_DOMAINS})
    ]
    return lines


def _facts_of(release: Release) -> Any:
    """What is known of the newest release that is not newer than this one. Raises: InputError: this one is older."""
    if release.family == "tflm":
        return None
    known = _FAMILIES[release.family][1]
    if release.version is None:
        return known[list(known)[-1]]
    found = [name for name in known if tuple(map(int, name.split("."))) <= release.version]
    if not found:
        raise InputError(f"nothing is known of {release}; known are releases from {next(iter(known))} on")
    return known[found[-1]]
