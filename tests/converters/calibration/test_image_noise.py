from __future__ import annotations

import numpy as np
import pytest

from edge_cnn.host.image_noise import LEAST_CORRELATION, neighbour_correlation, noise_statistic
from tests.converters.calibration.real_images import blots, cifar, digits, photographs, shuffled, spectrograms

REAL = {
    "CIFAR-10": lambda: cifar()[0].astype(np.float32),
    "CIFAR-10 in gray": lambda: cifar()[0].mean(axis=-1, keepdims=True, dtype=np.float32),
    "CIFAR-10 at 16": lambda: cifar()[0].astype(np.float32).reshape(-1, 16, 2, 16, 2, 3).mean(axis=(2, 4)),
    "CIFAR-10 at 8": lambda: cifar()[0].astype(np.float32).reshape(-1, 8, 4, 8, 4, 3).mean(axis=(2, 4)),
    "CIFAR-10 with noise of 20": lambda: cifar()[0] + np.random.default_rng(0).normal(0, 20, (5000, 32, 32, 3)),
    "photographs in pieces": photographs,
    "digits": lambda: digits(28),
    "outlines of digits": lambda: np.abs(np.diff(digits(28), axis=1)),
    "digits of 8 pixels": lambda: digits(8),
    "spectrograms": spectrograms,
    "blots": lambda: blots(1000).astype(np.float32),
}

RNG = np.random.default_rng(0)
NOISE = {
    "uniform": lambda shape: RNG.integers(0, 256, shape).astype(np.float32),
    "uniform of 0..1": lambda shape: RNG.random(shape, np.float32),
    "Gaussian": lambda shape: RNG.standard_normal(shape).astype(np.float32),
    "salt and pepper": lambda shape: 255 * (RNG.random(shape) < 0.1).astype(np.float32),
    "gray noise in three channels": lambda shape: RNG.random((*shape[:3], 1)).repeat(shape[3], axis=3),
    "of another brightness each": lambda shape: RNG.random(shape) + 5 * RNG.random((shape[0], 1, 1, 1)),
}


@pytest.mark.parametrize("name", REAL)
def test_real_data_is_never_taken_for_noise_whatever_samples_are_drawn(name: str) -> None:
    images = np.asarray(REAL[name](), np.float32)
    rng = np.random.default_rng(1)
    draws = [noise_statistic(images[rng.choice(len(images), 20, replace=False)]) for _ in range(50)]
    assert min(statistic.correlation or 0 for statistic in draws) > 1.5 * LEAST_CORRELATION
    whole = noise_statistic(images)
    assert not whole.is_noise
    # One by one they are told apart as well, which is what the bound on false refusals starts from.
    assert whole.noisy_images <= 0.003 * len(images)


@pytest.mark.parametrize("shape", [(8, 8, 1), (16, 16, 3), (28, 28, 1), (49, 10, 1), (96, 96, 3)])
@pytest.mark.parametrize("name", NOISE)
def test_noise_of_any_kind_and_size_is_noise(name: str, shape: tuple[int, int, int]) -> None:
    for _ in range(20):
        assert noise_statistic(NOISE[name]((20, *shape))).is_noise


@pytest.mark.parametrize("name", ["CIFAR-10", "digits", "digits of 8 pixels", "spectrograms", "blots"])
def test_real_images_with_shuffled_pixels_are_noise(name: str) -> None:
    images = REAL[name]()[:500]
    assert noise_statistic(shuffled(images)).is_noise
    for start in range(0, 500, 20):
        assert noise_statistic(shuffled(images[start : start + 20])).is_noise


def test_one_order_of_pixels_for_all_images_is_noise_too() -> None:
    order = np.random.default_rng(3).permutation(28 * 28)
    images = digits(28)[:500].reshape(500, -1)[:, order].reshape(500, 28, 28, 1)
    assert noise_statistic(images).is_noise


def test_noise_that_was_enlarged_to_twice_its_size_is_noise() -> None:
    small = np.random.default_rng(0).random((50, 16, 16, 3), np.float32)
    assert noise_statistic(small.repeat(2, axis=1).repeat(2, axis=2)).is_noise


def test_the_scale_of_the_values_does_not_matter() -> None:
    images = blots(50).astype(np.float32)
    expected = noise_statistic(images).correlation
    for scaled in (images / 255, images / 127.5 - 1, 1e-6 * images, 1e6 * images):
        assert noise_statistic(scaled.astype(np.float32)).correlation == pytest.approx(expected, abs=1e-4)


def test_correlations_are_numpy_s_but_for_the_edges() -> None:
    image = blots(1, side=64, channels=1)[0].astype(np.float64)
    down, right = neighbour_correlation(image[None])[:, 0]
    assert down == pytest.approx(np.corrcoef(image[1:].ravel(), image[:-1].ravel())[0, 1], abs=0.05)
    assert right == pytest.approx(np.corrcoef(image[:, 1:].ravel(), image[:, :-1].ravel())[0, 1], abs=0.05)


def test_constant_images_are_not_judged_and_constant_channels_not_counted() -> None:
    images = blots(40).astype(np.float32)
    expected = noise_statistic(images[:20]).correlation
    images[20:] = np.random.default_rng(0).random((20, 1, 1, 1))
    assert noise_statistic(images).correlation == pytest.approx(expected)
    assert noise_statistic(images[20:]).correlation is None
    gray = np.concatenate([images[:20, ..., :1], np.full((20, 16, 16, 1), 7, np.float32)], axis=-1)
    assert noise_statistic(gray).correlation == pytest.approx(noise_statistic(gray[..., :1]).correlation)


def test_noisy_images_among_real_ones_are_counted() -> None:
    images = blots(100, side=32).astype(np.float32)
    images[::4] = np.random.default_rng(0).random((25, 32, 32, 3)) * 255
    statistic = noise_statistic(images)
    assert not statistic.is_noise
    assert statistic.noisy_images == 25


@pytest.mark.parametrize("shape", [(1, 640, 1), (2, 2, 3), (4, 4, 1)])
def test_what_is_too_small_for_an_image_is_not_judged(shape: tuple[int, int, int]) -> None:
    statistic = noise_statistic(np.random.default_rng(0).random((30, *shape), np.float32))
    assert (statistic.correlation, statistic.is_noise) == (None, False)
