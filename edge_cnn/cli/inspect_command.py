"""`edge-cnn inspect`: what is inside a model file and which runtimes here run it."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import click

from edge_cnn.cli.console import Console, common_options, table
from edge_cnn.cli.release_option import FOR
from edge_cnn.cli.slot_options import SlotOrFile
from edge_cnn.core.artifact import ONNX, TFLITE, read_artifact
from edge_cnn.core.bundle import SUFFIX, read_bundle
from edge_cnn.core.errors import InputError
from edge_cnn.core.manifest import ArtifactEntry
from edge_cnn.core.targets import TARGETS
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.inspection import inspect_artifact
from edge_cnn.device.runtimes.release import parse_release


@click.command("inspect")
@click.argument("file", type=SlotOrFile())
@FOR
@common_options
def command(console: Console, file: Path, releases: tuple[str, ...]) -> int:
    """Show what is inside FILE (.tflite, .onnx or .edgecnn): ops and versions, tensors, head, sizes, provenance.

    Each runtime that is installed here loads the file in a process of its own and says whether it runs. What one that
    is not here would refuse or compute wrong is told with --for.
    """
    _check_releases(file, releases)
    if file.suffix.lower() == SUFFIX:
        bundle = read_bundle(file)
        parts = [inspect_artifact(a, (*_of_targets(bundle.entry(a.name)), *releases)) for a in bundle.artifacts]
        data = file.read_bytes()
        manifest = bundle.manifest
        # The first artifact is what commands take by default; its fields stand at the top as for a single file.
        document = parts[0] | {
            "name": file.name,
            "format": "edgecnn",
            "bytes": len(data),
            "sha256": hashlib.sha256(data).hexdigest(),
            "artifacts": parts,
            "labels": list(manifest.labels),
            "preprocessing": manifest.preprocessing.to_json(),
            "host_accuracy": manifest.host_accuracy,
            "golden_samples": len(bundle.golden.labels) if bundle.golden else 0,
            "replay_samples": len(bundle.replay.labels) if bundle.replay else 0,
            "provenance": manifest.provenance,
            "schemes": {entry.name: entry.scheme for entry in manifest.artifacts},
            "targets": {entry.name: list(entry.targets) for entry in manifest.artifacts},
        }
        text = "\n\n".join([_bundle_text(document), *(_artifact_text(part) for part in parts)])
        console.result(document, text)
    else:
        document = inspect_artifact(read_artifact(file), releases)
        parts = [document]
        console.result(document, _artifact_text(document))
    return int(any(part["preflight"].get(name) for part in parts for name in releases))


def _of_targets(entry: ArtifactEntry) -> list[str]:
    """The runtimes of the targets that a bundle's file was made for, as far as this version knows those."""
    return [runtime for name in entry.targets if name in TARGETS for runtime in TARGETS[name].runtimes]


def _check_releases(file: Path, releases: tuple[str, ...]) -> None:
    """Raises: InputError: a release that is not known, or is for another format than `file`."""
    kind = file.suffix.lower().removeprefix(".")
    for name in releases:
        release = parse_release(name)
        if kind in (TFLITE, ONNX) and release.format != kind:
            raise InputError(f"{release} loads .{release.format} files, {file.name} is .{kind}")


def _bundle_text(document: dict[str, Any]) -> str:
    accuracy = document["host_accuracy"]
    lines = [
        f"{document['name']}  bundle, {document['bytes']:,} bytes, SHA-256 {document['sha256'][:16]}...",
        f"classes: {', '.join(document['labels'])}",
        f"golden samples: {document['golden_samples']}, replay embeddings: {document['replay_samples']}",
        *(
            f"{name}: {scheme} for {', '.join(document['targets'][name])}"
            for name, scheme in document["schemes"].items()
        ),
    ]
    if accuracy is not None:
        lines.append(f"float accuracy on the host: {100 * accuracy:.2f} %")
    for key, value in document["provenance"].items():
        if isinstance(value, dict):
            # One level down, and what is nested deeper is for --json.
            parts = _plain_parts(value)
            lines += [f"{key}: {parts}"] if parts else []
        elif isinstance(value, list):
            lines += [f"{key}: {_plain_parts(part)}" for part in value]
        elif value:
            lines.append(f"{key}: {value}")
    return "\n".join(lines)


def _plain_parts(value: Any) -> str:
    if not isinstance(value, dict):
        return str(value)
    return ", ".join(f"{name} {item}" for name, item in value.items() if not isinstance(item, dict | list))


def _artifact_text(document: dict[str, Any]) -> str:
    head = document["head"]
    lines = [
        f"{document['name']}  {document['format']}, {document['bytes']:,} bytes, SHA-256 {document['sha256'][:16]}...",
        *(f"input   {_tensor_text(spec)}" for spec in document["inputs"]),
        *(f"output  {_tensor_text(spec)}" for spec in document["outputs"]),
        f"head    {head['op']} {head['name']!r}, {head['features']} features -> {head['classes']} classes"
        if head
        else f"head    none: {document['no_head_reason']}",
        *(f"{name}: {verdict}" for name, verdict in document["runtimes"].items()),
        *(f"{name}: {_preflight_text(lines)}" for name, lines in document["preflight"].items()),
        *([] if document["runtimes"] else [f"no runtime for .{document['format']} files is installed here"]),
        table(["op", "version", "count"], [[o["name"], str(o["version"]), str(o["count"])] for o in document["ops"]]),
    ]
    return "\n".join(lines)


def _preflight_text(lines: list[str]) -> str:
    return f"will not run it: {'; '.join(lines)}" if lines else "has its operators at their versions"


def _tensor_text(value: dict[str, Any]) -> str:
    spec = TensorSpec.from_json(value)
    text = f"{spec.name}  {spec.dtype} {list(spec.shape)}"
    if spec.quantization is not None and len(spec.quantization.scales) == 1:
        text += f"  scale {spec.quantization.scale:.6g}, zero point {spec.quantization.zero_point}"
    return text
