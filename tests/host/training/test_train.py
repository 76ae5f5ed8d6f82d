import math
import signal
from dataclasses import replace

import numpy as np
import pytest

from edge_cnn.core.errors import CheckFailedError, DataError, InputError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.host.evaluation import evaluate
from edge_cnn.host.training import TrainConfig, loop, predict_scores, train
from edge_cnn.host.training.graph import TrainingGraph
from edge_cnn.host.training.inputs import model_inputs

QUICK = TrainConfig(epochs=3, batch_size=16, augmentation=None)


@pytest.fixture
def quick(small_network):
    """As QUICK, for tests of what happens around the network."""
    return replace(QUICK, architecture=small_network)


def bytes_of(result):
    return b"".join(weights.tobytes() for weights in result.model.get_weights())


def cross_entropy(scores, labels):
    return float(-np.log(scores[np.arange(len(labels)), labels]).mean())


@pytest.fixture(scope="module")
def parts():
    """Catches what goes into the updates, by its pixels."""
    return []


@pytest.fixture(scope="module")
def trained(bars, parts):
    """One training of 24 epochs, and the records as they were told."""
    told = []

    original = TrainingGraph.__init__

    def spy(self, model, objective, optimizer, inputs, *rest):
        parts.append(inputs)
        original(self, model, objective, optimizer, inputs, *rest)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrainingGraph, "__init__", spy)
        result = train(TrainConfig(epochs=24, batch_size=16, patience=None), bars(180), on_epoch=told.append)
    return result, told


def test_bars_are_learned(bars, trained):
    result, _ = trained
    test = bars(150, seed=1)
    assert evaluate(predict_scores(result.model, test, result.preprocessing), test).accuracy > 0.95
    assert result.labels == ("upright", "lying", "slanting")
    assert not result.interrupted
    assert not result.diverged


def test_the_history_tells_every_epoch_from_the_untrained_network_on(trained):
    result, told = trained
    assert list(result.history) == told
    assert [record.epoch for record in told] == list(range(25))
    assert told[0].loss == pytest.approx(math.log(3), abs=1.5)
    assert told[0].learning_rate == 0
    assert told[-1].learning_rate == pytest.approx(0.01 * result.config.peak_rate, rel=0.2)
    assert max(record.learning_rate for record in told) <= result.config.peak_rate * (1 + 1e-6)
    fields = {"epoch", "loss", "val_loss", "accuracy", "val_accuracy", "learning_rate", "seconds", "gradient_norms"}
    assert set(told[0].to_json()) == fields


def test_the_gradient_norms_name_every_layer_with_weights(trained):
    result, told = trained
    layers = [layer.name for layer in result.model.layers if layer.trainable_weights]
    assert all(list(record.gradient_norms) == layers for record in told[1:])
    assert all(norm > 0 for record in told[1:] for norm in record.gradient_norms.values())


def test_the_model_has_the_weights_with_the_lowest_loss_on_samples_that_no_update_saw(bars, trained, parts):
    result, _ = trained
    samples = bars(180)
    fitted = {inputs.tobytes() for inputs in parts[0]}
    inputs = model_inputs(samples.images, result.preprocessing)
    unseen = np.array([row.tobytes() not in fitted for row in inputs])
    assert unseen.sum() == 18
    held_out = samples.select(unseen)
    scores = predict_scores(result.model, held_out, result.preprocessing)
    best = min(result.history[1:], key=lambda record: record.val_loss)
    assert result.best_epoch == best.epoch
    assert cross_entropy(scores, held_out.labels) == pytest.approx(best.val_loss, rel=1e-3, abs=1e-6)
    assert np.mean(scores.argmax(axis=1) == held_out.labels) == pytest.approx(best.val_accuracy)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", ["lenet", "resnet8"])
def test_the_same_seed_gives_the_same_weights_bit_for_bit(bars, architecture):
    configs = [TrainConfig(architecture, epochs=2, batch_size=16, seed=seed) for seed in (7, 7, 8)]
    first, second, other = (train(config, bars(60)) for config in configs)
    assert bytes_of(first) == bytes_of(second)
    assert first.history == second.history
    assert bytes_of(first) != bytes_of(other)


