import numpy as np
import pytest

from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.datasets import load_dataset
from edge_cnn.host.decision_surface.colours import score_colours
from edge_cnn.host.decision_surface.film import SIDE, Film, is_kept
from edge_cnn.host.decision_surface.plane import plane_of
from edge_cnn.host.training import TrainConfig, train


@pytest.fixture(scope="module")
def filmed():
    """The film of five epochs on the spiral, and what the running mean of the weights gave after each."""
    spiral = load_dataset("spiral")
    plane = plane_of(spiral.train, spiral.test)
    film, seen = Film(plane), []

    def watch(view):
        film.on_view(view)
        seen.append(view.graph.mean.predict(plane.grid(SIDE), verbose=0).reshape(SIDE, SIDE, 2))

    config = TrainConfig("mlp", "sgd", 0.1, epochs=5, batch_size=25, augmentation=None, objective="squared-error")
    train(config, spiral.train, watched=spiral.test, on_view=watch)
    return film.frames, seen


def test_frames_are_kept_after_about_twice_as_many_epochs_each():
    assert [epoch for epoch in range(2000) if is_kept(epoch)] == [0, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000]


def test_a_frame_is_what_the_network_gave_after_its_epoch(filmed):
    frames, seen = filmed
    assert [frame.record.epoch for frame in frames] == [0, 1, 2, 5]
    for frame in frames:
        expected = score_colours(seen[frame.record.epoch]).astype(int)
        assert np.abs(frame.pixels.astype(int) - expected).max() <= 1
    assert not np.array_equal(frames[0].pixels, frames[-1].pixels)


def test_the_caption_tells_the_loss_of_the_test_part(filmed):
    frame = filmed[0][-1]
    assert frame.caption == f"epoch 5: test loss {frame.record.test_loss:.3f}"


def test_another_training_begins_another_film():
    rng = np.random.default_rng(0)
    points = rng.normal(0, 1, (40, 1, 1, 2)).astype(np.float32)
    samples = LabelledImages(points, (points[:, 0, 0, 0] > 0).astype(np.int64), ("left", "right"))
    film = Film(plane_of(samples))
    config = TrainConfig("mlp", epochs=1, batch_size=10, augmentation=None)
    train(config, samples, on_view=film.on_view)
    train(config, samples, on_view=film.on_view)
    assert [frame.record.epoch for frame in film.frames] == [0, 1]


def test_images_are_not_filmed(bars):
    film = Film(plane_of(bars(30)))
    train(TrainConfig("mlp", epochs=1, augmentation=None), bars(30), on_view=film.on_view)
    assert film.frames == ()
