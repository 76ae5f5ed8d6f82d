"""What TensorFlow runs of a training: forward pass, loss, back-propagation, update; many steps a call.

W(t) = W(t-1) - rate * dE/dW, with the gradient as the optimizer shapes it (Rumelhart, Hinton and Williams 1986). Data,
augmentation and loop are part of one graph, so that small networks do not wait for Python between steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.architectures.architecture import LOGITS
from edge_cnn.host.tensorflow_import import import_tensorflow
from edge_cnn.host.training.augmentation import Augmentation, augment
from edge_cnn.host.training.objectives import Objective
from edge_cnn.host.training.units import leaf_layers

EVALUATION_BATCH = 256


@dataclass(frozen=True)
class Steps:
    """Steps to take, one after another.

    Attributes:
        order: rows of the training part, int32 (steps, batch).
        seeds: of augmentation, int32 (steps, 2).
        rates: learning rate of each, float32 (steps,).
        keeps: how much of its past the running mean of the weights keeps at each, float32 (steps,) in [0, 1).
    """

    order: NDArray[np.int32]
    seeds: NDArray[np.int32]
    rates: NDArray[np.float32]
    keeps: NDArray[np.float32]


@dataclass(frozen=True)
class Totals:
    """Means since the last `start_epoch`.

    Attributes:
        loss: over the samples of the steps, with class weights and penalties.
        accuracy: share of right answers; NaN for an objective without any.
        gradient_norms: by layer, root mean square over the steps.
    """

    loss: float
    accuracy: float
    gradient_norms: dict[str, float]


class TrainingGraph:
    """A network, the running mean of its weights, its optimizer and its training data, as functions in graphs.

    The running mean (Polyak and Juditsky 1992) is what validation sees, not the last step's weights, which jump about
    while the learning rate is high: so the best epoch is chosen with less luck, and is good at any time.
    """

    def __init__(
        self,
        model: Any,
        objective: Objective,
        optimizer: Any,
        inputs: NDArray[np.float32],
        labels: NDArray[np.int64],
        class_weights: NDArray[np.float32],
        augmentation: Augmentation | None,
    ) -> None:
        """Make the graphs.

        Args:
            model: `keras.Model` of the table of architectures, or the like.
            objective: what is made small.
            optimizer: of Keras; its rate is set before every step.
            inputs: training part, float32 (n, height, width, channels).
            labels: int64 (n,).
            class_weights: float32 (classes,).
            augmentation: None leaves the images as they are.
        """
        self._tf, self._keras = import_tensorflow()
        self.model = model
        self.mean = self._keras.models.clone_model(model)
        self.mean.set_weights(model.get_weights())
        self._objective, self._optimizer, self._augmentation = objective, optimizer, augmentation
        self._output, self._mean_output = (self._before_softmax(network) for network in (self.model, self.mean))
        self._trained = self._output.trainable_variables
        # A frozen weight is its own mean, without the rounding.
        frozen = {id(w) for layer in leaf_layers(model) if not layer.trainable for w in layer.weights}
        pairs = zip(self.mean.weights, self.model.weights, strict=True)
        self._averaged = [(mean, variable) for mean, variable in pairs if id(variable) not in frozen]
        optimizer.build(self._trained)
        tf = self._tf
        self._inputs, self._labels, self._weights = (tf.constant(a) for a in (inputs, labels, class_weights))
        self.layers = list(dict.fromkeys(_layer_of(variable) for variable in self._trained))
        # Loss, right answers, samples, steps; then the squared length of each layer's gradient.
        self._sums = tf.Variable(tf.zeros(4 + len(self.layers), tf.float64), trainable=False, name="sums")
        self._run: Callable[..., Any] = tf.function(
            self._steps,
            autograph=False,
            input_signature=[
                tf.TensorSpec((None, None), tf.int32),
                tf.TensorSpec((None, 2), tf.int32),
                tf.TensorSpec((None,), tf.float32),
                tf.TensorSpec((None,), tf.float32),
            ],
        )
        batch = (
            tf.TensorSpec((None, *inputs.shape[1:]), tf.float32),
            tf.TensorSpec((None,), tf.int64),
        )
        self._measure: Callable[..., Any] = tf.function(self._measured, autograph=False, input_signature=batch)

    @property
    def variables(self) -> list[Any]:
        """All that changes while it trains, in a fixed order."""
        return [*self.model.variables, *self._optimizer.variables, *self.mean.variables, self._sums]

    def get_state(self) -> list[NDArray[Any]]:
        """The values of `variables`."""
        return [np.array(self._keras.ops.convert_to_numpy(variable)) for variable in self.variables]

    def set_state(self, values: list[NDArray[Any]]) -> None:
        """Give `variables` the values that `get_state` gave."""
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)

    def start_epoch(self) -> None:
        """Forget the sums of the last epoch."""
        self._sums.assign(self._tf.zeros_like(self._sums))

    def run(self, steps: Steps) -> None:
        """Take steps."""
        self._run(steps.order, steps.seeds, steps.rates, steps.keeps)

    def totals(self) -> Totals:
        """What the epoch's steps so far came to."""
        loss, right, samples, steps, *squares = self._sums.numpy().tolist()
        norms = np.sqrt(np.array(squares) / max(steps, 1)).tolist()
        accuracy = right / max(samples, 1) if self._objective.classifies else float("nan")
        return Totals(loss / max(steps, 1), accuracy, dict(zip(self.layers, norms, strict=True)))

    def evaluate(self, inputs: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[float, float]:
        """Loss and accuracy of the running mean on samples as they are: without weights, penalties or dropout."""
        sums = np.zeros(2)
        for start in range(0, len(labels), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            sums += self._measure(inputs[part], labels[part]).numpy()
        loss, right = (sums / len(labels)).tolist()
        return loss, right if self._objective.classifies else float("nan")

    def _before_softmax(self, network: Any) -> Any:
        if not self._objective.classifies:
            return network
        return self._keras.Model(network.inputs, network.get_layer(LOGITS).output)

    def _steps(self, order: Any, seeds: Any, rates: Any, keeps: Any) -> None:
        tf = self._tf

        def body(step: Any) -> Any:
            self._step(tf.gather(order, step), tf.gather(seeds, step), tf.gather(rates, step), tf.gather(keeps, step))
            return step + 1

        count = tf.shape(order)[0]
        tf.while_loop(lambda step: step < count, body, [tf.constant(0)])

    def _step(self, rows: Any, seed: Any, rate: Any, keep: Any) -> None:
        tf = self._tf
        images, labels = tf.gather(self._inputs, rows), tf.gather(self._labels, rows)
        if self._augmentation is not None:
            images = augment(images, seed, self._augmentation)
        with tf.GradientTape() as tape:
            output = self._output(images, training=True)
            losses = self._objective.losses(tf, output, labels, images) * tf.gather(self._weights, labels)
            loss = tf.reduce_mean(losses) + tf.add_n([tf.constant(0.0), *self._output.losses])
        gradients = tape.gradient(loss, self._trained)
        self._optimizer.learning_rate.assign(rate)
        self._optimizer.apply(gradients, self._trained)
        for mean, variable in self._averaged:
            mean.assign(keep * mean + (1 - keep) * variable)
        squares = dict.fromkeys(self.layers, tf.constant(0.0))
        for gradient, variable in zip(gradients, self._trained, strict=True):
            squares[_layer_of(variable)] += tf.reduce_sum(gradient * gradient)
        right = self._right_answers(output, labels)
        counted = [loss, right, tf.cast(tf.shape(rows)[0], tf.float32), tf.constant(1.0), *squares.values()]
        self._sums.assign_add(tf.cast(tf.stack(counted), tf.float64))

    def _measured(self, inputs: Any, labels: Any) -> Any:
        """Sum of the losses, and number of right answers: (2,)."""
        output = self._mean_output(inputs, training=False)
        losses = self._objective.losses(self._tf, output, labels, inputs)
        return self._tf.stack([self._tf.reduce_sum(losses), self._right_answers(output, labels)])

    def _right_answers(self, output: Any, labels: Any) -> Any:
        tf = self._tf
        if not self._objective.classifies:
            return tf.constant(0.0)
        return tf.reduce_sum(tf.cast(tf.equal(tf.argmax(output, axis=1), labels), tf.float32))


def _layer_of(variable: Any) -> str:
    return variable.path.rpartition("/")[0] or variable.path
