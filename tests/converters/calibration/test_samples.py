from __future__ import annotations

import numpy as np
import pytest

from converters.calibration.samples import choose_calibration
from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import LabelledImages, stratified_sample
from edge_cnn.core.preprocessing import Preprocessing

PREPROCESSING = Preprocessing(4, 4, 1)


def labelled(images: np.ndarray, classes: int = 2) -> LabelledImages:
    return LabelledImages(images, np.arange(len(images)) % classes, tuple(str(i) for i in range(classes)))


def pixels(count: int) -> LabelledImages:
    return labelled(np.random.default_rng(0).integers(0, 256, (count, 4, 4, 1), dtype=np.uint8))


def choose(data: LabelledImages, count: int = 50, seed: int = 0) -> np.ndarray:
    return choose_calibration(data, PREPROCESSING, count, np.random.default_rng(seed)).inputs


def test_the_same_seed_chooses_the_same_samples_and_another_seed_others() -> None:
    data = pixels(200)
    assert np.array_equal(choose(data), choose(data))
    assert not np.array_equal(choose(data), choose(data, seed=1))


def test_no_sample_is_chosen_twice_and_every_chosen_one_is_of_the_data() -> None:
    data = pixels(200)
    chosen = (choose(data) * 255).round().astype(np.uint8)
    of_data = {image.tobytes() for image in data.images}
    seen = [image.tobytes() for image in chosen]
    assert len(set(seen)) == 50
    assert set(seen) <= of_data


def test_every_class_has_its_share() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 100])
    chosen = labels[stratified_sample(labels, 100, np.random.default_rng(0))]
    assert np.abs(np.bincount(chosen) - [60, 30, 10]).max() <= 1


def test_fewer_samples_than_asked_for_are_all_taken() -> None:
    assert len(choose(pixels(30), count=500)) == 30


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pixels(0), "0 training samples"),
        (pixels(19), "19 training samples"),
        (labelled(np.zeros((40, 4, 4, 1), np.uint8)), "all the same"),
        (labelled(np.zeros((40, 5, 4, 1), np.uint8)), r"shape \(5, 4, 1\), the model takes \(4, 4, 1\)"),
        (labelled(np.full((40, 4, 4, 1), np.nan, np.float32)), "NaN or infinity, the first is number 0"),
    ],
)
def test_data_that_cannot_calibrate_is_refused(data: LabelledImages, message: str) -> None:
    with pytest.raises(DataError, match=message):
        choose(data)


def test_too_few_requested_samples_are_refused() -> None:
    with pytest.raises(DataError, match="3 calibration samples are too few"):
        choose(pixels(100), count=3)
