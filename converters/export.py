"""From a float model and data to a bundle: convert, check, record, measure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from converters.artifact_making import ArtifactMaker, share_right
from converters.calibration.audit import CalibrationAudit, audit_calibration
from converters.calibration.samples import choose_calibration
from converters.explanation.exclusion import leaving_in_float
from converters.export_config import ExportConfig, ExportData, Progress
from converters.improvement.improver import Improver
from converters.replay_recording import record_replay
from converters.schemes.plan import PlannedArtifact, plan_artifacts
from converters.sources.class_order import in_model_order
from converters.sources.source_model import SourceModel
from converters.versions import installed_versions
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.bundle import Bundle
from edge_cnn.core.errors import DataError
from edge_cnn.core.manifest import ArtifactEntry, Manifest
from edge_cnn.core.preprocessing import Preprocessing, input_range
from edge_cnn.host.golden_recording import record_golden
from edge_cnn.host.training.inputs import model_inputs


def choose_preprocessing(source: SourceModel, pixel_range: tuple[float, float] | None) -> tuple[Preprocessing, str]:
    """The preprocessing to export with, and where it comes from.

    Args:
        source: the model.
        pixel_range: what pixels 0 and 255 become, instead of what the file says.
    """
    if pixel_range is not None:
        return input_range(*pixel_range, source.image_shape), "the given input range"
    if source.preprocessing is not None:
        return source.preprocessing, source.described_by
    default = input_range(0.0, 255.0, source.image_shape)
    return default, "the default, for want of training.json; --input-range LO,HI overrides it"


def step_count(config: ExportConfig) -> int:
    """How many steps `export_bundle` reports: three an artifact, two for the whole, and those of the improvement.

    Raises:
        InputError: as `plan_artifacts`.
    """
    planned = _planned(config)
    return 3 * len(planned) + 2 + config.improvement.steps(planned)


def _planned(config: ExportConfig) -> tuple[PlannedArtifact, ...]:
    return leaving_in_float(plan_artifacts(config.targets, config.schemes), config.exclude)


def export_bundle(
    source: SourceModel,
    data: ExportData,
    config: ExportConfig,
    *,
    preprocessing: Preprocessing,
    on_progress: Callable[[Progress], None] | None = None,
    on_audit: Callable[[CalibrationAudit], None] | None = None,
) -> Bundle:
    """Make the artifacts for all targets, check them, and put them with golden samples into a bundle.

    Args:
        source: the float model.
        data: labelled samples; calibration sees the training part, golden samples and accuracies the test part.
        config: targets, schemes, seed, sizes.
        preprocessing: from pixels to model inputs, see `choose_preprocessing`.
        on_progress: called when a step begins, and once at the end.
        on_audit: told of the calibration data before anything is quantized; not called where nothing is.

    Raises:
        InputError: unknown target or calibration method, or a scheme that the target does not take.
        DataError: the data does not fit the model, has too few samples, or cannot calibrate.
        ModelError: a converter refuses the model.
        ConstraintError: an artifact breaks a rule of its target, or no runtime there takes it.
        AccuracyDropError: a quantized artifact loses more than `config.max_drop`.
    """
    planned = _planned(config)
    config.improvement.check(planned)
    train = in_model_order(data.train, source.labels, source.classes)
    test = in_model_order(data.test, source.labels, source.classes)
    if not len(test):
        raise DataError("the data has no test samples to measure with; give more data")
    labels = source.labels or train.class_names
    # One stream a purpose: asking for more golden samples must not change the calibration.
    calibration_rng, golden_rng, replay_rng = np.random.default_rng(config.seed).spawn(3)
    calibration = choose_calibration(
        train, preprocessing, config.calibration_samples, calibration_rng, config.calibration_method
    )
    test_inputs = model_inputs(test.images, preprocessing)

    total, done = step_count(config), 0

    def begin(step: str) -> None:
        nonlocal done
        if on_progress is not None:
            on_progress(Progress(done, total, step))
        done += 1

    begin("measuring the float model")
    float_accuracy = share_right(source.predict(test_inputs), test.labels)
    maker = ArtifactMaker(config, labels, preprocessing, train, test, float_accuracy)
    audit = None
    if any(plan.recipe.is_quantized for plan in planned):
        audit = audit_calibration(
            calibration,
            preprocessing,
            class_names=labels,
            test_inputs=test_inputs,
            predict=source.predict,
            graph=lambda: source.float_graph,
        )
        if on_audit is not None:
            on_audit(audit)
    train_inputs = model_inputs(train.images, preprocessing) if config.improvement.qat else calibration.inputs
    improver = Improver(source, calibration, train_inputs, train.labels, config.improvement, config.seed, begin)
    entries: list[ArtifactEntry] = []
    artifacts: list[Artifact] = []
    searches: dict[str, Any] = {}

    def tell(step: str) -> None:
        if on_progress is not None:
            on_progress(Progress(done - 1, total, step))

    for plan in planned:
        improved = improver.improve(plan)
        begin(f"converting {plan.name}")
        artifact = maker.make(plan, *improved)
        begin(f"measuring {plan.name}")
        entry = maker.entry(plan, artifact)
        if maker.exceeds(entry, plan):
            artifact, entry, search = maker.within_drop(plan, entry, *improved, tell)
            searches[plan.name] = search.to_json()
        artifacts.append(artifact)
        entries.append(entry)

    golden = record_golden(
        lambda images: source.predict(model_inputs(images, preprocessing)),
        artifacts,
        test,
        preprocessing,
        count=config.golden_samples,
        rng=golden_rng,
        on_artifact=lambda artifact: begin(f"recording golden samples of {artifact.name}"),
    )
    begin("storing embeddings for replay")
    replay = record_replay(artifacts, train, preprocessing, config.replay_per_class, replay_rng)
    if audit is not None:
        audit = audit.with_golden(calibration, model_inputs(golden.inputs, preprocessing))
    begin("")
    provenance = {
        "seed": config.seed,
        "model": source.name,
        "training": source.training,
        "versions": installed_versions(),
        "data": data.provenance | data.fingerprints(),
        "calibration": calibration.provenance() | ({} if audit is None else {"audit": audit.to_json()}),
        "golden": {"samples": len(golden.labels), "part": "test"},
    }
    if improver.provenance:
        provenance["improvement"] = improver.provenance
    if searches:
        provenance["max_drop"] = {"bound": config.max_drop, "artifacts": searches}
    manifest = Manifest(labels, preprocessing, tuple(entries), float_accuracy, provenance)
    return Bundle(manifest, tuple(artifacts), golden, replay)
