"""`spiral`: two interleaved spirals, as the TensorFlow Playground (Smilkov and Carter) makes them.

Its source, tensorflow/playground `src/dataset.ts`, `classifySpiralData`: of n points an arm, point i lies at radius
5 i/n and angle 2 pi 1.75 i/n, the second arm half a turn on, and each coordinate gets noise from a uniform distribution
over [-noise, noise]. Both arms start in the centre, so that one of these two points is always answered wrong.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import InputError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.datasets.dataset import DatasetEntry
from edge_cnn.host.datasets.recipe import Recipe

POINTS = 500
TEST_SHARE = 0.5
SPLIT_SEED = 2026
"""Apart from any training seed: the test part must be the same for every model."""

RADIUS, TURNS = 5.0, 1.75

DOMAIN = 6.0
"""What the Playground draws, and what a coordinate is divided by: then [-1, 1] is its whole picture, and holds every
point at every noise that it offers (at most 0.5, so that no coordinate leaves [-5.5, 5.5]). Divided by the radius,
points with noise would leave [-1, 1], and the same point would be another input at another noise."""

CLASS_NAMES = ("orange", "blue")
"""The Playground's targets -1 and +1 by their colours."""


def make_points(noise: float = 0.0, count: int = POINTS, seed: int = SPLIT_SEED) -> LabelledImages:
    """Points of both arms, shuffled.

    Args:
        noise: half width of what is added to each coordinate, in the units of the radius 5; the Playground's slider
            goes from 0 to 0.5.
        count: of points, half of them on each arm; one less if odd.
        seed: of noise and order; the same seed gives the same points.

    Returns:
        Model inputs float32 (count, 1, 1, 2), x and y in [-1, 1]; label 1 on the arm that starts upwards.

    Raises:
        InputError: noise outside [0, 0.5], or fewer than two points.
    """
    if not 0 <= noise <= 0.5:
        raise InputError(f"the noise of a spiral must be in [0, 0.5], got {noise:g}; give a value as the Playground's")
    if count < 2:
        raise InputError(f"two spirals need at least two points, got {count}; give more")
    rng = np.random.default_rng(seed)
    arm = count // 2
    along = np.arange(arm) / arm
    points = np.concatenate([_arm(along, 0.0), _arm(along, np.pi)])
    points += noise * rng.uniform(-1, 1, points.shape)
    labels = np.repeat(np.array([1, 0]), arm)
    order = rng.permutation(len(labels))
    inputs = (points[order] / DOMAIN).astype(np.float32).reshape(-1, 1, 1, 2)
    return LabelledImages(inputs, labels[order].astype(np.int64), CLASS_NAMES)


def load() -> tuple[LabelledImages, LabelledImages]:
    """250 points for training and 250 for tests, without noise: the halves of one shuffle, as in the Playground."""
    everything = make_points()
    rows = np.arange(len(everything))
    split = len(rows) - round(TEST_SHARE * len(rows))
    return everything.select(rows[:split]), everything.select(rows[split:])


def _arm(along: NDArray[np.float64], start: float) -> NDArray[np.float64]:
    """Points (n, 2) at shares `along` of an arm; its angle is counted from the y axis."""
    angle = 2 * np.pi * TURNS * along + start
    return RADIUS * along[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)


SPIRAL = DatasetEntry(
    name="spiral",
    summary="two interleaved spirals of points in the plane",
    source="computed as the TensorFlow Playground by D. Smilkov and S. Carter does",
    licence="none needed: computed, not copied",
    image_shape=(1, 1, 2),
    classes=2,
    train_samples=250,
    test_samples=250,
    is_present=lambda: True,
    load=load,
    # Measured in docs/training-spiral.md. Adam learns as fast, but in long trainings its surface gets worse again; the
    # decay of the weights keeps it smooth.
    recipe=Recipe(
        "mlp", 200, 25, "sgd", 0.1, "squared-error", "none", watch_test=True, weight_decay=0.0003, patience=None
    ),
)
