"""The report's sections about what a network sees, of the trained lenet that tests share."""

import re
from dataclasses import replace

import keras
import numpy as np
import pytest

from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import input_range
from edge_cnn.host.architectures import build_model
from edge_cnn.host.datasets import load_dataset
from edge_cnn.host.evaluation import evaluate
from edge_cnn.host.training import EpochRecord, TrainConfig, TrainResult, predict_scores
from edge_cnn.host.training_report import confidence, gradients, hardest_images, mistakes, sight, surroundings
from edge_cnn.host.training_report.findings import findings
from edge_cnn.host.training_report.section import Story


def story_of(model, dataset, preprocessing, config):
    norms = {"conv1": 1.0, "embedding": 2.0, "logits": 1.0, "hidden1": 1.0, "hidden2": 1.0}
    history = (EpochRecord(0, 2.3, 2.3, 0.1, 0.1, 0), EpochRecord(1, 1, 1, 0.9, 0.9, 0.1, gradient_norms=norms))
    rows = np.arange(len(dataset.train))
    result = TrainResult(
        model, preprocessing, dataset.train.class_names, history, 1, False, False, config, rows[50:], rows[:50]
    )
    evaluation = evaluate(predict_scores(model, dataset.test, preprocessing), dataset.test)
    return Story(result, evaluation, dataset, {})


@pytest.fixture(scope="module")
def digits_story(keras_model):
    digits = load_dataset("digits")
    dataset = replace(digits, train=digits.train.select(slice(0, None, 8)), test=digits.test.select(slice(0, None, 4)))
    return story_of(keras_model, dataset, input_range(0, 1, (28, 28, 1)), TrainConfig("lenet"))


@pytest.fixture(scope="module")
def points_story():
    """An untrained network over points, which are no pictures."""
    rng = np.random.default_rng(0)
    points = LabelledImages(rng.random((80, 1, 1, 2)).astype(np.float32), rng.integers(0, 2, 80), ("orange", "blue"))
    dataset = replace(load_dataset("digits"), train=points, test=points)
    keras.utils.set_random_seed(0)
    config = TrainConfig("mlp", objective="squared-error")
    return story_of(build_model("mlp", (1, 1, 2), 2), dataset, input_range(-1, 1, (1, 1, 2)), config)


def test_the_sixteen_filters_are_shown_with_their_names(digits_story):
    section = sight.filters(digits_story)
    assert section is not None
    assert section.pictures.count("<img") == 16
    assert "16 filters of conv1, 3x3 pixels each" in section.text
    assert "horizontal" in section.pictures


def test_maps_of_six_classes_and_two_mistakes_stand_beside_their_images(digits_story):
    section = sight.maps(digits_story)
    assert section is not None
    assert [f"relu{i}" in section.pictures for i in (1, 2, 3, 4)] == [True] * 4
    assert section.pictures.count("<figure") == 8
    assert section.pictures.count("<img") == 8 * 5
    assert section.pictures.count("taken for") >= 2
    assert len(section.pictures) < 400_000


def test_rows_to_show_are_right_ones_of_different_classes_then_mistakes():
    labels, answers = np.array([0, 1, 1, 0, 2, 0]), np.array([1, 1, 1, 0, 0, 0])
    assert sight.shown_rows(labels, answers, np.array([4])).tolist() == [3, 1, 4]


def test_the_hardest_images_are_those_that_numpy_finds(digits_story):
    evaluation = digits_story.evaluation
    section = hardest_images.hardest_images(digits_story)
    assert section is not None
    losses = -np.log(evaluation.scores[np.arange(len(evaluation.labels)), evaluation.labels])
    told = [float(loss) for loss in re.findall(r"loss ([\d.e+-]+)</figcaption>", section.pictures)]
    assert told == pytest.approx(sorted(losses, reverse=True)[:24], rel=0.06)
    assert f"The 24 of {len(losses)} test images" in section.text


def test_where_no_test_image_is_wrong_it_is_said_and_few_are_shown(digits_story):
    evaluation = digits_story.evaluation
    right = np.flatnonzero(evaluation.answers == evaluation.labels)
    test = digits_story.dataset.test.select(right)
    story = replace(
        digits_story,
        dataset=replace(digits_story.dataset, test=test),
        evaluation=evaluate(evaluation.scores[right], test),
    )
    section = hardest_images.hardest_images(story)
    assert section is not None
    expected = f"None of the {len(right)} test images is wrong; these are the 6 with the largest loss."
    assert section.text == expected
    assert section.pictures.count("<img") == 6


