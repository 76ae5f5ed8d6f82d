"""`edge-cnn export`: quantize, convert, check constraints, record golden samples, write one bundle."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from converters.calibration.table import DEFAULT_METHOD, ESTIMATORS
from edge_cnn.cli.console import PATH, Console, common_options
from edge_cnn.cli.export_options import COMPILING, IMPROVING, CompileOptions, ImproveOptions
from edge_cnn.cli.export_result import export_document, export_summary
from edge_cnn.cli.model_options import INPUT_RANGE
from edge_cnn.cli.noted_data import load_noted
from edge_cnn.cli.output_path import check_file, check_page
from edge_cnn.cli.release_option import FOR
from edge_cnn.core.atomic_file import write_atomically
from edge_cnn.core.bundle import SUFFIX

if TYPE_CHECKING:
    from converters.calibration.audit import CalibrationAudit
    from converters.compilers.export_step import WrittenExport
    from converters.export import Progress
    from converters.sources.source_model import SourceModel
    from edge_cnn.core.labelled_images import LabelledImages


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
@IMPROVING
@click.option("--golden", type=click.IntRange(1), default=256, show_default=True, help="Test samples in the bundle.")
@FOR
@COMPILING
@click.option("--report", type=PATH, metavar="FILE.html", help="Write a page: accuracy, size and time of every file.")
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
    improve: ImproveOptions,
    golden: int,
    releases: tuple[str, ...],
    compiling: CompileOptions,
    report: Path | None,
    input_range: tuple[float, float] | None,
) -> int:
    """Convert MODEL (.keras, .h5, .onnx, float .tflite or a SavedModel folder) for targets and write one bundle.

    What the compiler of a target makes of it goes into the folder NAME.TARGET beside the bundle.
    """
    from converters.compilers.export_step import check_compiling, write_export
    from converters.preflight import check_releases
    from converters.schemes.plan import plan_artifacts

    # What the command line alone tells is checked before TensorFlow is imported, which takes seconds.
    check_file(out, [SUFFIX])
    check_page(report, {"MODEL": model, "--out": out, "--calibration": data})
    plan_artifacts(targets, schemes)
    check_releases(releases, targets)
    compile_config = compiling.config()
    to_compile = check_compiling(targets, out, compile_config)

    from converters.sources.load import load_classifier

    source = load_classifier(model)

    # After the model, whose loading says in one line if TensorFlow and what comes with it are not installed.
    from converters.explanation.accuracy import at_chance
    from converters.export import ExportConfig, ExportData, choose_preprocessing, export_bundle, step_count
    from edge_cnn.host.datasets import DATASETS

    preprocessing, origin = choose_preprocessing(source, input_range)
    console.note(f"{model.name}; input {preprocessing.describe()} (from {origin})")
    dataset, skipped = load_noted(console, data, source.image_shape, source.labels)
    config = ExportConfig(
        targets,
        schemes,
        console.seed,
        calibration_samples=calibration_samples,
        calibration_method=calibration_method,
        golden_samples=golden,
        max_drop=max_drop,
        improvement=improve.improvement(),
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
    if at_chance(bundle.manifest.host_accuracy or 0.0, len(bundle.manifest.labels)):
        console.note(
            f"the float model itself gets {bundle.manifest.host_accuracy:.2%} right, as guessing does: "
            "check DATA, the order of its classes and --input-range"
        )
    with console.steps("compiling") if to_compile else nullcontext(lambda *_: None) as on_step:
        written = write_export(bundle, out, compile_config, on_step)
    for note in written.notes:
        console.note(note)
    if report is not None:
        _write_report(report, source, written, dataset.train, len(dataset.test))
        console.note(f"report: {report}")
    document = export_document(written, out, releases) | {"skipped": skipped}
    console.result(document, export_summary(written, out, len(dataset.test), releases))
    return 0


def _write_report(path: Path, source: SourceModel, written: WrittenExport, train: LabelledImages, tested: int) -> None:
    from converters.report.export_page import export_page
    from converters.report.export_record import record_of

    page = export_page(written.bundle, record_of(source, written.bundle, train, tested))
    write_atomically(path, page.encode(errors="backslashreplace"))
