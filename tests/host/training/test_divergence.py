"""A loss or a gradient that is not finite: the step is not taken, and the first cause is named."""

from dataclasses import replace

import numpy as np
import pytest

from edge_cnn.core.errors import CheckFailedError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.architectures import ARCHITECTURES, build_model
from edge_cnn.host.architectures.architecture import LOGITS, SCORES, Architecture
from edge_cnn.host.training import TrainConfig, train
from edge_cnn.host.training.graph import TrainingGraph
from edge_cnn.host.training.objectives import find_objective
from edge_cnn.host.training.optimizers import make_optimizer
from edge_cnn.host.training.steps import Steps

SGD = TrainConfig(epochs=4, batch_size=16, augmentation=None, optimizer="sgd", warm_up=0.0, schedule="constant")


@pytest.fixture
def rectified(monkeypatch):
    """Name of an architecture whose hidden layers hold nothing back; tanh would keep what overflows at 1."""
    import keras

    def build(image_shape, classes):
        image = keras.Input(image_shape, name="image")
        features = keras.layers.Dense(16, activation="relu", name="hidden")(keras.layers.Flatten(name="flat")(image))
        logits = keras.layers.Dense(classes, name=LOGITS)(features)
        return keras.Model(image, keras.layers.Softmax(name=SCORES)(logits))

    monkeypatch.setitem(ARCHITECTURES, "rectified", Architecture("rectified", "for these tests", 1, build))
    return "rectified"


@pytest.fixture
def config(rectified):
    return replace(SGD, architecture=rectified, learning_rate=0.01)


def test_a_step_that_is_not_finite_is_not_taken_and_ends_the_call(bars, rectified):
    import keras

    samples = bars(30)
    inputs = samples.images.astype(np.float32) / 255
    graphs = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        model = build_model(rectified, (12, 12, 1), 3)
        parts = (model, find_objective("cross-entropy"), make_optimizer("sgd"), inputs, samples.labels)
        graphs.append(TrainingGraph(*parts, np.ones(3, np.float32), None))
    order = np.arange(30, dtype=np.int32).reshape(5, 6)

    def steps(count):
        rates = np.array([0.1, 1e30, 0.1, 0.1, 0.1], np.float32)[:count]
        return Steps(order[:count], np.zeros((count, 2), np.int32), rates, np.zeros(count, np.float32))

    assert graphs[0].run(steps(5)) == 2  # the third meets the weights of the second
    assert graphs[1].run(steps(2)) == 2
    for stopped, before in zip(graphs[0].model.get_weights(), graphs[1].model.get_weights(), strict=True):
        assert stopped.tobytes() == before.tobytes()
        assert np.isfinite(stopped).all()
    assert graphs[0].totals().loss == graphs[1].totals().loss


def told(config, samples):
    with pytest.raises(CheckFailedError) as caught:
        train(config, samples)
    return str(caught.value)


def test_too_large_a_rate_is_told_with_step_rate_layer_and_what_went_before(bars, config):
    said = told(replace(config, learning_rate=1e30), bars(60))
    assert said.startswith("training diverged in epoch 1: at step 2 of 3, learning rate 1e+30, what ")
    assert " gives was the first not finite; a step before the loss was " in said
    assert " and the length of the gradient " in said
    assert "had grown to " in said
    assert said.endswith("; give a smaller --learning-rate than 1e+30, or --clip-norm 1")
    assert "\n" not in said


def test_inputs_that_were_not_normalized_are_named(bars, config):
    samples = bars(60)
    huge = LabelledImages(samples.images * np.float32(1e36), samples.labels, samples.class_names)
    said = told(replace(config, normalization="none"), huge)
    assert said.startswith("training diverged in epoch 1: at step 1 of 3, learning rate 0.01, ")
    assert "inputs are as large as 2." in said
    assert said.endswith("; normalize the inputs, to 0..1 or to mean 0 and deviation 1")


def test_weights_that_are_not_finite_are_named_and_the_best_are_kept(bars, config, small_network):
    def poison(view):
        if view.record.epoch == 2:
            kernel = view.graph.model.get_layer("hidden").kernel
            values = kernel.numpy()
            values[3, 4] = np.nan
            kernel.assign(values)

    # Not ReLU, which may make a zero of a NaN.
    result = train(replace(config, architecture=small_network), bars(60), on_view=poison)
    assert result.diverged
    assert result.divergence is not None
    assert (result.divergence.epoch, result.divergence.step, result.divergence.steps) == (3, 1, 3)
    assert result.divergence.cause == "weights of hidden were not finite"
    assert len(result.history) == 3
    assert all(np.isfinite(weights).all() for weights in result.model.get_weights())


def test_a_layer_whose_outputs_overflow_is_named(bars, config):
    def grow(view):
        if view.record.epoch == 1:
            kernel = view.graph.model.get_layer("hidden").kernel
            kernel.assign(np.full(kernel.shape, 3e38, np.float32))

    result = train(config, bars(60), on_view=grow)
    assert result.divergence is not None
    assert result.divergence.cause == "what hidden gives was the first not finite"
    assert "weights of hidden had grown to 3e+38" in result.divergence.told()
