"""Run both models side by side, then each layer's codes alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.explanation.correspondence import Correspondence, Pair
from converters.explanation.layer_facts import INPUT_OP, Damage, LayerFacts
from converters.explanation.propagation import Propagation
from converters.explanation.quantized_model import ActivationCodes, QuantizedModel, QuantizedOperator
from converters.explanation.signal import Signal
from converters.float_graph.float_graph import FloatGraph

_VALUES_AT_ONCE = 2**24
"""Float activations of a batch, all layers together: 64 MB."""
_MOST_AT_ONCE = 128
_LEAST_PROBABILITY = 1 / 512
"""Half a step of an 8-bit softmax, which gives 0 for all that is less."""


@dataclass
class _Tally:
    """Sums of one layer over batches."""

    whole: Signal = field(default_factory=Signal)
    alone: Signal = field(default_factory=Signal)
    right: int = 0
    flips: int = 0
    divergence: float = 0.0


@dataclass(frozen=True)
class Measured:
    """What the runs gave.

    Attributes:
        layers: facts of the input and of every operator that both files have, in order of execution.
        float_scores, quantized_scores: float32 (n, classes), of the whole models.
    """

    layers: tuple[LayerFacts, ...]
    float_scores: NDArray[np.float32]
    quantized_scores: NDArray[np.float32]


def measure(
    graph: FloatGraph,
    model: QuantizedModel,
    pairs: Correspondence,
    inputs: NDArray[np.float32],
    labels: NDArray[np.int64],
    on_progress: Callable[[int, int], None] | None = None,
) -> Measured:
    """Compare the models layer by layer.

    Args:
        graph: the reference.
        model: the quantized file.
        pairs: operators of both.
        inputs: float32 (n, height, width, channels), model inputs.
        labels: int64 (n,).
        on_progress: told how many samples of how many are done.
    """
    propagation = Propagation(graph)
    tallies = [_Tally() for _ in range(len(pairs.pairs) + 1)]
    constants = [_constants(model.operators[pair.quantized], pair) for pair in pairs.pairs]
    float_scores: list[NDArray[np.float32]] = []
    quantized_scores: list[NDArray[np.float32]] = []
    right = 0
    last = graph.outputs[0]
    for rows in _batches(graph, len(inputs)):
        wanted, batch = labels[rows], inputs[rows]
        values = propagation.whole(batch)
        scores = np.asarray(values[last]).reshape(len(batch), -1)
        float_scores.append(scores)
        right += int((scores.argmax(axis=1) == wanted).sum())
        outputs = _joined(model.run(batch))
        quantized_scores.append(outputs[-1].reshape(len(batch), -1))

        place = graph.inputs[0]
        codes = model.input
        rounded = batch if codes is None else codes.rounded(batch)
        tallies[0].whole.add(batch, rounded, codes)
        _alone(tallies[0], propagation, values, place, rounded, codes, scores, wanted)
        for pair, tally, own in zip(pairs.pairs, tallies[1:], constants, strict=True):
            operator, place = model.operators[pair.quantized], pair.reference.outputs[0]
            computed = values[place]
            if own:
                computed = propagation.operator(pair.reference.index, values, own)
            computed = np.asarray(computed)
            tally.whole.add(np.asarray(values[place]), outputs[pair.quantized], operator.output)
            rounded = computed if operator.output is None else operator.output.rounded(computed)
            _alone(tally, propagation, values, place, rounded, operator.output, scores, wanted)
        if on_progress is not None:
            on_progress(rows.stop, len(inputs))
    facts = _facts(graph, model, pairs.pairs, tallies, right, len(inputs))
    return Measured(facts, np.concatenate(float_scores), np.concatenate(quantized_scores))


def _alone(
    tally: _Tally,
    propagation: Propagation,
    values: dict[int, Any],
    place: int,
    rounded: NDArray[np.float32],
    codes: ActivationCodes | None,
    scores: NDArray[np.float32],
    labels: NDArray[np.int64],
) -> None:
    tally.alone.add(np.asarray(values[place]), rounded, codes)
    changed = propagation.scores(values, place, rounded)
    tally.right += int((changed.argmax(axis=1) == labels).sum())
    tally.flips += int((changed.argmax(axis=1) != scores.argmax(axis=1)).sum())
    tally.divergence += float(divergence(scores, changed).sum())


def divergence(wanted: NDArray[np.float32], got: NDArray[np.float32]) -> NDArray[np.float64]:
    """Kullback-Leibler divergence of each sample's probabilities, in nats: two (n, classes) -> (n,).

    Scores that are no probabilities go through a softmax first.
    """
    p, q = probabilities(wanted), probabilities(got)
    return np.maximum((p * (np.log(p) - np.log(q))).sum(axis=1), 0.0)


def probabilities(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """(n, classes), none smaller than what an 8-bit softmax tells from 0."""
    values = scores.astype(np.float64)
    # A softmax in codes sums to 1 but for its rounding.
    if values.min() < 0 or np.abs(values.sum(axis=1) - 1).max() > 0.1:
        values = np.exp(values - values.max(axis=1, keepdims=True))
    values = np.maximum(values, _LEAST_PROBABILITY)
    return values / values.sum(axis=1, keepdims=True)


def _batches(graph: FloatGraph, count: int) -> Iterator[slice]:
    size = sum(int(np.prod(graph.tensors[i].shape)) for i in graph.activations)
    step = int(min(max(_VALUES_AT_ONCE // max(size, 1), 1), _MOST_AT_ONCE))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def _joined(parts: Iterator[list[NDArray[np.float32]]]) -> list[NDArray[np.float32]]:
    return [np.concatenate(values) for values in zip(*parts, strict=True)]


def _constants(operator: QuantizedOperator, pair: Pair) -> dict[int, NDArray[np.float32]]:
    """The quantized file's weights and bias in the places of the reference's."""
    if pair.layer is None:
        return {}
    found: dict[int, NDArray[np.float32]] = {}
    weights = operator.weight_values
    if weights is not None:
        found[pair.layer.weights] = weights
    if pair.layer.bias is not None and operator.bias is not None:
        found[pair.layer.bias] = operator.bias.values.astype(np.float32)
    return found


def _facts(
    graph: FloatGraph, model: QuantizedModel, pairs: Sequence[Pair], tallies: list[_Tally], right: int, count: int
) -> tuple[LayerFacts, ...]:
    def damage(tally: _Tally) -> Damage:
        return Damage((right - tally.right) / count, tally.flips / count, tally.divergence / count)

    first = tallies[0]
    name = graph.tensors[graph.inputs[0]].name
    found = [
        LayerFacts(name, INPUT_OP, model.input, None, None, None, 0, first.whole, first.alone, damage(first)),
    ]
    weighted = [pair for pair in pairs if pair.layer is not None]
    for pair, tally in zip(pairs, tallies[1:], strict=True):
        operator, layer = model.operators[pair.quantized], pair.layer
        bias = None if layer is None or layer.bias is None else graph.constant(layer.bias).astype(np.float64)
        found.append(
            LayerFacts(
                pair.reference.name,
                pair.reference.op,
                operator.output,
                operator,
                None if layer is None else graph.constant(layer.weights),
                bias,
                0 if layer is None else layer.channel_axis,
                tally.whole,
                tally.alone,
                damage(tally),
                is_first=pair is weighted[0],
                is_last=pair is weighted[-1],
            )
        )
    return tuple(found)
