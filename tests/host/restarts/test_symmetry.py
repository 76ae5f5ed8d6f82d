from dataclasses import replace

import numpy as np
import pytest

from edge_cnn.host.datasets import load_dataset
from edge_cnn.host.restarts.symmetry import UnitWatch, symmetry_of
from edge_cnn.host.training import TrainConfig, train
from edge_cnn.host.training.augmentation import Augmentation

SPIRAL = TrainConfig(
    "mlp",
    epochs=60,
    batch_size=10,
    learning_rate=0.01,
    objective="squared-error",
    augmentation=None,
    patience=None,
    initialization="identical",
)


def watched(config, samples):
    watch = UnitWatch()
    return train(config, samples, on_view=watch.on_view), watch


@pytest.fixture(scope="module")
def spiral():
    """Training from identical weights, held against random ones."""
    samples = load_dataset("spiral").train
    result, watch = watched(SPIRAL, samples)
    return symmetry_of(result, watch, lambda config, beside: train(config, samples, on_view=beside.on_view))


def test_hidden_units_that_begin_alike_stay_alike_to_the_bit(spiral):
    assert len(spiral.chosen.epochs) == 61
    for units in spiral.chosen.epochs:
        assert units.layers == ("hidden1", "hidden2", "logits")
        assert units.distinct[:2] == (1, 1)
        assert units.gaps[:2] == (0.0, 0.0)
    assert spiral.chosen.epochs[-1].distinct[2] == 2
    # So the trained layer is of rank one, as a matrix says by itself.
    assert np.linalg.matrix_rank(spiral.chosen.weights["hidden2"]) == 1


def test_they_move_all_the_same(spiral):
    first, last = (spiral.chosen.weights["hidden2"], spiral.beside.weights["hidden2"])
    assert len(np.unique(first[0])) > 1  # bias and weights have parted
    assert len(np.unique(last, axis=0)) == 32


def test_the_loss_stays_above_what_random_weights_reach(spiral):
    identical, random = (min(record.val_loss for record in course.history) for course in (spiral.chosen, spiral.beside))
    assert identical > 0.4
    assert random < 0.5 * identical


def test_the_record_counts_the_units_of_each_layer(spiral):
    rows = spiral.to_json()
    assert [(row["layer"], row["units"], row["distinct"]) for row in rows] == [
        ("hidden1", 32, 1),
        ("hidden2", 32, 1),
        ("logits", 2, 2),
    ]


def test_from_zeros_nothing_but_the_last_biases_moves():
    samples = load_dataset("spiral").train
    result, watch = watched(replace(SPIRAL, epochs=5, initialization="zeros"), samples)
    assert all(units.gaps[:2] == (0.0, 0.0) for units in watch.epochs)
    *others, last = result.model.get_weights()
    assert not any(weights.any() for weights in others)
    assert last.any()


@pytest.mark.slow
def test_dropout_tells_units_apart_and_augmentation_does_not(bars):
    config = TrainConfig("lenet", epochs=2, batch_size=16, augmentation=Augmentation(), initialization="identical")
    _, watch = watched(config, bars(90))
    last = dict(zip(watch.epochs[-1].layers, watch.epochs[-1].distinct, strict=True))
    # The mask of dropout lies on the units of `embedding` alone.
    assert [last[name] for name in ("conv1", "conv2", "conv3", "conv4")] == [1, 1, 1, 1]
    assert last["embedding"] > 90
