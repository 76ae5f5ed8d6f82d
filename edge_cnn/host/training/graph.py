"""What TensorFlow runs of a training: forward pass, loss, back-propagation, update; many steps a call.

W(t) = W(t-1) - rate * dE/dW, with the gradient as the optimizer shapes it (Rumelhart, Hinton and Williams 1986). Data,
augmentation and loop are part of one graph, so that small networks do not wait for Python between steps.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import InputError
from edge_cnn.host.architectures.architecture import LOGITS
from edge_cnn.host.tensorflow_import import import_tensorflow
from edge_cnn.host.training.augmentation import Augmentation, augment, change, draw_changes
from edge_cnn.host.training.objectives import Objective, smoothed
from edge_cnn.host.training.precision import FLOAT32, is_scaling, with_precision
from edge_cnn.host.training.steps import LastStep, Steps, Totals
from edge_cnn.host.training.units import leaf_layers

EVALUATION_BATCH = 256


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
        precision: str = FLOAT32,
        label_smoothing: float = 0.0,
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
            precision: a row of `PRECISIONS`; where it is not float32, `self.model` is a copy that computes in it, and
                `optimizer` scales the loss where its floats need that.
            label_smoothing: share of the target that goes to all classes alike, in steps alone: not in `evaluate`.
        """
        self._tf, self._keras = import_tensorflow()
        self.model = with_precision(model, precision)
        self.mean = self._keras.models.clone_model(model)
        self.mean.set_weights(model.get_weights())
        self._objective, self._optimizer, self._augmentation = objective, optimizer, augmentation
        self._trained_losses = smoothed(objective, label_smoothing)
        self._output, self._mean_output = (self._before_softmax(network) for network in (self.model, self.mean))
        self._trained = self._output.trainable_variables
        # A frozen weight is its own mean, without the rounding.
        frozen = {id(w) for layer in leaf_layers(self.model) if not layer.trainable for w in layer.weights}
        pairs = zip(self.mean.weights, self.model.weights, strict=True)
        self._averaged = [(mean, variable) for mean, variable in pairs if id(variable) not in frozen]
        optimizer.build(self._trained)
        tf = self._tf
        self._inputs, self._labels, self._weights = (tf.constant(a) for a in (inputs, labels, class_weights))
        self.layers = list(dict.fromkeys(_layer_of(variable) for variable in self._trained))
        # Loss, right answers, samples, steps; then the squared length of each layer's gradient.
        self._sums = tf.Variable(tf.zeros(4 + len(self.layers), tf.float64), trainable=False, name="sums")
        # Loss and squared length of the gradient, of the step before and of the one that ended the last call.
        self._before, self._after = (
            tf.Variable(tf.zeros(2), trainable=False, name=name) for name in ("before", "after")
        )
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
        own = (self._sums, self._before, self._after)
        return [*self.model.variables, *self._optimizer.variables, *self.mean.variables, *own]

    def get_state(self) -> list[NDArray[Any]]:
        """The values of `variables`."""
        return [np.array(self._keras.ops.convert_to_numpy(variable)) for variable in self.variables]

    def set_state(self, values: list[NDArray[Any]]) -> None:
        """Give `variables` the values that `get_state` gave.

        Raises:
            InputError: they are of another network or optimizer.
        """
        wanted, got = ([tuple(v.shape) for v in part] for part in (self.variables, values))
        if wanted != got:
            raise InputError(
                f"the state has {len(got)} variables of other shapes than the {len(wanted)} of this training: it is of "
                "another network or optimizer; start without it"
            )
        for variable, value in zip(self.variables, values, strict=True):
            variable.assign(value)

    def start_epoch(self) -> None:
        """Forget the sums of the last epoch."""
        self._sums.assign(self._tf.zeros_like(self._sums))

    def run(self, steps: Steps) -> int:
        """Take steps, up to the first whose loss or gradient is not finite.

        Returns:
            how many were taken; where it is not all of them, the weights are those before the one that was not.
        """
        return int(self._run(steps.order, steps.seeds, steps.rates, steps.keeps))

    def last_steps(self) -> tuple[LastStep, LastStep]:
        """The last step but one, and the last one, which may have been the one that was not taken."""
        before, after = (v.numpy().astype(float).tolist() for v in (self._before, self._after))
        return LastStep(before[0], math.sqrt(before[1])), LastStep(after[0], math.sqrt(after[1]))

    def batch(self, rows: NDArray[np.int32], seed: NDArray[np.int32]) -> tuple[Any, Any]:
        """Inputs, changed by augmentation, and labels of a step, as tensors."""
        images = self._tf.gather(self._inputs, rows)
        if self._augmentation is not None:
            images = augment(images, seed, self._augmentation)
        return images, self._tf.gather(self._labels, rows)

    def totals(self) -> Totals:
        """What the epoch's steps so far came to."""
        loss, right, samples, steps, *squares = self._sums.numpy().tolist()
        norms = np.sqrt(np.array(squares) / max(steps, 1)).tolist()
        accuracy = right / max(samples, 1) if self._objective.classifies else float("nan")
        return Totals(loss / max(steps, 1), accuracy, dict(zip(self.layers, norms, strict=True)))

    def evaluate(self, inputs: NDArray[np.float32], labels: NDArray[np.int64]) -> tuple[float, float]:
        """Loss and accuracy of the running mean on samples as they are: without weights, penalties or dropout."""
        loss, right = (self._evaluation_sums(inputs, labels) / len(labels)).tolist()
        return loss, right if self._objective.classifies else float("nan")

    def agree(self, steps: int) -> int:
        """How many steps the next call takes, where others take them at the same time."""
        return steps

    def _evaluation_sums(self, inputs: NDArray[np.float32], labels: NDArray[np.int64]) -> NDArray[np.float64]:
        """Sum of the losses, and number of right answers: (2,)."""
        sums = np.zeros(2)
        for start in range(0, len(labels), EVALUATION_BATCH):
            part = slice(start, start + EVALUATION_BATCH)
            sums += self._measure(inputs[part], labels[part]).numpy()
        return sums

    def _before_softmax(self, network: Any) -> Any:
        if not self._objective.classifies:
            return network
        return self._keras.Model(network.inputs, network.get_layer(LOGITS).output)

    def _steps(self, order: Any, seeds: Any, rates: Any, keeps: Any) -> Any:
        tf = self._tf

        def body(step: Any, going: Any) -> Any:
            del going
            taken = self._step(*(tf.gather(values, step) for values in (order, seeds, rates, keeps)))
            return step + tf.cast(taken, tf.int32), taken

        count = tf.shape(order)[0]
        start = [tf.constant(0), tf.constant(True)]
        return tf.while_loop(lambda step, going: going & (step < count), body, start)[0]

    def _step(self, rows: Any, seed: Any, rate: Any, keep: Any) -> Any:
        """Whether loss and gradient are finite; else nothing is changed."""
        tf = self._tf
        gradients, loss, right = self._gradients(rows, seed)
        squares = self._squares(gradients)
        length = tf.add_n(list(squares.values()))
        self._before.assign(self._after)
        self._after.assign(tf.stack([loss, length]))
        taken = tf.math.is_finite(loss + length)
        counted = [loss, right, tf.cast(tf.shape(rows)[0], tf.float32), tf.constant(1.0), *squares.values()]
        tf.cond(taken, lambda: self._update(gradients, rate, keep, tf.stack(counted)), lambda: None)
        return taken

    def _squares(self, gradients: list[Any]) -> dict[str, Any]:
        """Squared length of the gradient of each layer."""
        tf = self._tf
        squares = dict.fromkeys(self.layers, tf.constant(0.0))
        for gradient, variable in zip(gradients, self._trained, strict=True):
            squares[_layer_of(variable)] += tf.reduce_sum(gradient * gradient)
        if not is_scaling(self._optimizer):
            return squares
        # Where they are not finite the optimizer makes its scale smaller, and takes no step: no sign of anything else.
        scale = tf.convert_to_tensor(self._optimizer.dynamic_scale)
        known = {layer: square / scale / scale for layer, square in squares.items()}
        return {layer: tf.where(tf.math.is_finite(square), square, 0.0) for layer, square in known.items()}

    def _update(self, gradients: list[Any], rate: Any, keep: Any, counted: Any) -> None:
        self._optimizer.learning_rate.assign(rate)
        self._optimizer.apply(gradients, self._trained)
        for mean, variable in self._averaged:
            mean.assign(keep * mean + (1 - keep) * variable)
        self._sums.assign_add(self._tf.cast(counted, self._tf.float64))

    def _gradients(self, rows: Any, seed: Any) -> tuple[list[Any], Any, Any]:
        """Of the loss of a batch; with the loss, and the number of right answers."""
        return self._back_propagate(rows, seed, 0, self._tf.shape(rows)[0])

    def _back_propagate(self, rows: Any, seed: Any, start: Any, stop: Any) -> tuple[list[Any], Any, Any]:
        """What the samples `start` up to `stop` of a batch have in its gradients, its loss and its right answers.

        Shares of all parts, added, are those of the batch: each sample is changed as it would be in the whole batch.
        """
        tf = self._tf
        batch = tf.shape(rows)[0]
        images, labels = (tf.gather(values, rows[start:stop]) for values in (self._inputs, self._labels))
        if self._augmentation is not None:
            images = change(images, draw_changes(batch, seed)[start:stop], self._augmentation)
        count = tf.cast(batch, tf.float32)
        with tf.GradientTape() as tape:
            output = self._output(images, training=True)
            losses = self._trained_losses(tf, output, labels, images) * tf.gather(self._weights, labels)
            penalties = tf.add_n([tf.constant(0.0), *self._output.losses])
            loss = tf.reduce_sum(losses) / count + tf.cast(stop - start, tf.float32) / count * penalties
            scaled = self._optimizer.scale_loss(loss)
        return tape.gradient(scaled, self._trained), loss, self._right_answers(output, labels)

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
