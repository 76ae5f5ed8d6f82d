"""From a float model and data to a bundle: convert, check, record, measure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

import edge_cnn
from converters.calibration import samples as calibrating
from converters.calibration.audit import CalibrationAudit, audit_calibration
from converters.calibration.samples import Calibration, choose_calibration
from converters.calibration.table import DEFAULT_METHOD
from converters.constraints.table import violations
from converters.explanation.exclusion import leaving_in_float
from converters.explanation.max_drop import DropSearch, Kept, keep_within, takes_mixes
from converters.improvement.improver import Improvement, Improver
from converters.metadata.onnx_metadata import add_onnx_metadata
from converters.metadata.tflite_metadata import add_tflite_metadata
from converters.preflight import check_preflight
from converters.replay_recording import REPLAY_PER_CLASS, record_replay
from converters.schemes.plan import PlannedArtifact, plan_artifacts
from converters.schemes.tolerances import tolerances_of
from converters.sources.class_order import in_model_order
from converters.sources.source_model import SourceModel
from converters.versions import installed_versions
from edge_cnn.core.artifact import ONNX, Artifact
from edge_cnn.core.bundle import Bundle
from edge_cnn.core.errors import AccuracyDropError, ConstraintError, DataError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.manifest import ArtifactEntry, Manifest
from edge_cnn.core.preprocessing import Preprocessing, input_range
from edge_cnn.device.model_input import to_model_input
from edge_cnn.device.runtimes.table import open_runtime
from edge_cnn.host import golden_recording
from edge_cnn.host.golden_recording import record_golden
from edge_cnn.host.training_input import model_inputs

_BATCH = 256
_ROUNDING = 1e-9
"""A difference of two shares may miss its true value by less; one sample is more in any data that fits a memory."""


@dataclass(frozen=True)
class ExportConfig:
    """What to export.

    Attributes:
        targets: TARGET names.
        schemes: quantization schemes; each target's default one if empty.
        seed: of the choice of calibration, golden and replay samples.
        calibration_samples: how many training samples set the ranges.
        calibration_method: how, a row of `converters.calibration.table.ESTIMATORS`.
        golden_samples: how many test samples travel in the bundle.
        replay_per_class: how many embeddings a class travel in the bundle.
        max_drop: largest share of the test part that a quantized artifact may get wrong beyond the float model; None
            for no limit.
        improvement: what is done to the float model before it is quantized.
        exclude: names of layers that stay in float in int8 `.tflite` files.
        releases: runtimes beyond the targets' own that every file of their format must run on, as "litert==2.1.0".
    """

    targets: tuple[str, ...]
    schemes: tuple[str, ...] = ()
    seed: int = 0
    calibration_samples: int = calibrating.DEFAULT_SAMPLES
    calibration_method: str = DEFAULT_METHOD
    golden_samples: int = golden_recording.DEFAULT_SAMPLES
    replay_per_class: int = REPLAY_PER_CLASS
    max_drop: float | None = None
    improvement: Improvement = field(default_factory=Improvement)
    releases: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExportData:
    """What to calibrate and to measure with.

    Attributes:
        train: calibration and replay samples come from here only.
        test: golden samples and accuracies come from here only.
        provenance: name, source, licence and the like, JSON values.
    """

    train: LabelledImages
    test: LabelledImages
    provenance: dict[str, Any] = field(default_factory=dict[str, Any])

    def fingerprints(self) -> dict[str, Any]:
        """Sizes and SHA-256 of both parts, JSON values."""
        return {
            "train_samples": len(self.train),
            "test_samples": len(self.test),
            "train_fingerprint": self.train.fingerprint(),
            "test_fingerprint": self.test.fingerprint(),
        }


@dataclass(frozen=True)
class Progress:
    """A step that begins: `done` of `total` lie behind it."""

    done: int
    total: int
    step: str


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
    float_accuracy = _share_right(source.predict(test_inputs), test.labels)
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
        artifact = _convert(plan, *improved, labels, preprocessing)
        broken = [line for target in plan.targets for line in violations(artifact, target, plan.recipe.scheme)]
        if broken:
            raise ConstraintError(f"{'; '.join(dict.fromkeys(broken))}; choose another target or scheme")
        check_preflight(artifact, plan.targets, config.releases)
        begin(f"measuring {plan.name}")
        entry = _entry(plan, artifact, test, preprocessing)
        if _exceeds(entry, plan, float_accuracy, config.max_drop):
            artifact, entry, search = _within_drop(
                plan, entry, *improved, train, test, config, labels, preprocessing, float_accuracy, tell
            )
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


def _convert(
    plan: PlannedArtifact,
    source: SourceModel,
    calibration: Calibration,
    labels: tuple[str, ...],
    preprocessing: Preprocessing,
) -> Artifact:
    converted = plan.recipe.convert(source, calibration)
    producer = f"edge_cnn {edge_cnn.__version__}"
    if plan.recipe.format == ONNX:
        content = add_onnx_metadata(converted, labels=labels, preprocessing=preprocessing, producer=producer)
    else:
        content = add_tflite_metadata(
            converted, name=source.name, labels=labels, preprocessing=preprocessing, producer=producer
        )
    return Artifact(plan.name, plan.recipe.format, content)


def _entry(plan: PlannedArtifact, artifact: Artifact, test: LabelledImages, prep: Preprocessing) -> ArtifactEntry:
    runtime = open_runtime(artifact)
    outputs = [
        runtime.run([to_model_input(test.images[i : i + _BATCH], prep, runtime.inputs[0])])[0]
        for i in range(0, len(test), _BATCH)
    ]
    return ArtifactEntry(
        plan.name,
        plan.recipe.format,
        plan.recipe.scheme,
        tuple(target.name for target in plan.targets),
        artifact.sha256,
        runtime.inputs[0],
        runtime.outputs[0],
        tolerances_of(plan.recipe, artifact),
        _share_right(np.concatenate(outputs), test.labels),
    )


def _exceeds(entry: ArtifactEntry, plan: PlannedArtifact, float_accuracy: float, limit: float | None) -> bool:
    accuracy = entry.host_accuracy
    if limit is None or accuracy is None or not plan.recipe.is_quantized:
        return False
    return float_accuracy - accuracy > limit + _ROUNDING


def _within_drop(
    plan: PlannedArtifact,
    plain: ArtifactEntry,
    source: SourceModel,
    calibration: Calibration,
    train: LabelledImages,
    test: LabelledImages,
    config: ExportConfig,
    labels: tuple[str, ...],
    preprocessing: Preprocessing,
    float_accuracy: float,
    on_try: Callable[[str], None],
) -> tuple[Artifact, ArtifactEntry, DropSearch]:
    """Another way to make the file that keeps the bound. Raises: AccuracyDropError: there is none."""
    bound, plain_accuracy = config.max_drop or 0.0, plain.host_accuracy or 0.0
    made: dict[bytes, tuple[Artifact, ArtifactEntry]] = {}

    def drop_on_test(kept: Kept) -> float:
        recipe = replace(plan.recipe, scheme=kept.scheme, convert=lambda *_, **__: kept.data)
        mixed = replace(plan, recipe=recipe)
        artifact = _convert(mixed, source, calibration, labels, preprocessing)
        if any(violations(artifact, target, kept.scheme) for target in plan.targets):
            return 1.0
        try:
            check_preflight(artifact, plan.targets, config.releases)
        except ConstraintError:
            return 1.0
        made[kept.data] = artifact, _entry(mixed, artifact, test, preprocessing)
        return float_accuracy - (made[kept.data][1].host_accuracy or 0.0)

    search = None
    if takes_mixes(plan):
        search = keep_within(
            plan,
            source,
            calibration,
            train,
            preprocessing=preprocessing,
            bound=bound,
            plain_drop=float_accuracy - plain_accuracy,
            seed=config.seed,
            drop_on_test=drop_on_test,
            on_try=lambda what: on_try(f"{plan.name}: trying {what}"),
        )
        if search.kept is not None:
            return (*made[search.kept.data], search)
    tried = ""
    if search is not None and search.tries:
        where = "" if search.float_allowed else ", all without float layers, which the target does not take,"
        tried = f"; the best of {len(search.tries)} ways{where} drops {search.best_drop:.2%}"
    raise AccuracyDropError(
        f"{plain.name} ({plain.scheme}) gets {plain_accuracy:.2%} of the test part right, "
        f"the float model {float_accuracy:.2%}: "
        f"a drop of {float_accuracy - plain_accuracy:.2%}, allowed {bound:.2%}{tried}; "
        "train longer, calibrate with more samples or raise --max-drop"
    )


def _share_right(outputs: NDArray[Any], labels: NDArray[np.int64]) -> float:
    return float(np.mean(outputs.argmax(axis=1) == labels))
