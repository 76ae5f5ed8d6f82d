import math
from dataclasses import replace

import numpy as np
import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.host.training import TrainConfig, train
from edge_cnn.host.training.class_weights import parse_class_weights, weights_of_classes

LABELS = np.repeat([0, 1, 2], [5, 50, 20])
NAMES = ("cat", "dog", "a=b")


def test_pairs_are_read_up_to_the_last_equals_sign():
    assert parse_class_weights("cat=2, dog=0.5,a=b=3e-1") == {"cat": 2.0, "dog": 0.5, "a=b": 0.3}
    assert parse_class_weights("balanced") == "balanced"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("even", "'even' is no NAME=WEIGHT"),
        ("cat", "'cat' is no NAME=WEIGHT"),
        ("=2", "'=2' is no NAME=WEIGHT"),
        ("cat=", "'cat=' is no NAME=WEIGHT"),
        ("cat=much", "'cat=much' is no NAME=WEIGHT"),
        ("", "'' is no NAME=WEIGHT"),
        ("cat=1,,dog=2", "'' is no NAME=WEIGHT"),
        ("cat=1,cat=2", "'cat' is there twice"),
        ("cat=0", "class weight 0 of 'cat': it must be positive"),
        ("cat=-1", "class weight -1 of 'cat': it must be positive"),
        ("cat=nan", "class weight nan of 'cat': it must be positive"),
        ("cat=inf", "class weight inf of 'cat': it must be positive"),
    ],
)
def test_what_is_no_weight_is_refused(text, said):
    with pytest.raises(InputError, match=said):
        parse_class_weights(text)


def test_a_configuration_refuses_them_too():
    for weights in ({"cat": 0.0}, {"cat": math.nan}, {}, "even"):
        with pytest.raises(InputError, match="class weight"):
            TrainConfig(class_weights=weights)


def test_classes_that_are_not_named_weigh_one():
    assert weights_of_classes({"dog": 2.5}, NAMES, LABELS).tolist() == [1.0, 2.5, 1.0]
    assert weights_of_classes(None, NAMES, LABELS).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize(
    ("name", "names", "said"),
    [
        ("cow", NAMES, "no class is called 'cow'; the classes are cat, dog, a=b"),
        ("x", tuple(map(str, range(20))), r"the classes are 0, 1, .*, 9, \.\.\."),
        ("cat", ("cat", "cat"), "2 classes are called 'cat'"),
    ],
)
def test_a_name_that_is_not_one_class_is_refused(name, names, said):
    with pytest.raises(InputError, match=said):
        weights_of_classes({name: 1.0}, names, LABELS)


def test_the_balanced_ones_written_out_train_to_the_same_weights(bars, small_network):
    from sklearn.utils.class_weight import compute_class_weight

    samples = bars(0, counts=(40, 12, 20))
    config = TrainConfig(small_network, epochs=2, batch_size=8, augmentation=None, class_weights="balanced")
    balanced = train(config, samples)
    labels = samples.labels[balanced.fit_rows]
    written = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    by_name = dict(zip(samples.class_names, written.tolist(), strict=True))
    same, other = (train(replace(config, class_weights=weights), samples) for weights in (by_name, {"lying": 9.0}))
    trained, repeated, changed = (result.model.get_weights() for result in (balanced, same, other))
    assert all(np.array_equal(a, b) for a, b in zip(trained, repeated, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(trained, changed, strict=True))
