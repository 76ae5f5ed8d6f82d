"""What is wrong with samples is told in words that help."""

import numpy as np
import pytest

from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import input_range
from edge_cnn.core.quantization import QuantizationParams
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.finetuning.input_floats import remark_on_floats
from edge_cnn.device.finetuning.sample_checks import (
    check_embeddings,
    remark_on_absent,
    remark_on_guessing,
    remark_on_split,
    without_copies,
)
from edge_cnn.device.finetuning.samples import label_indices
from edge_cnn.device.label_array import check_known
from edge_cnn.device.training.linear_probe import PredictedGain

NAMES = ("cat", "dog", "owl", "fox", "bee", "ant")


def kept_and_told(digests, labels):
    told = []
    kept = without_copies(
        [bytes([d]) for d in digests], np.array(labels, np.int64), NAMES, "file {}".format, told.append
    )
    return kept.tolist(), told


def test_different_images_are_all_kept_in_silence():
    assert kept_and_told([3, 1, 2], [0, 0, 1]) == ([0, 1, 2], [])


def test_of_copies_with_one_label_the_first_is_kept():
    kept, told = kept_and_told([7, 8, 7, 9, 8, 7], [0, 1, 0, 0, 1, 0])
    assert kept == [0, 1, 3]
    assert told == ["left out 3 samples: copies of images that are there with the same label"]


def test_equal_images_with_different_labels_are_all_left_out_and_named():
    kept, told = kept_and_told([5, 6, 5, 7, 5], [0, 1, 1, 0, 0])
    assert kept == [1, 3]
    assert told == [
        "left out 3 samples: equal images under different labels, correct them: file 0 (cat) and file 2 (dog)"
    ]


def test_of_many_contradictions_a_few_are_named_and_the_rest_counted():
    digests = [*range(8), *range(8), 99]
    (kept, (told,)) = kept_and_told(digests, [0] * 8 + [1] * 8 + [0])
    assert kept == [16]
    assert told.startswith("left out 16 samples:")
    assert told.endswith("file 2 (cat) and file 10 (dog); and 5 more")
    assert "file 3" not in told


def test_contradicting_labels_throughout_are_an_error():
    with pytest.raises(DataError, match=r"every image is there under different labels: file 0 \(cat\) and file 2"):
        kept_and_told([1, 2, 1, 2], [0, 0, 1, 1])


def embeddings_told(rows, labels):
    told = []
    codes = np.array(rows, np.int8)
    check_embeddings(codes, np.arange(len(codes)), np.array(labels, np.int64), told.append)
    return told


def test_embeddings_that_are_all_equal_are_an_error():
    with pytest.raises(DataError, match=r"one and the same embedding for all 3 samples.*--input-range"):
        embeddings_told([[1, 2]] * 3, [0, 1, 0])


def test_samples_that_look_alike_under_different_labels_are_counted():
    assert embeddings_told([[1, 2], [1, 2], [3, 4], [3, 4]], [0, 0, 1, 1]) == []
    (told,) = embeddings_told([[1, 2], [1, 2], [3, 4], [3, 4], [5, 6]], [0, 1, 1, 1, 0])
    assert told.startswith("2 samples of 5 look to the backbone exactly like one with another label")


def test_how_much_one_held_out_answer_weighs_is_told_where_there_are_few():
    told = []
    for held_out in (1, 4, 29, 30):
        remark_on_split(held_out, told.append)
    assert [text.split(";")[0] for text in told] == [
        "only 1 new sample could be held out, one answer is 100 points of the accuracy below",
        "only 4 new samples could be held out, one answer is 25 points of the accuracy below",
        "only 29 new samples could be held out, one answer is 3 points of the accuracy below",
    ]


def test_classes_without_a_sample_are_named():
    told = []
    remark_on_absent(np.array([0, 1, 2, 3, 4, 5, 5]), NAMES, told.append)
    assert told == []
    remark_on_absent(np.array([0, 1, 2, 4, 5, 5]), NAMES, told.append)
    remark_on_absent(np.array([4, 4]), NAMES, told.append)
    assert "of 1 of 6 classes (fox);" in told[0]
    assert "of 5 of 6 classes (cat, dog, owl and 2 more);" in told[1]


def guessing_told(accuracy, labels, before=0.0):
    told = []
    labels = np.array(labels, np.int64)
    predicted = PredictedGain(before, accuracy, (0.0, 1.0), len(labels), 0.1)
    remark_on_guessing(predicted, labels, NAMES, told.append)
    return told


