"""What `export` does to the float model before each quantized file: equalize, correct biases, train; in this order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.calibration.ranges import ranges_of
from converters.calibration.samples import Calibration
from converters.float_graph.float_graph import FloatGraph
from converters.float_graph.tensorflow_graph import forward
from converters.improvement.bias_correction import correct_biases
from converters.improvement.equalization import equalize
from converters.improvement.quantization_aware_training import QatConfig, QatEpoch, train_quantized
from converters.schemes.plan import PlannedArtifact
from converters.sources.source_model import SourceModel
from edge_cnn.core.errors import InputError
from edge_cnn.host.tensorflow_import import import_tensorflow

BITS = {
    "int8": 8,
    "int8-uint8io": 8,
    "int8-floatio": 8,
    "int8-symmetric": 8,
    "int8-qdq-int8": 8,
    "qoperator-int8": 8,
    "int4-weights": 4,
}
"""Scheme -> bits of its weights, of the schemes with 8-bit activations and a weight scale a channel: those that biases
can be corrected and networks trained for."""


@dataclass(frozen=True)
class Improvement:
    """What to do before quantizing.

    Attributes:
        equalize: scale channels of neighbouring layers against each other, before every quantized file.
        correct_bias: take back mean errors, before the schemes of `BITS`.
        qat: train with rounding, before the schemes of `BITS`, with their bits and the export's seed; None for no
            training.
    """

    equalize: bool = False
    correct_bias: bool = False
    qat: QatConfig | None = None

    def check(self, planned: tuple[PlannedArtifact, ...]) -> None:
        """Raises: InputError: something is asked for that no planned file would take."""
        schemes = [plan.recipe.scheme for plan in planned if plan.recipe.is_quantized]
        if self.equalize and not schemes:
            raise InputError("there is no quantized file to equalize for; give --scheme int8")
        if (self.correct_bias or self.qat) and not BITS.keys() & set(schemes):
            raise InputError(
                f"corrected biases and training are for {', '.join(BITS)}; got {', '.join(schemes) or 'no such file'}; "
                "give --scheme int8"
            )

    def steps(self, planned: tuple[PlannedArtifact, ...]) -> int:
        """How many steps an `Improver` reports for the files."""
        bits = {BITS[plan.recipe.scheme] for plan in planned if plan.recipe.scheme in BITS}
        epochs = self.qat.epochs if self.qat else 0
        return int(self.equalize) + len(bits) * (int(self.correct_bias) + epochs)


@dataclass
class Improver:
    """Improves a source once for each width of weights, on demand.

    Attributes:
        source: the float model.
        calibration: its samples.
        inputs: of the training part, float32 (n, ...).
        labels: int64 (n,).
        improvement: what to do.
        seed: of the training.
        begin: told of each step that begins.
        provenance: what was done, JSON values.
    """

    source: SourceModel
    calibration: Calibration
    inputs: NDArray[np.float32]
    labels: NDArray[np.int64]
    improvement: Improvement
    seed: int
    begin: Callable[[str], None]
    provenance: dict[str, Any] = field(default_factory=dict[str, Any])
    _equalized: FloatGraph | None = None
    _made: dict[int | None, tuple[SourceModel, Calibration]] = field(
        default_factory=dict[int | None, tuple[SourceModel, Calibration]]
    )

    def improve(self, plan: PlannedArtifact) -> tuple[SourceModel, Calibration]:
        """The source and the calibration to make a file of; a float file is made of those that came.

        Raises:
            DataError: too few samples to train on.
            ModelError: an operator that cannot be trained.
        """
        if not plan.recipe.is_quantized or self.improvement == Improvement():
            return self.source, self.calibration
        bits = BITS.get(plan.recipe.scheme)
        if bits not in self._made:
            self._made[bits] = self._improve(bits)
        return self._made[bits]

    def _improve(self, bits: int | None) -> tuple[SourceModel, Calibration]:
        graph, calibration = self._equalize(), self.calibration
        if bits and self.improvement.correct_bias:
            self.begin(f"correcting biases for {bits}-bit weights")
            ranges = ranges_of(graph, calibration)
            graph = correct_biases(graph, ranges, calibration.inputs, bits=bits)
            calibration = replace(calibration, ranges=ranges)
            self.provenance.setdefault("corrected_biases", []).append(f"{bits}-bit weights")
        if bits and self.improvement.qat:
            graph, calibration = self._train(graph, calibration, bits, self.improvement.qat)
        return with_graph(self.source, graph), calibration

    def _equalize(self) -> FloatGraph:
        if not self.improvement.equalize:
            return self.source.float_graph
        if self._equalized is None:
            self.begin("equalizing layers")
            equalized = equalize(self.source.float_graph)
            self._equalized = equalized.graph
            self.provenance["equalized"] = {
                "pairs": [list(pair.names) for pair in equalized.pairs],
                "skipped": list(equalized.skipped),
            }
        return self._equalized

    def _train(
        self, graph: FloatGraph, calibration: Calibration, bits: int, config: QatConfig
    ) -> tuple[FloatGraph, Calibration]:
        config = replace(config, bits=bits, seed=self.seed)
        self.begin(f"training {bits}-bit weights, epoch 1 of {config.epochs}")

        def on_epoch(record: QatEpoch) -> None:
            if 0 < record.epoch < config.epochs:
                self.begin(f"training {bits}-bit weights, epoch {record.epoch + 1} of {config.epochs}")

        result = train_quantized(
            graph,
            ranges_of(graph, calibration),
            self.inputs,
            self.labels,
            config,
            teacher=self.source.float_graph,
            on_epoch=on_epoch,
        )
        for _ in range(config.epochs - max(1, result.history[-1].epoch + 1)):
            self.begin(f"training {bits}-bit weights has ended early")
        self.provenance.setdefault("trained", {})[f"{bits}-bit weights"] = result.to_json()
        return result.graph, replace(self.calibration, ranges=result.ranges)


def with_graph(source: SourceModel, graph: FloatGraph) -> SourceModel:
    """The source with another float graph of the same ends, for both formats."""
    tf, _ = import_tensorflow()
    function = tf.function(
        tf.autograph.experimental.do_not_convert(forward(graph)),
        input_signature=[tf.TensorSpec((None, *source.input_shape), tf.float32, name="input")],
    )
    return replace(source, function=function, float_tflite=graph.data)
