"""Each finding on data made to show it, and silence on data without fault."""

import numpy as np
import pytest

from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.data_audit import FINDINGS, audit
from edge_cnn.host.datasets import Dataset, load_dataset
from edge_cnn.host.training import TrainConfig

CONFIG = TrainConfig("mlp", batch_size=8)


def photo_like(count, channels=1, seed=0):
    """Smooth images with noise: uint8 (count, 12, 12, channels), no two alike."""
    rng = np.random.default_rng(seed)
    slope = np.add.outer(np.arange(12), np.arange(12))[None, :, :, None] * rng.uniform(2, 9, (count, 1, 1, channels))
    return (slope + rng.integers(0, 20, (count, 12, 12, channels))).clip(0, 255).astype(np.uint8)


def dataset(images=None, labels=None, names=("cat", "dog"), test_images=None):
    images = photo_like(40) if images is None else images
    labels = np.arange(len(images)) % len(names) if labels is None else np.asarray(labels)
    test_images = photo_like(20, images.shape[3], seed=1).astype(images.dtype) if test_images is None else test_images
    test = LabelledImages(test_images, np.arange(len(test_images)) % len(names), names)
    return Dataset("d", LabelledImages(images, labels.astype(np.int64), names), test, "", "")


def findings(data, config=CONFIG):
    return {remark.finding: remark for remark in audit(data, config)}


def test_data_without_fault_gets_no_remark():
    assert findings(dataset()) == {}


@pytest.mark.parametrize("name", ["digits", "optdigits"])
def test_the_digits_have_no_fault(name):
    assert findings(load_dataset(name)) == {}


def test_every_finding_says_what_and_why():
    assert all(len(find.__doc__) > 40 for find in FINDINGS)


def test_equal_images_under_different_labels_are_counted_named_and_shown():
    images = photo_like(40)
    images[7] = images[20]
    every = findings(dataset(images))
    assert "copies" not in every
    found = every["contradictions"]
    assert found.text.startswith("1 image is there under different labels")
    assert "train sample 7 (dog) = train sample 20 (cat)" in found.text
    assert [(example.part, example.row) for example in found.examples] == [("train", 7), ("train", 20)]


def test_a_contradiction_across_the_split_is_found():
    images, test = photo_like(40), photo_like(20, seed=1)
    test[3] = images[6]
    found = findings(dataset(images, test_images=test))
    assert "train sample 6 (cat) = test sample 3 (dog)" in found["contradictions"].text
    assert found["leak"].text.startswith("1 of 20 test samples are training samples too, so up to 5.0%")


def test_copies_with_one_label_are_counted_once_each():
    images = photo_like(40)
    images[[2, 4, 6]] = images[0]
    found = findings(dataset(images))
    assert found["copies"].text.startswith("3 of 40 training samples are copies")
    assert [example.row for example in found["copies"].examples] == [2, 4, 6]
    assert "contradictions" not in found


def test_images_of_one_colour_are_named():
    images = photo_like(40)
    images[5], images[9] = 0, 77
    found = findings(dataset(images))["one colour"]
    assert found.text.startswith("2 of 40 training images are of one colour")
    assert "train sample 5 (dog), train sample 9 (dog)" in found.text


def test_colours_alone_can_be_learned_and_it_is_told():
    images = np.broadcast_to(np.arange(40, dtype=np.uint8)[:, None, None, None] * 5, (40, 12, 12, 1)).copy()
    assert findings(dataset(images))["one colour"].text.startswith("every training image is of one colour")


def test_points_are_not_images_of_one_colour():
    points = np.random.default_rng(0).uniform(-1, 1, (40, 1, 1, 2)).astype(np.float32)
    assert findings(dataset(points, test_images=points[:20] + 2)) == {}


