"""Training with the rounding of the quantized file in the forward pass (Jacob et al. 2018, arXiv 1712.05877).

Starts from the trained float graph, whose BatchNorm is folded, and changes weights and biases by steps of Adam so
that the rounded network answers as the float one does. Ranges of activations follow their batches' extremes by an
exponential moving average, and are then frozen. The result lies on the grid: the quantizer finds the very codes that
the training saw.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.float_graph.float_graph import FloatGraph
from converters.improvement.own_constants import with_own_constants
from converters.improvement.rounded_graph import rounded_weights
from converters.improvement.rounded_training import RoundedTraining, float_scores
from converters.improvement.shared_scales import shared_ranges
from edge_cnn.core.errors import DataError, InputError
from edge_cnn.host.tensorflow_import import import_tensorflow

FLOAT_MODEL, LABELS = "float-model", "labels"
MIN_SAMPLES = 20


@dataclass(frozen=True)
class QatConfig:
    """How to train.

    Attributes:
        epochs: at most so many.
        bits: of weights, 8 or 4.
        learning_rate: at the start, from where it falls as a cosine; None takes 1e-3 for 4 bits and 2e-4 for 8.
        batch_size: samples a step; fewer where the data has fewer.
        learn_from: "float-model": the float model's scores are the aim (distillation, Hinton et al. 2015), which needs
            no labels and keeps what the model learned from data that is not at hand; "labels": the labels are.
        held_out_share: of the samples; no step sees them, and the epoch that does best on them is kept.
        observed_share: of the epochs, during which ranges follow the batches; frozen afterwards.
        patience: stop after so many epochs without a lower loss on the held-out samples.
        seed: of the order and the split.
    """

    epochs: int = 10
    bits: int = 8
    learning_rate: float | None = None
    batch_size: int = 64
    learn_from: str = FLOAT_MODEL
    held_out_share: float = 0.1
    observed_share: float = 0.5
    patience: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise InputError(f"epochs {self.epochs}: it must be at least 1")
        if self.bits not in (4, 8):
            raise InputError(f"weights of {self.bits} bits: it must be 8 or 4")
        if self.learn_from not in (FLOAT_MODEL, LABELS):
            raise InputError(f"unknown aim {self.learn_from!r}; known: {FLOAT_MODEL}, {LABELS}")

    @property
    def rate(self) -> float:
        return self.learning_rate or (1e-3 if self.bits == 4 else 2e-4)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"learning_rate": self.rate}


@dataclass(frozen=True)
class QatEpoch:
    """What an epoch came to.

    Attributes:
        epoch: from 1; 0 is the graph before training.
        loss: mean over the steps; NaN before training.
        held_out_loss: of the rounded network on the held-out samples: Kullback-Leibler divergence from the aim, nats.
        agreement: share of the held-out samples that it answers as the aim says.
    """

    epoch: int
    loss: float
    held_out_loss: float
    agreement: float


@dataclass(frozen=True)
class QatResult:
    """A trained graph.

    Attributes:
        graph: float32, with weights on the grid of their codes, and new biases.
        ranges: of every activation, which the quantizer must take.
        history: one record an epoch, the graph before training first.
        best_epoch: whose weights the graph has.
        config: what was asked for.
    """

    graph: FloatGraph
    ranges: dict[int, tuple[float, float]]
    history: tuple[QatEpoch, ...]
    best_epoch: int
    config: QatConfig

    def to_json(self) -> dict[str, Any]:
        """What a manifest says of it, JSON values."""
        best = self.history[self.best_epoch]
        return self.config.to_json() | {
            "best_epoch": self.best_epoch,
            "epochs_run": self.history[-1].epoch,
            "held_out_loss": [self.history[0].held_out_loss, best.held_out_loss],
            "agreement": [self.history[0].agreement, best.agreement],
        }


def train_quantized(
    graph: FloatGraph,
    ranges: Mapping[int, tuple[float, float]],
    inputs: NDArray[np.float32],
    labels: NDArray[np.int64] | None = None,
    config: QatConfig | None = None,
    *,
    teacher: FloatGraph | None = None,
    on_epoch: Callable[[QatEpoch], None] | None = None,
) -> QatResult:
    """Train a float graph for its quantized file. The same seed gives the same bytes on one machine.

    Args:
        graph: float32.
        ranges: of every activation, where training starts.
        inputs: of the training part, float32 (n, ...).
        labels: int64 (n,), needed only to learn from labels.
        config: how.
        teacher: the float graph whose scores are the aim; the graph itself if None.
        on_epoch: told of each epoch when it ends, and of the graph before training first.

    Raises:
        DataError: too few samples, or no labels where they are to be learned from.
    """
    config = config or QatConfig()
    if len(inputs) < MIN_SAMPLES:
        raise DataError(f"{len(inputs)} training samples, at least {MIN_SAMPLES} are needed; give more data")
    if config.learn_from == LABELS and labels is None:
        raise DataError("there are no labels to learn from; give labels, or learn from the float model")
    tf, _ = import_tensorflow()
    tf.config.experimental.enable_op_determinism()
    graph = with_own_constants(graph)
    rng = np.random.default_rng(config.seed)
    order = rng.permutation(len(inputs))
    held_out = max(1, round(len(inputs) * config.held_out_share))
    steps = max(1, (len(inputs) - held_out) // config.batch_size)
    training = RoundedTraining(
        graph, shared_ranges(graph, dict(ranges)), config.bits, config.rate, steps * config.epochs
    )
    if config.learn_from == LABELS:
        aims = np.eye(graph.tensors[graph.outputs[0]].shape[-1], dtype=np.float32)[labels]
    else:
        aims = float_scores(teacher or graph, inputs)
    checked = order[:held_out]
    history = [QatEpoch(0, float("nan"), *training.evaluate(inputs[checked], aims[checked]))]
    best, kept = history[0], training.state()
    if on_epoch is not None:
        on_epoch(best)
    for epoch in range(1, config.epochs + 1):
        shuffled = rng.permutation(order[held_out:])
        observe = epoch <= max(1, config.epochs * config.observed_share)
        losses = [
            training.step(inputs[chosen], aims[chosen], observe)
            for chosen in np.array_split(shuffled[: max(1, steps * config.batch_size)], steps)
        ]
        record = QatEpoch(epoch, float(np.mean(losses)), *training.evaluate(inputs[checked], aims[checked]))
        history.append(record)
        if record.held_out_loss < best.held_out_loss:
            best, kept = record, training.state()
        if on_epoch is not None:
            on_epoch(record)
        if epoch - best.epoch >= config.patience:
            break
    constants, trained = kept
    # On the grid, so that the largest weight of a channel is the largest code and rounds to nothing else.
    for layer in graph.layers:
        constants[layer.weights] = np.asarray(rounded_weights(constants[layer.weights], layer, config.bits))
    return QatResult(graph.with_constants(constants), trained, tuple(history), best.epoch, config)
