import numpy as np
import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.host.training.optimizers import OPTIMIZERS, find_optimizer, make_optimizer


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_weight_decay_pulls_kernels_and_leaves_biases_and_normalization(name):
    import keras

    variables = [keras.Variable(np.ones(3, np.float32), name=kind) for kind in ("kernel", "bias", "gamma", "beta")]
    optimizer = make_optimizer(name, weight_decay=0.5)
    optimizer.build(variables)
    optimizer.learning_rate.assign(0.1)
    optimizer.apply([np.zeros(3, np.float32)] * 4, variables)
    kernel, *others = (variable.numpy() for variable in variables)
    np.testing.assert_allclose(kernel, 1 - 0.1 * 0.5, rtol=1e-6)
    assert all(np.array_equal(value, np.ones(3)) for value in others)


def test_a_clip_norm_shortens_the_gradient_of_all_layers_together():
    import keras

    variables = [keras.Variable(np.zeros(1, np.float32), name=name) for name in ("a", "b")]
    optimizer = make_optimizer("sgd", clip_norm=1.0)
    optimizer.build(variables)
    optimizer.learning_rate.assign(1.0)
    optimizer.apply([np.array([30.0], np.float32), np.array([40.0], np.float32)], variables)
    # Nesterov's first step is (1 + momentum) gradients long.
    np.testing.assert_allclose([v.numpy()[0] for v in variables], [-1.9 * 0.6, -1.9 * 0.8], rtol=1e-5)


def test_an_unknown_optimizer_is_answered_with_the_known_ones():
    with pytest.raises(InputError, match="unknown optimizer 'lion'; known: adam, adamw, sgd, rmsprop"):
        find_optimizer("lion")
