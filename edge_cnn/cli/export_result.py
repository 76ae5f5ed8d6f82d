"""What an export came to, for scripts and for people."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_cnn.cli.console import table
from edge_cnn.core.bundle import Bundle

if TYPE_CHECKING:
    from converters.compilers.export_step import CompiledArtifact, WrittenExport


def _compiled(one: CompiledArtifact, out: Path) -> dict[str, Any]:
    from converters.compilers.compiled_folder import compiled_folder

    return one.to_json() | {"folder": str(compiled_folder(out, one.target.name))}


def export_document(written: WrittenExport, out: Path, releases: tuple[str, ...]) -> dict[str, Any]:
    """What --json prints."""
    from converters.constraints.table import constraints_of
    from converters.preflight import preflight
    from edge_cnn.core.targets import find_target

    bundle = written.bundle
    return {
        "out": str(out),
        "bytes": out.stat().st_size,
        "host_accuracy": bundle.manifest.host_accuracy,
        "calibration": bundle.manifest.provenance["calibration"],
        "max_drop": bundle.manifest.provenance.get("max_drop"),
        "improvement": bundle.manifest.provenance.get("improvement", {}),
        "artifacts": [
            {
                "name": entry.name,
                "format": entry.format,
                "scheme": entry.scheme,
                "targets": list(entry.targets),
                "bytes": len(artifact.data),
                "sha256": entry.sha256,
                "host_accuracy": entry.host_accuracy,
                "constraints": {
                    name: [c.name for c in constraints_of(find_target(name), entry.scheme)] for name in entry.targets
                },
                "preflight": preflight(artifact, map(find_target, entry.targets), releases),
            }
            for entry, artifact in zip(bundle.manifest.artifacts, bundle.artifacts, strict=True)
        ],
        "compiled": [_compiled(one, out) for one in written.compiled],
        "notes": list(written.notes),
    }


def export_summary(written: WrittenExport, out: Path, test_samples: int, releases: tuple[str, ...]) -> str:
    """What a person reads."""
    from converters.constraints.table import constraints_of
    from converters.preflight import preflight
    from edge_cnn.core.targets import find_target

    bundle = written.bundle
    rows = [
        [entry.name, entry.scheme, ", ".join(entry.targets), str(len(artifact.data)), _percent(entry.host_accuracy)]
        for entry, artifact in zip(bundle.manifest.artifacts, bundle.artifacts, strict=True)
    ]
    kept: dict[str, dict[str, None]] = {}
    for entry in bundle.manifest.artifacts:
        for name in entry.targets:
            for constraint in constraints_of(find_target(name), entry.scheme):
                kept.setdefault(constraint.message, {})[entry.name] = None
    refused = [
        f"  {artifact.name} will not run on {release}: {line}"
        for entry, artifact in zip(bundle.manifest.artifacts, bundle.artifacts, strict=True)
        for release, lines in preflight(artifact, map(find_target, entry.targets), releases).items()
        for line in lines
    ]
    golden = len(bundle.golden.labels) if bundle.golden else 0
    return "\n".join(
        [
            table(["artifact", "scheme", "targets", "bytes", "accuracy"], rows),
            f"float model {_percent(bundle.manifest.host_accuracy)} on the same {test_samples} test samples",
            *_search_lines(bundle),
            "",
            *_improvement_lines(bundle.manifest.provenance.get("improvement", {})),
            "constraints kept",
            *(f"  {message}: {_all_or(names, bundle)}" for message, names in kept.items()),
            *(["", "preflight", *refused] if refused else []),
            *_compiled_lines(written, out),
            f"wrote {out}, {out.stat().st_size} bytes, with {golden} golden samples",
        ]
    )


def _all_or(names: Collection[str], bundle: Bundle) -> str:
    return "all files" if len(names) == len(bundle.artifacts) > 1 else ", ".join(names)


def _search_lines(bundle: Bundle) -> list[str]:
    """How the bound on the drop was kept, where plain int8 did not keep it."""
    lines: list[str] = []
    for name, search in (bundle.manifest.provenance.get("max_drop") or {}).get("artifacts", {}).items():
        samples = search["held_out"]["samples"]
        lines += ["", f"tried for {name}, on {samples} training samples that did not calibrate"]
        lines += [f"  {t['what']}: drop {t['drop']:.2%}, {t['bytes']} bytes" for t in search["tries"]]
        lines.append(f"chosen: {search['chosen']['what']}")
    return lines


def _improvement_lines(done: dict[str, Any]) -> list[str]:
    lines: list[str] = []
    if "equalized" in done:
        lines = [
            f"equalized {len(done['equalized']['pairs'])} pairs of layers; no pair begins with",
            *(f"  {reason}" for reason in done["equalized"]["skipped"]),
        ]
    if "corrected_biases" in done:
        lines.append(f"corrected biases for {', '.join(done['corrected_biases'])}")
    for weights, trained in done.get("trained", {}).items():
        before, after = (_percent(share) for share in trained["agreement"])
        lines.append(
            f"trained {weights}: the rounded network agrees on {after} of held-out samples, {before} before training"
        )
    return [*lines, ""] if lines else []


def _compiled_lines(written: WrittenExport, out: Path) -> list[str]:
    if not written.compiled:
        return []
    lines = [
        f"  {one.artifact.name} for {one.target.name}: {one.compiled.report.summary()}\n    "
        + ", ".join(f"{out.stem}.{one.target.name}/{name}" for name in one.compiled.files)
        for one in written.compiled
    ]
    return ["compiled", *lines]


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f} %"
