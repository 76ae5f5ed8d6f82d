"""One artifact of a bundle with few golden samples: replaying all of them takes most of a small fine-tuning."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from edge_cnn.core.bundle import Bundle, read_bundle
from edge_cnn.core.samples import GoldenSamples

EVERY = 32


def small_bundle(path: Path, scheme: str = "int8", format: str = "tflite") -> Bundle:
    """The artifact of this scheme and format alone, with every 32nd golden sample."""
    whole = read_bundle(path)
    entry = next(e for e in whole.manifest.artifacts if (e.scheme, e.format) == (scheme, format))
    assert whole.golden is not None
    golden = GoldenSamples.from_arrays(
        {name: array[::EVERY] for name, array in whole.golden.to_arrays().items()},
        len(whole.manifest.labels),
        whole.manifest.preprocessing.image_shape,
    )
    manifest = replace(whole.manifest, artifacts=(entry,))
    return Bundle(manifest, (whole.artifact(entry.name),), golden, whole.replay)