HALVES = [0] * 100 + [1] * 100
MOSTLY = [0] * 20 + [2] * 180


def test_a_probe_that_does_no_better_than_guessing_is_told():
    # Within one standard error of a half, which is 3.5 points for 200 samples.
    for accuracy in (0.3, 0.5, 0.53):
        (told,) = guessing_told(accuracy, HALVES)
        assert "the labels look random to the backbone" in told
        assert f"a probe answers {100 * accuracy:.1f} % right, always answering 'cat' would be right 50.0 %" in told
    (told,) = guessing_told(0.9, MOSTLY)
    assert "always answering 'owl' would be right 90.0 %" in told


@pytest.mark.parametrize(
    ("accuracy", "labels", "before"),
    [
        (0.6, HALVES, 0.0),
        (0.95, MOSTLY, 0.0),
        # The model answers them well, so the labels are not random, whatever a probe makes of few samples.
        (0.4, HALVES, 0.7),
        # One class alone, beside replayed ones: there is nothing to guess.
        (1.0, [3] * 50, 0.0),
        (0.0, [3] * 50, 0.0),
    ],
)
def test_a_probe_that_learned_something_is_not_blamed(accuracy, labels, before):
    assert guessing_told(accuracy, labels, before) == []


FLOATS = TensorSpec("x", (1, 4, 4, 1), "float32")
UNIT = input_range(0.0, 1.0, (4, 4, 1))


def codes_of(low, high):
    """An int8 input whose 256 codes stand for `low` to `high`."""
    scale = (high - low) / 255
    return TensorSpec("x", (1, 4, 4, 1), "int8", QuantizationParams((scale,), (-128 - round(low / scale),)))


def floats_told(images, spec, preprocessing=UNIT):
    told = []
    samples = LabelledImages(images, np.zeros(len(images), np.int64), NAMES)
    remark_on_floats(samples, spec, preprocessing, told.append)
    return told


def pixels(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (40, 4, 4, 1)).astype(np.float32)


@pytest.mark.parametrize(
    ("spec", "preprocessing", "taken"),
    [
        (FLOATS, UNIT, "0..1"),
        (codes_of(0, 1), UNIT, "0..1"),
        (codes_of(-1, 1), None, "-1..1"),
        (FLOATS, input_range(-1.0, 1.0, (4, 4, 1)), "-1..1"),
    ],
)
def test_pixels_that_were_saved_as_floats_are_told(spec, preprocessing, taken):
    (told,) = floats_told(pixels(), spec, preprocessing)
    assert told == f"x holds floats up to 255 while the model takes {taken}; save pixels as uint8"


@pytest.mark.parametrize(
    ("images", "spec", "preprocessing"),
    [
        (pixels().astype(np.uint8), codes_of(0, 1), UNIT),
        (pixels() / 255, codes_of(0, 1), UNIT),
        (pixels() / 127.5 - 1, codes_of(-1, 1), UNIT),
        (pixels(), codes_of(0, 255), UNIT),
        (pixels(), FLOATS, input_range(0.0, 255.0, (4, 4, 1))),
        (pixels(), FLOATS, None),
        (pixels() - 128, codes_of(-1, 1), UNIT),
        (pixels() * 3, codes_of(0, 1), UNIT),
        (pixels()[:0], codes_of(0, 1), UNIT),
        # One white dot in a set of well-scaled images.
        (np.where(np.arange(640).reshape(40, 4, 4, 1) == 0, np.float32(255), np.float32(0.5)), codes_of(0, 1), UNIT),
    ],
)
def test_inputs_that_fit_the_model_or_are_no_pixels_are_not_blamed(images, spec, preprocessing):
    assert floats_told(images, spec, preprocessing) == []


def test_a_name_that_two_of_the_models_classes_have_does_not_tell_which(tmp_path):
    with pytest.raises(DataError, match=r"2 of the model's classes are called 'cat'.*class indices as y"):
        check_known({"cat", "dog"}, ("cat", "dog", "cat"), tmp_path)
    with pytest.raises(DataError, match=r"2 of the model's classes are called 'cat'.*give class indices"):
        label_indices(["dog", "cat"], ("cat", "dog", "cat"))
    # Those that the data does not use may be called alike, and indices tell them apart.
    assert label_indices(["dog"], ("cat", "dog", "cat")).tolist() == [1]
    assert label_indices(np.array([2, 0]), ("cat", "dog", "cat")).tolist() == [2, 0]
    check_known({"dog"}, ("cat", "dog", "cat"), tmp_path)
