"""Inputs and pixels of another scale than networks are made for."""

from __future__ import annotations

from collections.abc import Iterator

from edge_cnn.host.data_audit.case import Case
from edge_cnn.host.datasets.remark import Remark
from edge_cnn.host.training.inputs import narrow_top
from edge_cnn.host.training.normalization import find_normalization, puts_normalization


def float_inputs(case: Case) -> Iterator[Remark]:
    """Floats far from mean 0 and deviation 1: a layer in front of the network mends them, and travels with it."""
    if case.train.is_pixels:
        return
    needed = find_normalization(case.train.images)
    if needed is None:
        return
    if puts_normalization(case.config):
        done = (
            "a layer in front of the network divides by 255"
            if needed.like_pixels
            else "a layer in front of the network brings each channel to mean 0 and deviation 1"
        )
        done += " and travels with it, so that the model takes such inputs as they are"
    else:
        done = "networks are made for a mean near 0 and a deviation near 1, and learn from others slowly or not at all"
    yield Remark("scale", f"float inputs are {needed.reason}: {done}")


def narrow_pixels(case: Case) -> Iterator[Remark]:
    """Pixels that use a small part of 0..255: masks and few gray levels, which the preprocessing then stretches."""
    top = narrow_top(case.train)
    if top is not None:
        yield Remark(
            "narrow pixels",
            f"no pixel is above {top} of 255: the preprocessing takes 0..{top} for 0..1, for images on any device "
            "as well; save them as 0..255 if they are photos",
        )
