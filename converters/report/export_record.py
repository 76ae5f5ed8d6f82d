"""What a page about an export shows beside the bundle: gathered from the bundle, and measured here."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from converters.report.attempt import Attempt
from converters.report.host_latency import host_latencies_us
from converters.report.layer_noise import layer_sqnr_db
from converters.sources.source_model import SourceModel
from edge_cnn.core.artifact import TFLITE
from edge_cnn.core.bundle import Bundle
from edge_cnn.core.errors import ModelError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.training.inputs import model_inputs

LAYER_SAMPLES = 32
"""Training samples that the layers are compared with: an SQNR of so many is steady within a tenth of a dB."""

PLAIN = frozenset({"float32", "float16"})
"""Schemes whose layers lose nothing to speak of."""


@dataclass(frozen=True)
class Search:
    """What was tried to keep the bound on the drop of one file.

    Attributes:
        artifact: its name.
        samples: how many training samples, which did not calibrate, chose; accuracies are of them.
        attempts: each way, with the size of its file before metadata.
        chosen: the way that was taken.
    """

    artifact: str
    samples: int
    attempts: tuple[Attempt, ...]
    chosen: str


@dataclass(frozen=True)
class ExportRecord:
    """What the page shows beside the bundle.

    Attributes:
        attempts: the bundle's files, measured on the test part.
        test_samples: how many samples that is.
        layers: artifact name -> SQNR in dB of each layer's output by name, in the order of execution.
        searches: one for each file whose plain way lost too much.
    """

    attempts: Sequence[Attempt]
    test_samples: int
    layers: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, dict[str, float]])
    searches: Sequence[Search] = ()


def attempts_of(bundle: Bundle) -> list[Attempt]:
    """The bundle's files, timed here on its first golden sample; without golden samples they are not timed."""
    measured: list[tuple[float | None, str]] = [(None, "")] * len(bundle.artifacts)
    if bundle.golden is not None:
        image = bundle.golden.inputs[:1]
        measured = list(host_latencies_us(bundle.artifacts, image, bundle.manifest.preprocessing))
    return [
        Attempt(
            entry.name, entry.format, entry.scheme, len(artifact.data), entry.host_accuracy or 0.0, latency, kernels
        )
        for entry, artifact, (latency, kernels) in zip(
            bundle.manifest.artifacts, bundle.artifacts, measured, strict=True
        )
    ]


def record_of(source: SourceModel, bundle: Bundle, train: LabelledImages, test_samples: int) -> ExportRecord:
    """Everything about a bundle that was just exported.

    Args:
        source: the float model.
        bundle: what came of it.
        train: samples to compare the layers with.
        test_samples: how many samples the manifest's accuracies are of.
    """
    searches = (bundle.manifest.provenance.get("max_drop") or {}).get("artifacts", {})
    return ExportRecord(
        attempts_of(bundle),
        test_samples,
        _layers(source, bundle, train),
        [_search(bundle, name, search) for name, search in searches.items()],
    )


def _search(bundle: Bundle, name: str, search: dict[str, Any]) -> Search:
    entry = next(entry for entry in bundle.manifest.artifacts if entry.name == name)
    chosen = search["chosen"]["what"]
    attempts = tuple(
        Attempt(one["what"], entry.format, entry.scheme, one["bytes"], one["accuracy"], kept=one["what"] == chosen)
        for one in search["tries"]
    )
    return Search(name, search["held_out"]["samples"], attempts, chosen)


def _layers(source: SourceModel, bundle: Bundle, train: LabelledImages) -> dict[str, dict[str, float]]:
    """SQNR by layer of each quantized `.tflite` whose layers are those of the float model: training changes them."""
    if "trained" in bundle.manifest.provenance.get("improvement", {}):
        return {}
    inputs = model_inputs(train.images[:LAYER_SAMPLES], bundle.manifest.preprocessing)
    found: dict[str, dict[str, float]] = {}
    for entry, artifact in zip(bundle.manifest.artifacts, bundle.artifacts, strict=True):
        if entry.format == TFLITE and entry.scheme not in PLAIN:
            with contextlib.suppress(ModelError):
                found[entry.name] = layer_sqnr_db(source.float_graph, artifact.data, inputs)
    return found
