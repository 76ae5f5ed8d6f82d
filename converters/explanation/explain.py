"""`explain`: from two models and data to the layers that cost the accuracy, why, and the fix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converters.calibration.samples import DEFAULT_SAMPLES as CALIBRATION_SAMPLES
from converters.calibration.samples import MIN_SAMPLES, Calibration, choose_calibration
from converters.calibration.usual_preprocessing import PROBE_SAMPLES, better_way, usual_ways
from converters.explanation.accuracy import artifact_accuracy, graph_accuracy, graph_scores
from converters.explanation.cause import ModelFacts
from converters.explanation.causes import findings
from converters.explanation.correspondence import correspond
from converters.explanation.equalized_reference import scaled_like
from converters.explanation.explanation import ExplainedLayer, Explanation, worst_first
from converters.explanation.fix import propose_fix
from converters.explanation.measuring import measure
from converters.explanation.models import Quantized, Reference
from converters.sources.class_order import in_model_order
from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import LabelledImages, stratified_sample
from edge_cnn.core.preprocessing import Preprocessing, input_range
from edge_cnn.core.sample_digests import content_hashes
from edge_cnn.host.training.inputs import model_inputs

HELD_OUT_SAMPLES = 500


@dataclass(frozen=True)
class ExplainConfig:
    """How thorough an explanation is.

    Attributes:
        seed: of the choice of samples.
        samples: of the test part, on which layers are measured.
        test_samples: of the test part, at most, on which accuracies are measured.
        calibration_samples: of the training part, for the fix.
        bound: drop that is fine, a share.
        fix: whether to look for a fix.
    """

    seed: int = 0
    samples: int = 500
    test_samples: int = 2000
    calibration_samples: int = CALIBRATION_SAMPLES
    bound: float = 0.01
    fix: bool = True


def explain(
    reference: Reference,
    quantized: Quantized,
    train: LabelledImages,
    test: LabelledImages,
    config: ExplainConfig,
    *,
    preprocessing: Preprocessing,
    on_step: Callable[[str], None] | None = None,
) -> Explanation:
    """Measure, name causes, propose a fix.

    Args:
        reference: the float model.
        quantized: the file to explain.
        train: what the fix calibrates and chooses with.
        test: what is measured on.
        config: sizes and bounds.
        preprocessing: of the reference, see `reference_preprocessing`.
        on_step: told what begins.

    Raises:
        ModelError: the models do not correspond, or an operator is not one that edge_cnn reads.
        DataError: the data does not fit the models, or is too small.
    """

    def begin(step: str) -> None:
        if on_step is not None:
            on_step(step)

    graph = reference.graph
    pairs = correspond(graph, quantized.model)
    scaled = scaled_like(graph, quantized.model, pairs)
    train = in_model_order(train, reference.labels, reference.classes)
    test = in_model_order(test, reference.labels, reference.classes)
    order = stratified_sample(test.labels, config.test_samples, np.random.default_rng(config.seed))
    test = test.select(order)
    inputs = model_inputs(test.images, preprocessing)
    few = min(config.samples, len(test))
    begin(f"comparing {len(pairs.pairs)} layers on {few} samples")
    measured = measure(scaled, quantized.model, pairs, inputs[:few], test.labels[:few])
    models = ModelFacts(
        preprocessing if test.is_pixels else None,
        quantized.preprocessing if test.is_pixels else None,
        reference.labels,
        quantized.labels,
        measured.float_scores,
        measured.quantized_scores,
    )
    layers = worst_first([ExplainedLayer(layer, tuple(findings(layer, models))) for layer in measured.layers])
    begin(f"measuring both models on {len(test)} samples")
    float_accuracy = graph_accuracy(graph, inputs, test.labels)
    # As a device runs it: with what it states of its own preprocessing.
    accuracy = artifact_accuracy(quantized.artifact, test, quantized.preprocessing or preprocessing)
    fix = None
    if config.fix:
        calibration, held_out = choose_samples(train, preprocessing, config.calibration_samples, config.seed)
        fix = propose_fix(
            graph,
            layers,
            calibration=calibration,
            held_out=held_out,
            test=test,
            preprocessing=preprocessing,
            drop_before=float_accuracy - accuracy,
            float_accuracy=float_accuracy,
            bound=config.bound,
            on_try=lambda what: begin(f"trying {what}"),
        )
    same = measured.float_scores.argmax(axis=1) == measured.quantized_scores.argmax(axis=1)
    return Explanation(
        layers,
        pairs.by_name,
        few,
        len(test),
        float_accuracy,
        accuracy,
        float(same.mean()),
        fix,
        equalized=scaled is not graph,
        classes=reference.classes,
    )


def choose_samples(
    train: LabelledImages, preprocessing: Preprocessing, count: int, seed: int
) -> tuple[Calibration, LabelledImages]:
    """Calibration samples, and others of the training part to choose with.

    A small training part is halved, so that there is something left.

    Raises:
        DataError: too few samples.
    """
    count = max(min(count, len(train) // 2), MIN_SAMPLES)
    calibration = choose_calibration(train, preprocessing, count, np.random.default_rng(seed))
    held_out = held_out_of(train, preprocessing, calibration, seed)
    if len(held_out) < MIN_SAMPLES:
        raise DataError(
            f"{len(held_out)} training samples are left beside the {len(calibration)} that calibrate the fix, at least "
            f"{MIN_SAMPLES} are needed to choose with; give more data, or --no-fix"
        )
    return calibration, held_out


def held_out_of(
    train: LabelledImages, preprocessing: Preprocessing, calibration: Calibration, seed: int
) -> LabelledImages:
    """Training samples that are none of the calibration's, bit for bit, `HELD_OUT_SAMPLES` at most."""
    known = set(content_hashes(calibration.inputs))
    order = stratified_sample(train.labels, len(calibration) + 2 * HELD_OUT_SAMPLES, np.random.default_rng(seed))
    hashes = content_hashes(model_inputs(train.images[order], preprocessing))
    left = [int(i) for i, digest in zip(order, hashes, strict=True) if digest not in known][:HELD_OUT_SAMPLES]
    return train.select(np.array(left, np.int64))


