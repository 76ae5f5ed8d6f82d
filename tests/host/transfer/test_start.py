import numpy as np
import pytest

from edge_cnn.core.errors import InputError, ModelError
from edge_cnn.core.preprocessing import Preprocessing, normalize
from edge_cnn.host.training import TrainConfig, train
from edge_cnn.host.training.units import leaf_layers
from edge_cnn.host.transfer.freezing import freeze_layers, parse_freeze
from edge_cnn.host.transfer.pretrained import Pretrained
from edge_cnn.host.transfer.start import Start

CLASSES = ("upright", "lying", "slanting")
PREPROCESSING = Preprocessing(12, 12, 1)


@pytest.fixture
def pretrained(network):
    """A network for five other classes."""
    import keras

    model = network(keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(5, activation="softmax"))
    return Pretrained(model, "other.keras", "0" * 64, PREPROCESSING, None)


def trained(start, samples, **changes):
    model, origin = start.make(3)
    before = {layer.name: layer.get_weights() for layer in leaf_layers(model)}
    config = TrainConfig(
        "from:other", **{"epochs": 3, "batch_size": 16, "augmentation": None, "origin": origin, **changes}
    )
    return train(config, samples, preprocessing=PREPROCESSING, initial=model), before


def unchanged(result, before):
    return {
        layer.name
        for layer in leaf_layers(result.model)
        if layer.weights
        and all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), before[layer.name], strict=True))
    }


@pytest.mark.parametrize(
    ("freeze", "kept"),
    [
        ("all-but-head", {"conv1", "norm1", "conv2", "norm2"}),
        (2, {"conv1", "norm1"}),
        ("none", set()),
    ],
)
def test_frozen_layers_stay_the_same_to_the_bit_and_all_others_learn(pretrained, bars, freeze, kept):
    result, before = trained(Start(pretrained, CLASSES, freeze), bars(60))
    assert unchanged(result, before) == kept
    assert set(result.config.origin.frozen) == kept
    assert {name.split("/")[-1] for name in result.history[-1].gradient_norms} == {
        "conv1",
        "norm1",
        "conv2",
        "norm2",
        "logits",
    } - kept


def test_batch_normalization_in_frozen_layers_uses_the_statistics_that_it_has(pretrained, bars):
    samples = bars(60)
    start = Start(pretrained, CLASSES, "all-but-head")
    # One step of all samples: its loss is that of the network before it.
    result, _ = trained(start, samples, epochs=1, batch_size=1000)
    rows = result.fit_rows
    model, _ = start.make(3)
    inputs, labels = normalize(samples.images[rows], PREPROCESSING), samples.labels[rows]

    def loss(*, by_batch):
        for layer in model.layers:
            layer.trainable = True
        scores = np.array(model(inputs, training=by_batch))
        return -np.log(scores[np.arange(len(labels)), labels]).mean()

    expected, by_batch = (loss(by_batch=how) for how in (False, True))
    assert abs(expected - by_batch) > 0.05
    assert result.history[1].loss == pytest.approx(expected, rel=1e-4)


def test_the_network_to_start_from_stays_as_it_is(pretrained, bars):
    before = [weight.copy() for weight in pretrained.model.get_weights()]
    trained(Start(pretrained, CLASSES, "none"), bars(60))
    assert all(np.array_equal(a, b) for a, b in zip(before, pretrained.model.get_weights(), strict=True))
    assert all(layer.trainable for layer in pretrained.model.layers)


def test_a_new_head_is_of_the_seed_and_the_rest_of_the_file(pretrained):
    start = Start(pretrained, CLASSES, "none")
    first, again, other = (start.make(seed)[0].get_weights() for seed in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    same = [np.array_equal(a, b) for a, b in zip(first, other, strict=True)]
    assert same == [True] * (len(same) - 2) + [False, True]  # kernel and bias of the new layer
    assert first[-2].shape == (8, 3)


def test_a_head_of_the_same_classes_is_kept_unless_told_otherwise(pretrained):
    first, _ = Start(pretrained, CLASSES, "none").make(1)
    ours = Pretrained(first, "model.keras", "1" * 64, PREPROCESSING, CLASSES)
    again, origin = Start(ours, CLASSES, "none").make(2)
    assert origin.head == "kept"
    assert np.array_equal(again.get_weights()[-2], first.get_weights()[-2])
    for start in (Start(ours, CLASSES, "none", new_head=True), Start(ours, CLASSES[::-1], "none")):
        anew, origin = start.make(2)
        assert origin.head == "new"
        assert not np.array_equal(anew.get_weights()[-2], first.get_weights()[-2])


def test_a_layer_that_has_the_name_of_a_head_is_told(network):
    import keras

    model = network(keras.layers.GlobalAveragePooling2D(name="logits"), keras.layers.Dense(5))
    with pytest.raises(ModelError, match=r"other\.keras cannot get a new head: .*logits"):
        Start(Pretrained(model, "other.keras", "", PREPROCESSING, None), CLASSES, "none").make(0)


def test_one_class_is_none(pretrained):
    with pytest.raises(InputError, match="needs at least two classes, got 1"):
        Start(pretrained, ("upright",), "none").make(0)


def test_what_to_freeze_is_a_word_or_a_number():
    assert [parse_freeze(text) for text in ("all-but-head", "none", "0", "12")] == ["all-but-head", "none", 0, 12]
    for text in ("-1", "1.5", "all", ""):
        with pytest.raises(InputError, match="give all-but-head, none, or the number of layers"):
            parse_freeze(text)


def test_so_many_frozen_layers_that_none_learns_are_refused(pretrained):
    assert freeze_layers(pretrained.model, 4) == ("conv1", "norm1", "conv2", "norm2")
    with pytest.raises(InputError, match=r"freeze 5: the network has 5 layers with weights, .*; give at most 4"):
        freeze_layers(pretrained.model, 5)
