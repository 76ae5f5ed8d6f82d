import signal
from dataclasses import replace

import numpy as np
import pytest

from edge_cnn.core.errors import CheckFailedError, InputError
from edge_cnn.host.architectures import ARCHITECTURES
from edge_cnn.host.architectures.architecture import LOGITS, SCORES, Architecture
from edge_cnn.host.landscape.line import line_between
from edge_cnn.host.restarts.best_line import with_line
from edge_cnn.host.restarts.restarts import initial_seeds, train_restarts
from edge_cnn.host.training import TrainConfig, train
from edge_cnn.host.training.inputs import model_inputs
from edge_cnn.host.training.origin import Origin


@pytest.fixture(scope="module")
def config():
    """Of a network with dropout, whose masks are drawn as well."""
    import keras

    def build(image_shape, classes):
        image = keras.Input(image_shape, name="image")
        features = keras.layers.Dense(16, activation="tanh", name="hidden")(keras.layers.Flatten()(image))
        logits = keras.layers.Dense(classes, name=LOGITS)(keras.layers.Dropout(0.3)(features))
        return keras.Model(image, keras.layers.Softmax(name=SCORES)(logits))

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "dropping", Architecture("dropping", "", 1, build))
        yield TrainConfig("dropping", epochs=4, batch_size=16, augmentation=None, seed=5)


@pytest.fixture(scope="module")
def several(config, bars):
    return train_restarts(lambda asked: train(asked, bars(90)), config, 4)


def bits(weights):
    return [array.tobytes() for array in weights]


def test_the_first_is_the_plain_training_and_each_other_can_be_had_alone(several, config, bars):
    assert bits(several.runs[0].weights) == bits(train(config, bars(90)).model.get_weights())
    alone = train(replace(config, initial_seed=several.runs[2].initial_seed), bars(90))
    assert bits(several.runs[2].weights) == bits(alone.model.get_weights())
    assert len({str(bits(run.weights)) for run in several.runs}) == 4


def test_nothing_but_the_initial_weights_differs(config, bars):
    # The same initial weights by another way: so split, order and dropout are those of the seed.
    plain, seeded = (train(replace(config, initial_seed=seed), bars(90)) for seed in (None, config.seed))
    assert plain.history == seeded.history
    assert bits(plain.model.get_weights()) == bits(seeded.model.get_weights())
    other = train(replace(config, initial_seed=1), bars(90))
    assert np.array_equal(plain.validation_rows, other.validation_rows)
    assert plain.history[0] != other.history[0]


def test_the_best_by_validation_loss_is_kept_with_all_that_is_its_own(several):
    losses = [min(record.val_loss for record in run.history[1:]) for run in several.runs]
    assert several.kept == int(np.argmin(losses))
    kept = several.runs[several.kept]
    assert several.result.history == kept.history
    assert bits(several.result.model.get_weights()) == bits(kept.weights)
    assert several.val_losses().tolist() == sorted(losses)
    rows = several.to_json()
    assert [row["val_loss"] for row in rows] == losses
    assert [row["kept"] for row in rows] == [number == several.kept for number in range(4)]


def test_seeds_are_a_pure_function_of_the_seed(config):
    assert initial_seeds(config, 4) == initial_seeds(config, 6)[:4]
    assert len(set(initial_seeds(config, 100))) == 100
    assert initial_seeds(config, 3)[1:] != initial_seeds(replace(config, seed=6), 3)[1:]


def test_the_line_goes_from_the_best_to_the_second_best_on_what_both_were_trained_on(several, bars):
    samples = bars(90)
    line = with_line(several, samples, points=5).line
    best, second = (several.runs[number] for number in several.ranking[:2])
    rows = several.result.fit_rows
    inputs, labels = model_inputs(samples.images[rows], several.result.preprocessing), samples.labels[rows]
    for weights, loss in ((best.weights, line.losses[0]), (second.weights, line.losses[-1])):
        several.result.model.set_weights(weights)
        scores = several.result.model.predict(inputs, verbose=0)
        assert loss == pytest.approx(float(-np.log(scores[np.arange(len(labels)), labels]).mean()), rel=1e-4)
    several.result.model.set_weights(best.weights)
    again = line_between(several.result.model, best.weights, second.weights, inputs, labels, points=5)
    assert line.barrier == again.barrier


def test_ctrl_c_in_the_third_keeps_the_best_of_those_that_ended(config, bars):
    begun = []

    def run(asked):
        def press(record):
            if len(begun) == 3 and record.epoch == 2:
                signal.raise_signal(signal.SIGINT)

        return train(asked, bars(90), on_epoch=press)

    several = train_restarts(run, config, 5, begun.append)
    assert begun == [0, 1, 2]
    assert [run.ended for run in several.runs] == ["finished", "finished", "interrupted"]
    assert several.kept == int(np.argmin([run.val_loss for run in several.runs[:2]]))
    assert several.interrupted
    assert not several.result.interrupted


def test_ctrl_c_in_the_first_keeps_its_best_epoch(config, bars):
    def run(asked):
        return train(asked, bars(90), on_epoch=lambda r: r.epoch == 2 and signal.raise_signal(signal.SIGINT))

    several = train_restarts(run, config, 5)
    assert len(several.runs) == 1
    assert several.result.interrupted
    assert several.result.best_epoch in (1, 2)


def test_ctrl_c_between_two_keeps_what_ended(config, bars):
    def run(asked):
        if asked.initial_seed is not None:
            raise KeyboardInterrupt
        return train(asked, bars(90))

    several = train_restarts(run, config, 3)
    assert several.interrupted
    assert len(several.runs) == 1
    with pytest.raises(KeyboardInterrupt):
        train_restarts(lambda _asked: run(replace(config, initial_seed=1)), config, 3)


def test_one_that_diverges_leaves_the_others(config, bars):
    def run(asked):
        if asked.initial_seed is None:
            raise CheckFailedError("training diverged in epoch 1")
        return train(asked, bars(90))

    several = train_restarts(run, config, 2)
    assert [run.ended for run in several.runs] == ["diverged", "finished"]
    assert several.kept == 1
    assert several.to_json()[0]["val_loss"] is None
    assert with_line(several, bars(90)) is several

    with pytest.raises(CheckFailedError, match="diverged"):
        train_restarts(lambda _asked: run(config), config, 2)


@pytest.mark.parametrize(
    ("changes", "count", "said"),
    [
        ({}, 0, "restarts 0: there must be 1 to 1000"),
        ({}, 1001, "restarts 1001: there must be 1 to 1000"),
        ({"initialization": "identical"}, 2, "2 restarts of identical weights would be the same training again"),
        ({"origin": Origin("m.keras", "", "kept", ())}, 2, "whose last layer is kept, would be the same training"),
    ],
)
def test_restarts_that_make_no_sense_are_refused(config, changes, count, said):
    with pytest.raises(InputError, match=said):
        train_restarts(lambda _config: pytest.fail("nothing is to be trained"), replace(config, **changes), count)
