"""Bundles with few golden samples: replaying all of them takes most of a small fine-tuning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge_cnn.core.bundle import Bundle, read_bundle
from edge_cnn.core.samples import GoldenSamples

EVERY = 32


def with_few_golden(whole: Bundle, every: int) -> Bundle:
    """The same bundle with one of `every` golden samples."""
    assert whole.golden is not None
    arrays = {name: array[::every] for name, array in whole.golden.to_arrays().items()}
    golden = GoldenSamples.from_arrays(arrays, len(whole.manifest.labels), whole.manifest.preprocessing.image_shape)
    return Bundle(whole.manifest, whole.artifacts, golden, whole.replay)


def small_bundle(path: Path, scheme: str = "int8", format: str = "tflite") -> Bundle:
    """The artifact of this scheme and format alone, with every 32nd golden sample."""
    few = with_few_golden(read_bundle(path), EVERY)
    entry = next(e for e in few.manifest.artifacts if (e.scheme, e.format) == (scheme, format))
    return Bundle(replace(few.manifest, artifacts=(entry,)), (few.artifact(entry.name),), few.golden, few.replay)
