"""The loss surface, against a linear softmax model computed in numpy and against Keras' own evaluation."""

import keras
import numpy as np
import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.host.architectures import build_model
from edge_cnn.host.landscape.cost import BUDGET, affordable_effort, multiplications
from edge_cnn.host.landscape.directions import filter_normalized_direction
from edge_cnn.host.landscape.surface import loss_surface

CLASSES = 3


@pytest.fixture(scope="module")
def lenet():
    keras.utils.set_random_seed(0)
    return build_model("lenet", (8, 8, 1), CLASSES)


def linear():
    keras.utils.set_random_seed(1)
    image = keras.Input((2, 2, 1))
    logits = keras.layers.Dense(CLASSES, name="logits", bias_initializer="ones")(keras.layers.Flatten()(image))
    return keras.Model(image, keras.layers.Softmax()(logits))


def data(shape, count=40):
    rng = np.random.default_rng(0)
    return rng.normal(size=(count, *shape)).astype(np.float32), rng.integers(0, CLASSES, count)


def test_the_surface_of_a_linear_softmax_is_that_of_numpy():
    model, (inputs, labels) = linear(), data((2, 2, 1))
    surface = loss_surface(model, inputs, labels, points=5, reach=2, seed=7)
    kernel, bias = model.get_weights()
    rng = np.random.default_rng(7)
    (first, _), (second, _) = (filter_normalized_direction(model, rng) for _ in range(2))
    assert surface.xs.tolist() == surface.ys.tolist() == [-2, -1, 0, 1, 2]
    for row, y in enumerate(surface.ys):
        for column, x in enumerate(surface.xs):
            logits = inputs.reshape(40, -1).astype(np.float64) @ (kernel + x * first + y * second) + bias
            losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(40), labels]
            assert surface.losses[row, column] == pytest.approx(losses.mean(), rel=1e-5)


def test_each_filter_of_a_direction_is_as_long_as_the_filter_itself_and_the_rest_is_zero(lenet):
    direction = filter_normalized_direction(lenet, np.random.default_rng(0))
    for variable, step in zip(lenet.weights, direction, strict=True):
        weight = variable.numpy()
        if weight.ndim < 2:
            assert not step.any(), variable.path
            continue
        for filter_number in range(weight.shape[-1]):
            pair = [np.linalg.norm(part[..., filter_number]) for part in (weight, step)]
            assert pair[0] == pytest.approx(pair[1], rel=1e-5)
        assert not np.allclose(weight, step)


def test_a_filter_of_a_depthwise_convolution_is_one_channel_of_its_kernel():
    image = keras.Input((8, 8, 4))
    model = keras.Model(image, keras.layers.DepthwiseConv2D(3, depthwise_initializer="he_normal")(image))
    kernel = model.get_weights()[0]
    kernel[:, :, 1] *= 100
    model.set_weights([kernel, model.get_weights()[1]])
    step = filter_normalized_direction(model, np.random.default_rng(0))[0]
    lengths = [np.linalg.norm(part[..., 0], axis=(0, 1)) for part in (kernel, step)]
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-5)


def test_frozen_weights_stay_where_they_are():
    model = linear()
    model.get_layer("logits").trainable = False
    assert not any(step.any() for step in filter_normalized_direction(model, np.random.default_rng(0)))


def test_in_the_middle_is_the_loss_that_keras_evaluates(lenet):
    inputs, labels = data((8, 8, 1), 300)
    surface = loss_surface(lenet, inputs, labels, points=3)
    scorer = keras.Model(lenet.inputs, lenet.outputs)
    scorer.compile(loss=keras.losses.SparseCategoricalCrossentropy())
    assert surface.minimum == pytest.approx(scorer.evaluate(inputs, labels, verbose=0), rel=1e-5)
    assert surface.minimum == surface.losses[1, 1]
    assert surface.samples == 300


def test_the_same_seed_gives_the_same_surface_and_another_seed_another(lenet):
    inputs, labels = data((8, 8, 1))
    surfaces = [loss_surface(lenet, inputs, labels, points=3, seed=seed).losses for seed in (1, 1, 2)]
    assert np.array_equal(surfaces[0], surfaces[1])
    assert not np.allclose(surfaces[0], surfaces[2])


def test_scaling_filters_before_batch_norm_changes_neither_the_network_nor_its_surface():
    """What filter normalization is for (Li et al. 2018): here weights ten times as large, and statistics with them."""
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1))
    features = keras.layers.Conv2D(4, 3, use_bias=False, name="conv")(image)
    features = keras.layers.ReLU()(keras.layers.BatchNormalization(epsilon=1e-9, name="norm")(features))
    logits = keras.layers.Dense(CLASSES, name="logits")(keras.layers.Flatten()(features))
    model = keras.Model(image, keras.layers.Softmax()(logits))
    inputs, labels = data((8, 8, 1))
    plain = loss_surface(model, inputs, labels, points=5)
    model.get_layer("conv").set_weights([10 * model.get_layer("conv").get_weights()[0]])
    gamma, beta, mean, variance = model.get_layer("norm").get_weights()
    model.get_layer("norm").set_weights([gamma, beta, 10 * mean, 100 * variance])
    scaled = loss_surface(model, inputs, labels, points=5)
    assert scaled.losses == pytest.approx(plain.losses, rel=1e-3)


def test_the_model_keeps_its_weights_and_progress_counts_every_loss(lenet):
    before, told = [w.copy() for w in lenet.get_weights()], []
    loss_surface(lenet, *data((8, 8, 1)), points=3, on_progress=lambda *done: told.append(done))
    assert all(np.array_equal(a, b) for a, b in zip(before, lenet.get_weights(), strict=True))
    assert told == [(3, 9), (6, 9), (9, 9)]


@pytest.mark.parametrize("points", [1, 4])
def test_a_grid_without_the_network_in_its_middle_is_refused(lenet, points):
    with pytest.raises(InputError, match=f"{points} points.*odd"):
        loss_surface(lenet, *data((8, 8, 1)), points=points)


def test_multiplications_of_resnet8_are_those_that_its_layers_say():
    """By hand for 32x32x3: each convolution's places times its kernel, and 64 x 10 for the logits."""
    wide, half, quarter = 32 * 32, 16 * 16, 8 * 8
    by_hand = wide * 9 * (3 * 16 + 2 * 16 * 16)
    by_hand += half * (9 * (16 * 32 + 32 * 32) + 16 * 32) + quarter * (9 * (32 * 64 + 64 * 64) + 32 * 64)
    assert multiplications(build_model("resnet8", (32, 32, 3), 10)) == by_hand + 640


def test_a_larger_network_gets_a_coarser_picture_within_the_budget():
    small, large = linear(), build_model("resnet8", (32, 32, 3), 10)
    fine, coarse = affordable_effort(small, 10_000), affordable_effort(large, 10_000)
    assert fine.points > coarse.points >= 9
    assert coarse.points % 2 == 1
    assert multiplications(large) * coarse.samples * coarse.points**2 <= BUDGET
    assert affordable_effort(small, 30).samples == 30
    assert affordable_effort(large, 10_000, budget=1).points == 9
