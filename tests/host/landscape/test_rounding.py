"""How far rounding moves weights, against weights that are rounded one by one."""

import keras
import numpy as np
import pytest

from edge_cnn.host.architectures import build_model
from edge_cnn.host.landscape.rounding import rounding_step


def test_the_step_is_that_of_the_median_filter_rounded_by_hand():
    image = keras.Input((4, 4, 2))
    model = keras.Model(image, keras.layers.Conv2D(3, 3)(image))
    kernel = np.random.default_rng(0).normal(size=(3, 3, 2, 3)).astype(np.float32)
    model.set_weights([kernel, np.ones(3)])
    steps = []
    for number in range(3):
        weights = kernel[..., number].ravel().tolist()
        scale = max(abs(w) for w in weights) / 127
        gaps = [round(w / scale) * scale - w for w in weights]
        steps.append((sum(g * g for g in gaps) / sum(w * w for w in weights)) ** 0.5)
    assert rounding_step(model) == pytest.approx(sorted(steps)[1], rel=1e-3)


def test_weights_that_int8_holds_exactly_do_not_move():
    image = keras.Input((4,))
    model = keras.Model(image, keras.layers.Dense(2, use_bias=False)(image))
    model.set_weights([np.array([[127, -127], [3, 0], [-5, 64], [0, 1]], np.float32)])
    assert rounding_step(model) == pytest.approx(0, abs=1e-7)


def test_a_network_of_ours_moves_by_about_a_hundredth():
    assert 0.002 < rounding_step(build_model("resnet8", (32, 32, 3), 10)) < 0.02
