"""Images of one colour, channels that say nothing, and images that are noise."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.named_few import some
from edge_cnn.host.data_audit.case import SHOWN, Case
from edge_cnn.host.datasets.remark import Remark
from edge_cnn.host.image_noise import noise_statistic

_FEW_VALUES = 64
_VALUES = 1 << 22


def one_colour(case: Case) -> Iterator[Remark]:
    """Images in which every pixel is the same: files that were saved empty, or cropped to nothing."""
    images = case.train.images
    if images.shape[1] * images.shape[2] == 1:
        return
    rows = _constant_rows(images)
    if not len(rows):
        return
    every = len(rows) == len(images)
    yield Remark(
        "one colour",
        (
            "every training image is of one colour, so colours are all that can be learned"
            if every
            else f"{len(rows)} of {len(images)} training images are of one colour"
        )
        + f"; check how they were saved: {some([case.name('train', int(row)) for row in rows], 3)}",
        tuple(case.example("train", int(row)) for row in rows[:SHOWN]),
    )


def channels(case: Case) -> Iterator[Remark]:
    """Channels that have one value everywhere, or gray images stored as colour: work for nothing on the device."""
    looked_at = case.some_images(_VALUES)
    count = looked_at.shape[3]
    constant = [
        channel
        for channel in range(count)
        if np.ptp(looked_at[..., channel]) == 0 and np.ptp(case.train.images[..., channel]) == 0
    ]
    if constant and count > 1:
        yield Remark(
            "constant channel",
            f"channel {some([str(channel) for channel in constant])} has one value in all training images; "
            "check how they were saved, or leave it out",
        )
    # A network that was trained before takes the channels that it takes.
    elif count == 3 and case.config.origin is None and case.train.is_pixels and np.all(looked_at == looked_at[..., :1]):
        height, width = looked_at.shape[1:3]
        yield Remark(
            "gray",
            f"all images are gray but have three equal channels; --image-size {height}x{width}x1 makes a network that "
            "computes less and takes gray images",
        )


def noise(case: Case) -> Iterator[Remark]:
    """Neighbouring pixels that have nothing to do with each other: arrays that were reshaped or shuffled wrongly."""
    found = noise_statistic(case.some_images(_VALUES).astype(np.float32))
    if found.is_noise:
        yield Remark(
            "noise",
            f"the images look random: neighbouring pixels correlate by {found.correlation:.2f}, those of real images "
            "by 0.4 to 1; check how they were reshaped",
            tuple(case.example("train", row) for row in range(min(SHOWN, len(case.train)))),
        )


def _constant_rows(images: NDArray[Any]) -> NDArray[np.int64]:
    flat = images.reshape(len(images), -1, images.shape[3])
    some_places = flat[:, :: max(1, flat.shape[1] // _FEW_VALUES)]
    rows = np.flatnonzero((some_places == flat[:, :1]).all(axis=(1, 2)))
    return rows[[bool((flat[row] == flat[row, :1]).all()) for row in rows]] if len(rows) else rows