def test_channels_that_say_nothing_are_told():
    images = photo_like(40, channels=3)
    images[..., 1] = 9
    assert findings(dataset(images))["constant channel"].text.startswith("channel 1 has one value")
    gray = np.repeat(photo_like(40), 3, axis=3)
    assert "--image-size 12x12x1" in findings(dataset(gray))["gray"].text


def test_shuffled_pixels_look_random():
    rng = np.random.default_rng(0)
    images = photo_like(40)
    shuffled = rng.permuted(images.reshape(40, -1), axis=1).reshape(images.shape)
    assert "look random" in findings(dataset(shuffled))["noise"].text


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        (lambda x: x, "like pixels: a layer in front of the network divides by 255"),
        (lambda x: x / 255 + 100, "brings each channel to mean 0 and deviation 1"),
    ],
)
def test_floats_of_another_scale_are_told_with_what_is_done(scale, said):
    images = scale(photo_like(40).astype(np.float32))
    assert said in findings(dataset(images))["scale"].text
    as_it_is = findings(dataset(images), TrainConfig("mlp", batch_size=8, normalization="none"))["scale"]
    assert "slowly or not at all" in as_it_is.text


def test_pixels_that_use_few_levels_are_told():
    assert (
        f"no pixel is above {photo_like(40).max() // 17}"
        in findings(dataset(photo_like(40) // 17))["narrow pixels"].text
    )


def test_classes_of_very_different_sizes_are_told_unless_they_are_balanced():
    data = dataset(photo_like(80), labels=[0] * 78 + [1] * 2, test_images=photo_like(2, seed=1))
    text = findings(data)["imbalance"].text
    assert "'cat' has 79 samples, 'dog' 3: always answering 'cat' would be right 96%" in text
    assert "--class-weights balanced" in text
    assert "imbalance" not in findings(data, TrainConfig("mlp", batch_size=8, class_weights="balanced"))


def test_classes_of_few_samples_are_named_with_their_number():
    data = dataset(photo_like(40), labels=[0] * 36 + [1] * 4, test_images=photo_like(8, seed=1))
    assert "fewer than 10 samples of 1 of 2 classes (dog 8)" in findings(data)["few samples"].text


def test_a_batch_larger_than_the_data_is_told_with_a_better_one():
    text = findings(dataset(), TrainConfig("mlp", batch_size=512))["batch size"].text
    assert text.startswith("batch size 512 is more than the 36 samples")
    assert "--batch-size 4 makes 9" in text


def test_labels_that_are_not_learned_are_not_judged():
    config = TrainConfig("autoencoder", batch_size=8, objective="reconstruction")
    twice = dataset(np.repeat(photo_like(20), 2, axis=0), test_images=photo_like(4, seed=1))
    assert set(findings(twice, config)) == {"copies"}
    uneven = dataset(photo_like(80), labels=[0] * 78 + [1] * 2, test_images=photo_like(2, seed=1))
    assert findings(uneven, config) == {}


def test_names_that_differ_in_case_only_are_told():
    assert "'cat' and 'Cat '" in findings(dataset(names=("cat", "Cat ")))["class names"].text


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (dataset(np.full((20, 12, 12, 1), 7, np.uint8)), "20 training images are all the same"),
        (dataset(np.repeat(photo_like(10), 2, axis=0)), "every training image is there under different labels"),
        (dataset(labels=[0] * 40), "no sample of class dog to train on; add some"),
        (dataset(names=("cat", "dog", "owl"), labels=[0, 1] * 20, test_images=photo_like(2)), "no sample of class owl"),
        (dataset(photo_like(2), test_images=photo_like(2, seed=1)), "no class has three samples"),
        (dataset(names=("cat", "do\ng")), "class name 'do\\\\ng' is empty, or holds"),
        (dataset(names=("cat", " ")), "class name ' ' is empty"),
    ],
)
def test_what_nothing_can_be_learned_from_is_refused_in_one_line(data, said):
    with pytest.raises(DataError, match=said) as caught:
        audit(data, CONFIG)
    assert "\n" not in str(caught.value)