@pytest.mark.parametrize(
    "optimizer", ["adamw", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sgd", "rmsprop"))]
)
def test_every_optimizer_lowers_the_loss(bars, quick, optimizer):
    history = train(replace(quick, optimizer=optimizer, epochs=20), bars(90)).history
    assert history[-1].loss < 0.7 * history[0].loss


@pytest.mark.slow
def test_ctrl_c_keeps_the_best_so_far(bars):
    def interrupt(record):
        if record.epoch == 2:
            signal.raise_signal(signal.SIGINT)

    result = train(QUICK, bars(60), on_epoch=interrupt)
    whole = train(TrainConfig(epochs=3, batch_size=16, augmentation=None), bars(60))
    assert result.interrupted
    assert result.history == whole.history[:3]
    assert result.best_epoch == min(result.history[1:], key=lambda record: record.val_loss).epoch


def test_ctrl_c_before_the_first_epoch_leaves_the_untrained_network(bars, quick):
    def interrupt(step):
        assert (step.epoch, step.steps) == (1, 3)
        raise KeyboardInterrupt

    result = train(quick, bars(60), on_step=interrupt)
    assert result.interrupted
    assert result.best_epoch == 0
    assert len(result.history) == 1


def test_patience_ends_a_training_that_gets_no_better(bars, quick):
    samples = bars(60)
    # Labels that have nothing to do with the images: the validation loss can only grow.
    noise = LabelledImages(samples.images, np.random.default_rng(0).permutation(samples.labels), samples.class_names)
    result = train(replace(quick, epochs=60, patience=2), noise)
    assert len(result.history) - 1 == result.best_epoch + 2 < 60


@pytest.mark.slow
def test_balanced_classes_help_the_rare_one(bars):
    samples, test = bars(0, counts=(150, 150, 6)), bars(90, seed=1)
    sure = {}
    for weights in (None, "balanced"):
        config = TrainConfig(epochs=4, batch_size=16, augmentation=None, class_weights=weights, patience=None)
        result = train(config, samples)
        sure[weights] = predict_scores(result.model, test, result.preprocessing)[test.labels == 2, 2].mean()
    assert sure["balanced"] > sure[None]


def test_a_loss_that_is_not_finite_from_the_start_is_an_error(bars):
    config = replace(QUICK, optimizer="sgd", learning_rate=1e30)
    with pytest.raises(CheckFailedError, match=r"diverged in epoch 1: .* smaller --learning-rate than 1e\+30"):
        train(config, bars(60))


def test_a_loss_that_is_not_finite_later_keeps_what_was_good(bars, quick, monkeypatch):
    original = loop.learning_rates

    def poisoned(schedule, peak, course, epoch, history):
        return original(schedule, peak, course, epoch, history) * np.float32(np.nan if epoch == 3 else 1)

    monkeypatch.setattr(loop, "learning_rates", poisoned)
    result = train(quick, bars(60))
    assert result.diverged
    assert len(result.history) == 3
    assert all(np.isfinite(weights).all() for weights in result.model.get_weights())


def test_the_last_batch_may_be_the_only_one(bars, quick):
    assert len(train(replace(quick, epochs=1, batch_size=500), bars(30)).history) == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"architecture": "vgg"}, "unknown architecture 'vgg'; known: lenet, resnet8"),
        ({"optimizer": "lion"}, "unknown optimizer 'lion'; known: adam"),
        ({"learning_rate": 0.0}, "learning rate 0.0: it must be positive"),
        ({"learning_rate": -1.0}, "learning rate -1.0: it must be positive"),
        ({"learning_rate": math.nan}, "learning rate nan: it must be positive"),
        ({"learning_rate": math.inf}, "learning rate inf: it must be positive and finite"),
        ({"epochs": 0}, "epochs 0: it must be at least 1; try 30"),
        ({"batch_size": 0}, "batch size 0: it must be at least 1; try 32"),
        ({"patience": 0}, "patience 0: it must be at least 1; try 10"),
        ({"class_weights": "even"}, "unknown class weights 'even'; known: balanced"),
        ({"validation_share": 1.0}, "validation share 1.0: it must lie between 0 and 1"),
        ({"label_smoothing": 1.0}, "label smoothing 1.0: it is a share"),
        ({"label_smoothing": 0.1, "objective": "squared-error"}, "label smoothing is for cross-entropy"),
        ({"seed": -1}, "seed -1: it must lie between"),
    ],
)
def test_a_setting_that_cannot_be_is_one_clear_line(change, said):
    with pytest.raises(InputError, match=said):
        TrainConfig(**change)


@pytest.mark.parametrize(
    ("images", "labels", "said"),
    [
        (np.zeros((4, 8, 8), np.float32), [0, 0, 1, 1], r"shape \(4, 8, 8\), not \(n, height, width, channels\)"),
        (np.full((4, 8, 8, 1), np.nan, np.float32), [0, 0, 1, 1], "NaN"),
        (np.zeros((4, 8, 8, 1), np.uint8), [0, 0, 1, 2], "label 2 is out of range, the 2 classes are 0..1"),
        (np.zeros((4, 8, 8, 1), np.uint8), [0, 0, 0, 0], "no sample of class b"),
        (np.zeros((2, 8, 8, 1), np.uint8), [0, 1], "no class has two samples"),
        (np.zeros((0, 8, 8, 1), np.uint8), [], "no samples"),
    ],
)
def test_samples_that_cannot_be_trained_on_are_one_clear_line(images, labels, said):
    with pytest.raises(DataError, match=said):
        train(QUICK, LabelledImages(images, np.array(labels, np.int64), ("a", "b")))


def test_float_inputs_are_taken_as_they_are(bars, quick):
    samples = bars(60)
    inputs = LabelledImages((samples.images / np.float32(127.5)) - 1, samples.labels, samples.class_names)
    result = train(quick, inputs)
    assert (result.preprocessing.mean, result.preprocessing.std) == ((127.5,), (127.5,))


def test_samples_of_another_shape_than_the_preprocessings_are_refused(bars):
    with pytest.raises(DataError, match=r"shape \(12, 12, 1\), the model takes \(12, 12, 3\)"):
        train(QUICK, bars(30), preprocessing=Preprocessing(12, 12, 3))


@pytest.mark.slow
def test_lenet_learns_digits(digits_split):
    samples, test = digits_split
    result = train(TrainConfig(epochs=8, seed=1), samples)
    assert evaluate(predict_scores(result.model, test, result.preprocessing), test).accuracy > 0.965