def test_the_pairs_that_were_mixed_up_are_named(digits_story):
    confusion = digits_story.evaluation.confusion
    off_diagonal = confusion + confusion.T - 2 * np.diag(np.diag(confusion))
    most = off_diagonal.max()
    text = mistakes.confusion(digits_story).text
    assert "Most often mixed up: " in text
    assert {1: "once", 2: "twice"}.get(most, f"{most} times") in text.split(";")[0]


def test_confidence_is_judged_on_the_test_part(digits_story):
    section = confidence.confidence(digits_story)
    assert section is not None
    assert f"right in {digits_story.evaluation.accuracy:.1%} of the test part" in section.text
    assert "expected calibration error" in section.text


def test_a_network_made_too_sure_is_told_so_and_the_temperature_that_mends_it(digits_story):
    model = keras.models.clone_model(digits_story.result.model)
    model.set_weights(digits_story.result.model.get_weights())
    kernel, bias = model.get_layer("logits").get_weights()
    model.get_layer("logits").set_weights([kernel * 8, bias * 8])
    result, dataset = digits_story.result, digits_story.dataset
    sure = story_of(model, dataset, result.preprocessing, result.config)
    # All but the first 50 are what this network is as right on, and there are mistakes among them.
    sure = replace(sure, result=replace(sure.result, validation_rows=result.fit_rows))
    section = confidence.confidence(sure)
    assert section is not None
    assert "too sure by" in section.text
    told = re.search(r"Dividing the logits by ([\d.]+), fitted on the validation part, would bring it to", section.text)
    assert told is not None
    assert 4 < float(told[1]) < 16


def test_gradients_are_told_in_words(digits_story):
    section = gradients.gradients(digits_story)
    assert section is not None
    assert "The gradients reach every layer: a weight of conv1" in section.text


def test_the_surroundings_are_drawn_twice_and_the_model_stays_as_it_was(digits_story, monkeypatch):
    monkeypatch.setattr("edge_cnn.host.training_report.surroundings.affordable_effort", _cheap)
    before = [w.copy() for w in digits_story.result.model.get_weights()]
    section = surroundings.surroundings(digits_story)
    assert section.pictures.count("<svg") == 2
    assert "The loss of 40 training samples" in section.text
    assert all(np.array_equal(a, b) for a, b in zip(before, digits_story.result.model.get_weights(), strict=True))


def _cheap(_model, _samples):
    from edge_cnn.host.landscape.cost import Effort

    return Effort(40, 5)


def test_points_have_no_pictures_and_all_the_rest(points_story, monkeypatch):
    monkeypatch.setattr("edge_cnn.host.training_report.surroundings.affordable_effort", _cheap)
    assert sight.filters(points_story) is None
    assert sight.maps(points_story) is None
    assert hardest_images.hardest_images(points_story) is None
    assert confidence.confidence(points_story) is not None
    assert gradients.gradients(points_story) is not None
    assert "(squared)" in surroundings.surroundings(points_story).pictures


@pytest.mark.parametrize(
    ("losses", "title", "said"),
    [
        ([2.3, *np.exp(-np.arange(12.0))], "Nothing to worry about", "it did not crawl"),
        (
            [2.3, 2.1, 2.0, 1.9, 1.8, *(1.8 * np.exp(-np.arange(1.0, 9)))],
            "Nothing to worry about at the end",
            "The training was crawling in epoch 4; that is over.",
        ),
        ([2.4, 2.31, 2.305], "What to change", "Learned nothing"),
    ],
)
def test_the_end_of_a_training_is_judged_and_its_way_is_not_forgotten(digits_story, losses, title, said):
    history = tuple(EpochRecord(e, loss, loss, 0.5, 0.5, 0.01) for e, loss in enumerate(losses))
    config = TrainConfig("lenet", learning_rate=0.01, epochs=len(losses) - 1)
    section = findings(replace(digits_story, result=replace(digits_story.result, history=history, config=config)))
    assert section.title == title
    assert said in section.pictures + section.text
