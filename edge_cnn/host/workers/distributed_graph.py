"""A training graph of which each worker computes a share of every batch, and all make the same update.

Gradients, loss and right answers are added over the workers before the update, so that each step is that of one worker
with the whole batch, up to the order in which numbers are added.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.training.graph import TrainingGraph
from edge_cnn.host.workers.team import Team

_SEED_OF_A_WORKER = 0x9E3779B9
"""The golden ratio's bits: far apart for neighbouring workers."""


class DistributedGraph(TrainingGraph):
    """As `TrainingGraph`; every worker has to call `start_epoch`, `agree`, `run` and `evaluate` in the same order.

    Normalization over the batch takes the statistics of the whole batch, added over the workers. Dropout draws other
    values on each worker, and so other ones than a single worker.
    """

    def __init__(self, team: Team, *arguments: Any) -> None:
        """Make the graphs.

        Args:
            team: who computes.
            arguments: of `TrainingGraph`.
        """
        self._team = team
        super().__init__(*arguments)
        layers = list(_layers(self.model))
        self._normalizing = [layer for layer in layers if hasattr(layer, "synchronized")]
        self._seeds = [layer.seed_generator.state for layer in layers if getattr(layer, "seed_generator", None)]

    def start_epoch(self) -> None:
        """Forget the sums of the last epoch, and take over the chief's values: other processors round otherwise."""
        super().start_epoch()
        floats = [variable for variable in self.variables if variable.dtype == "float32"]
        flat = np.concatenate([np.ravel(self._keras.ops.convert_to_numpy(variable)) for variable in floats])
        ends = np.cumsum([np.prod(variable.shape, dtype=int) for variable in floats])
        for variable, values in zip(floats, np.split(self._team.of_chief(flat), ends[:-1]), strict=True):
            variable.assign(values.reshape(variable.shape))

    def agree(self, steps: int) -> int:
        """The chief's number: sums inside a call are matched by their number in it."""
        return self._team.agree(steps)

    def _evaluation_sums(self, inputs: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
        start, stop = self._team.cluster.part(len(labels))
        # So all workers have the same validation loss, and agree on the best epoch and on the end.
        return self._team.total(super()._evaluation_sums(inputs[start:stop], labels[start:stop])).astype(np.float64)

    def _gradients(self, rows: Any, seed: Any) -> tuple[list[Any], Any, Any]:
        tf = self._tf
        start, stop = self._team.cluster.part(tf.shape(rows)[0])

        def share() -> list[Any]:
            with self._whole_batch_statistics(), self._own_dropout():
                gradients, loss, right = self._back_propagate(rows, seed, start, stop)
            return self._team.add([*gradients, loss, right])

        *gradients, loss, right = self._team.strategy.run(share)
        return gradients, loss, right

    @contextmanager
    def _whole_batch_statistics(self) -> Generator[None]:
        before = [layer.synchronized for layer in self._normalizing]
        for layer in self._normalizing:
            layer.synchronized = True
        try:
            yield
        finally:
            # What is saved is the network as it was built.
            for layer, value in zip(self._normalizing, before, strict=True):
                layer.synchronized = value

    @contextmanager
    def _own_dropout(self) -> Generator[None]:
        """Draw from other seeds than the other workers, and leave the same state as they."""
        shift = self._team.cluster.index * _SEED_OF_A_WORKER % 2**31
        self._shift_seeds(shift)
        yield
        self._shift_seeds(shift)

    def _shift_seeds(self, shift: int) -> None:
        for state in self._seeds:
            value = state.value
            state.assign(self._tf.bitwise.bitwise_xor(value, self._tf.constant([shift, 0], value.dtype)))


def _layers(model: Any) -> Generator[Any]:
    for layer in model.layers:
        yield layer
        if hasattr(layer, "layers"):
            yield from _layers(layer)