def reference_preprocessing(
    reference: Reference,
    quantized: Quantized,
    pixel_range: tuple[float, float] | None,
    samples: LabelledImages,
) -> tuple[Preprocessing, str]:
    """The reference's preprocessing, and where it comes from.

    Where nothing states it, it is the quantized file's, or pixels as they are, unless a usual one is clearly better.

    Args:
        reference: the float model.
        quantized: whose own statement is tried first.
        pixel_range: what pixels 0 and 255 become, as the user said; it goes before all.
        samples: of the test part, in any order of classes.
    """
    shape = reference.image_shape
    if pixel_range is not None:
        return input_range(*pixel_range, shape), "the given input range"
    if reference.preprocessing is not None:
        return reference.preprocessing, "what is stated with the reference"
    first, origin = usual_ways(shape)[0].preprocessing, "the default, for want of a statement"
    if quantized.preprocessing is not None and quantized.preprocessing.image_shape == shape:
        first, origin = quantized.preprocessing, "what is stated with the quantized file"
    if not samples.is_pixels:
        return first, "no matter, for the data are model inputs"
    few = samples.select(stratified_sample(samples.labels, PROBE_SAMPLES, np.random.default_rng(0)))
    few = in_model_order(few, reference.labels, reference.classes)

    def answers(way: Preprocessing) -> NDArray[np.bool_]:
        return graph_scores(reference.graph, model_inputs(few.images, way)).argmax(axis=1) == few.labels

    better = better_way(first, answers(first), answers)
    if better is None:
        return first, origin
    found = f"trial: with it the reference is right on {better.share:.0%} of {len(few)} samples"
    return better.way.preprocessing, found
