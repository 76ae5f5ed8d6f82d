"""`edge-cnn export`: quantize, convert, check constraints, record golden samples, write one bundle."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from converters.calibration.table import DEFAULT_METHOD, ESTIMATORS
from edge_cnn.cli.console import PATH, Console, common_options, table
from edge_cnn.cli.model_options import INPUT_RANGE
from edge_cnn.cli.output_path import check_file
from edge_cnn.cli.release_option import FOR
from edge_cnn.core.bundle import SUFFIX, Bundle

if TYPE_CHECKING:
    from converters.calibration.audit import CalibrationAudit
    from converters.compilers.export_step import CompiledArtifact, WrittenExport
    from converters.export import Progress


@click.command()
@click.argument("model", type=PATH)
@click.option("--target", "targets", multiple=True, required=True, help="A row of 'edge-cnn targets'; repeatable.")
@click.option(
    "--calibration", "data", required=True, help="DATA: its training part calibrates, its test part measures."
)
@click.option("--out", type=PATH, required=True, help="The bundle to write, NAME.edgecnn.")
@click.option(
    "--scheme",
    "schemes",
    multiple=True,
    help="int8, float32, float16, int4-weights, ... (docs/schemes.md); repeatable; default: the target's first.",
)
@click.option(
    "--max-drop",
    type=click.FloatRange(0, 1),
    help="Where int8 loses more than this share of accuracy, search for a mix that does not; exit 1 if none is found.",
)
@click.option(
    "--exclude", multiple=True, metavar="LAYER", help="Leave a layer in float, as 'explain' names it; repeatable."
)
@click.option("--calibration-samples", type=click.IntRange(1), default=500, show_default=True)
@click.option(
    "--calibration-method",
    type=click.Choice(list(ESTIMATORS)),
    default=DEFAULT_METHOD,
    show_default=True,
    help="How samples set the ranges of int8 files.",
)
@click.option("--equalize", is_flag=True, help="Scale channels of neighbouring layers against each other first.")
@click.option("--correct-bias", is_flag=True, help="Take back the mean error that rounding gives each channel.")
@click.option(
    "--qat", type=click.IntRange(1), metavar="EPOCHS", help="Train with the rounding of int8 or int4-weights."
)
@click.option("--golden", type=click.IntRange(1), default=256, show_default=True, help="Test samples in the bundle.")
@FOR
@click.option(
    "--compile/--no-compile",
    "compiling",
    default=None,
    help="Demand, or leave out, the compilers of targets that have one; default: those at hand.",
)
@click.option("--accelerator-only", is_flag=True, help="Exit 1 when a compiler leaves an operator to the CPU.")
@click.option(
    "--compiler-option",
    "compiler_options",
    nargs=2,
    multiple=True,
    metavar="TARGET WORD",
    help="One more word for the compiler of a target; repeatable.",
)
@INPUT_RANGE
@common_options
def command(
    console: Console,
    model: Path,
    targets: tuple[str, ...],
    data: str,
    out: Path,
    schemes: tuple[str, ...],
    max_drop: float | None,
    exclude: tuple[str, ...],
    calibration_samples: int,
    calibration_method: str,
    equalize: bool,
    correct_bias: bool,
    qat: int | None,
    golden: int,
    releases: tuple[str, ...],
    compiling: bool | None,
    accelerator_only: bool,
    compiler_options: tuple[tuple[str, str], ...],
    input_range: tuple[float, float] | None,
) -> int:
    """Convert MODEL (.keras, .h5, .onnx, float .tflite or a SavedModel folder) for targets and write one bundle.

    What the compiler of a target makes of it goes into the folder NAME.TARGET beside the bundle.
    """
    from converters.compilers.export_step import CompileConfig, check_compiling, write_export
    from converters.preflight import check_releases
    from converters.schemes.plan import plan_artifacts

    # What the command line alone tells is checked before TensorFlow is imported, which takes seconds.
    check_file(out, [SUFFIX])
    plan_artifacts(targets, schemes)
    check_releases(releases, targets)
    words: dict[str, tuple[str, ...]] = {}
    for target, word in compiler_options:
        words[target] = (*words.get(target, ()), word)
    compile_config = CompileConfig(compiling, accelerator_only, words)
    to_compile = check_compiling(targets, out, compile_config)

    from converters.sources.load import load_classifier

    source = load_classifier(model)

    # After the model, whose loading says in one line if TensorFlow and what comes with it are not installed.
    from converters.export import ExportConfig, ExportData, choose_preprocessing, export_bundle, step_count
    from converters.improvement.improver import Improvement
    from converters.improvement.quantization_aware_training import QatConfig
    from edge_cnn.host.data_source import load_data
    from edge_cnn.host.datasets import DATASETS

    preprocessing, origin = choose_preprocessing(source, input_range)
    console.note(f"{model.name}; input {preprocessing.describe()} (from {origin})")
    skipped: list[Path] = []

    def on_skip(path: Path, reason: str) -> None:
        skipped.append(path)
        console.note(f"skipped: {reason}")

    dataset = load_data(data, source.image_shape, source.labels, on_skip)
    config = ExportConfig(
        targets,
        schemes,
        console.seed,
        calibration_samples=calibration_samples,
        calibration_method=calibration_method,
        golden_samples=golden,
        max_drop=max_drop,
        improvement=Improvement(equalize, correct_bias, QatConfig(epochs=qat) if qat else None),
        releases=releases,
        exclude=exclude,
    )
    provenance = {"name": dataset.name, "source": dataset.source, "licence": dataset.licence}
    if dataset.name not in DATASETS:
        # Where a file lies on this machine is nobody's business, and would make equal bundles differ.
        provenance = {"name": Path(dataset.name).name}
    with console.progress("export", step_count(config)) as update:

        def on_progress(progress: Progress) -> None:
            update(progress.done, progress.step)

        def on_audit(audit: CalibrationAudit) -> None:
            for remark in audit.remarks:
                console.note(remark)

        bundle = export_bundle(
            source,
            ExportData(dataset.train, dataset.test, provenance),
            config,
            preprocessing=preprocessing,
            on_progress=on_progress,
            on_audit=on_audit,
        )
    with console.steps("compiling") if to_compile else nullcontext(lambda *_: None) as on_step:
        written = write_export(bundle, out, compile_config, on_step)
    for note in written.notes:
        console.note(note)
    document = _document(written.bundle, out, releases) | {"skipped": [str(path) for path in skipped]}
    compiled = {"compiled": [_compiled(one, out) for one in written.compiled], "notes": list(written.notes)}
    console.result(document | compiled, _summary(written, out, len(dataset.test), releases))
    return 0


def _compiled(one: CompiledArtifact, out: Path) -> dict[str, Any]:
    from converters.compilers.compiled_folder import compiled_folder

    return one.to_json() | {"folder": str(compiled_folder(out, one.target.name))}


def _document(bundle: Bundle, out: Path, releases: tuple[str, ...]) -> dict[str, Any]:
    from converters.constraints.table import constraints_of
    from converters.preflight import preflight
    from edge_cnn.core.targets import find_target

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
    }


def _summary(written: WrittenExport, out: Path, test_samples: int, releases: tuple[str, ...]) -> str:
    from converters.constraints.table import constraints_of
    from converters.preflight import preflight
    from edge_cnn.core.targets import find_target

    bundle = written.bundle
    rows = [
        [entry.name, entry.scheme, ", ".join(entry.targets), str(len(artifact.data)), _percent(entry.host_accuracy)]
        for entry, artifact in zip(bundle.manifest.artifacts, bundle.artifacts, strict=True)
    ]
    kept = {
        f"{entry.name}: {constraint.message}": None
        for entry in bundle.manifest.artifacts
        for name in entry.targets
        for constraint in constraints_of(find_target(name), entry.scheme)
    }
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
            *(f"  {line}" for line in kept),
            *(["", "preflight", *refused] if refused else []),
            *_compiled_lines(written, out),
            f"wrote {out}, {out.stat().st_size} bytes, with {golden} golden samples",
        ]
    )


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
