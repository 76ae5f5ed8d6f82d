import re
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from edge_cnn.host.data_source import load_data
from edge_cnn.host.datasets import Dataset
from edge_cnn.host.decision_surface.film import Film
from edge_cnn.host.decision_surface.plane import plane_of
from edge_cnn.host.evaluation import evaluate
from edge_cnn.host.training import TrainConfig, predict_scores, train
from edge_cnn.host.training.files import training_record
from edge_cnn.host.training_report.decision_surface import film, neurons, surface
from edge_cnn.host.training_report.hardest_images import hardest_images
from edge_cnn.host.training_report.page import training_report
from edge_cnn.host.training_report.section import Story


def story_of(dataset, config):
    watcher = Film(plane_of(dataset.train, dataset.test))
    result = train(config, dataset.train, on_view=watcher.on_view)
    evaluation = evaluate(predict_scores(result.model, dataset.test, result.preprocessing), dataset.test)
    return Story(result, evaluation, dataset, training_record(result, dataset, evaluation), frames=watcher.frames)


@pytest.fixture(scope="module")
def thirds(tmp_path_factory):
    """The story of a user's own table: 240 points in three sectors of the plane, x of shape (240, 2)."""
    rng = np.random.default_rng(3)
    points = rng.uniform(-4, 4, (240, 2))
    sector = ((np.arctan2(points[:, 1], points[:, 0]) + np.pi) / (2 * np.pi / 3)).astype(np.int64) % 3
    path = tmp_path_factory.mktemp("data") / "sectors.npz"
    np.savez(path, x=points.astype(np.float32), y=sector, labels=np.array(["red", "green", "a < b"]))
    config = TrainConfig("mlp", "adam", 0.01, epochs=12, batch_size=20, augmentation=None)
    return story_of(load_data(str(path)), config)


def test_a_table_of_two_columns_is_trained_on_and_its_sectors_are_seen(thirds):
    assert thirds.dataset.train.images.shape[1:] == (1, 1, 2)
    assert thirds.evaluation.accuracy > 0.8
    section = surface(thirds)
    wrong = int(np.sum(thirds.evaluation.answers != thirds.evaluation.labels))
    assert f"{wrong} of 48 test points" in section.text
    assert section.pictures.count("<title>test point") == wrong
    assert "a &lt; b" in section.pictures


def test_every_hidden_neuron_is_seen(thirds):
    assert neurons(thirds).pictures.count("<img") == 64


def test_the_film_ends_with_the_network_that_is_left(thirds):
    captions = re.findall(r"<figcaption[^>]*>epoch (\d+):", film(thirds).pictures)
    best = thirds.result.best_epoch
    assert captions == [str(epoch) for epoch in (0, 1, 2, 5, 10) if epoch < best] + [str(best)]


def test_no_frames_no_film(thirds):
    assert film(replace(thirds, frames=())) is None


def test_the_page_shows_it_all_and_no_pictures_of_one_pixel(thirds):
    page = training_report(thirds)
    for title in ("Its answer at every point", "How it learned", "What each neuron sees"):
        assert page.count(f"<h2>{title}</h2>") == 1
    assert hardest_images(thirds) is None
    for svg in re.findall(r"<svg.*?</svg>", page, re.DOTALL):
        ElementTree.fromstring(svg.replace("xlink:href", "href"))


def test_images_have_no_surface(bars):
    story = story_of(Dataset("bars", bars(30), bars(9), "made", "none"), TrainConfig("mlp", epochs=1))
    assert (surface(story), film(story), neurons(story)) == (None, None, None)
