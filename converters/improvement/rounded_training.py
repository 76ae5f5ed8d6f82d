"""One network that trains with rounding: its variables, its loss, a step, and what it is worth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.float_graph.float_graph import FloatGraph
from converters.float_graph.tensorflow_graph import forward
from converters.improvement.rounded_graph import rounding_hooks
from converters.improvement.shared_scales import fixed_ranges, scale_groups
from edge_cnn.host.tensorflow_import import import_tensorflow

_MOMENTUM = 0.99
"""Of the moving average of ranges: a hundred batches' memory."""
_BATCH = 256


class RoundedTraining:
    """A graph in training: weights and biases are variables, and so are the ranges of its activations."""

    def __init__(
        self, graph: FloatGraph, ranges: dict[int, tuple[float, float]], bits: int, rate: float, steps: int
    ) -> None:
        """Take a graph with constants of its own, and ranges that agree where scales are shared."""
        tf, keras = import_tensorflow()
        self._graph, self._tf = graph, tf
        indices = [i for layer in graph.layers for i in (layer.weights, layer.bias) if i is not None]
        self._constants = {i: tf.Variable(graph.constant(i), dtype=tf.float32) for i in indices}
        groups, fixed = scale_groups(graph), fixed_ranges(graph)
        free = sorted({group for index, group in groups.items() if index not in fixed})
        self._rows = {index: free.index(group) for index, group in groups.items() if index not in fixed}
        self._fixed = {i: (np.float32(low), np.float32(high)) for i, (low, high) in fixed.items()}
        self._ranges = tf.Variable([ranges[group] for group in free], dtype=tf.float32)
        variables = list(self._constants.values())
        optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps))
        optimizer.build(variables)
        logits = _logits(graph)

        def step(inputs: Any, aims: Any, observe: Any) -> Any:
            with tf.GradientTape() as tape:
                outputs, seen = self._run(inputs, bits, logits)
                loss = tf.reduce_mean(_divergence(tf, aims, outputs))
            optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
            moved = _MOMENTUM * self._ranges + (1 - _MOMENTUM) * seen
            self._ranges.assign(tf.where(observe, moved, self._ranges))
            return loss

        def losses(inputs: Any, aims: Any) -> Any:
            outputs, _ = self._run(inputs, bits, logits)
            same = tf.argmax(outputs, axis=1) == tf.argmax(aims, axis=1)
            return _divergence(tf, aims, outputs), tf.cast(same, tf.float32)

        self._step = tf.function(step, reduce_retracing=True)
        self._losses = tf.function(losses, reduce_retracing=True)

    def step(self, inputs: NDArray[np.float32], aims: NDArray[np.float32], observe: bool) -> float:
        """One step of Adam; ranges follow the batch if `observe`. Returns the loss before it."""
        return float(self._step(inputs, aims, self._tf.constant(observe)))

    def evaluate(self, inputs: NDArray[np.float32], aims: NDArray[np.float32]) -> tuple[float, float]:
        """Mean loss of the rounded network, and the share of samples whose largest output is the aim's."""
        parts = [self._losses(inputs[i : i + _BATCH], aims[i : i + _BATCH]) for i in range(0, len(inputs), _BATCH)]
        loss, same = (np.concatenate([np.asarray(part[place]) for part in parts]) for place in (0, 1))
        return float(loss.mean()), float(same.mean())

    def state(self) -> tuple[dict[int, NDArray[np.float32]], dict[int, tuple[float, float]]]:
        """Weights and biases by tensor index, and the range of every activation."""
        ends = self._ranges.numpy()
        ranges = {index: tuple(map(float, ends[row])) for index, row in self._rows.items()}
        fixed = {index: (float(low), float(high)) for index, (low, high) in self._fixed.items()}
        return {i: v.numpy() for i, v in self._constants.items()}, ranges | fixed  # type: ignore[return-value]  # tuple(map) loses its length

    def _run(self, inputs: Any, bits: int, logits: int) -> tuple[Any, Any]:
        """Rounded logits (n, classes), and the extremes (groups, 2) of activations before they were rounded."""
        tf = self._tf
        lows: dict[int, list[Any]] = {}
        highs: dict[int, list[Any]] = {}
        kept: dict[int, Any] = {}

        def range_of(index: int) -> tuple[Any, Any]:
            if index in self._fixed:
                return self._fixed[index]
            return self._ranges[self._rows[index], 0], self._ranges[self._rows[index], 1]

        on_constant, rounding = rounding_hooks(self._graph, range_of, bits, self._constants)

        def on_activation(index: int, value: Any) -> Any:
            if index in self._rows:
                lows.setdefault(self._rows[index], []).append(tf.reduce_min(value))
                highs.setdefault(self._rows[index], []).append(tf.reduce_max(value))
            kept[index] = rounding(index, value)
            return kept[index]

        forward(self._graph, constants=self._constants, on_constant=on_constant, on_activation=on_activation)(inputs)
        rows = range(len(lows))
        seen = tf.stack([[tf.reduce_min(lows[row]), tf.reduce_max(highs[row])] for row in rows])
        return kept[logits], seen


def float_scores(graph: FloatGraph, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities (n, classes) of a graph without rounding; an output that no softmax wrote is taken for logits."""
    tf, _ = import_tensorflow()
    run = tf.function(forward(graph), reduce_retracing=True)
    scores = np.concatenate([np.asarray(run(inputs[i : i + _BATCH])) for i in range(0, len(inputs), _BATCH)])
    return scores if _logits(graph) != graph.outputs[0] else np.asarray(tf.nn.softmax(scores))


def _divergence(tf: Any, aims: Any, logits: Any) -> Any:
    """Kullback-Leibler divergence (n,) of softmax(logits) from the aims; of labels, the cross-entropy."""
    entropy = -tf.reduce_sum(tf.math.xlogy(aims, aims), axis=1)
    return tf.nn.softmax_cross_entropy_with_logits(aims, logits) - entropy


def _logits(graph: FloatGraph) -> int:
    """The tensor that the last softmax reads, or the output where there is none."""
    last = graph.operators[-1]
    return last.inputs[0] if last.op == "SOFTMAX" and last.options.get("beta") == 1 else graph.outputs[0]
