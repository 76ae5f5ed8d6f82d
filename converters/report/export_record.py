"""What a page about an export shows beside the bundle: gathered from the bundle, and measured here."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from converters.explanation.mix_search import describe_try
from converters.report.attempt import Attempt
from converters.report.host_latency import host_latencies_us
from converters.report.layer_noise import layer_sqnr_db
from converters.sources.source_model import SourceModel
from edge_cnn.core.artifact import TFLITE
from edge_cnn.core.bundle import Bundle
from edge_cnn.core.errors import ModelError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.training_input import model_inputs

LAYER_SAMPLES = 32
"""Training samples that the layers are compared with: an SQNR of so many is steady within a tenth of a dB."""

PLAIN = frozenset({"float32", "float16"})
"""Schemes whose layers lose nothing to speak of."""


@dataclass(frozen=True)
class ExportRecord:
    """What the page shows beside the bundle.

    Attributes:
        attempts: every file that was tried, those of the bundle among them.
        test_samples: how many samples the accuracies are of.
        layers: artifact name -> SQNR in dB of each layer's output by name, in the order of execution.
        path: what was tried to keep the bound on the drop, a sentence each.
    """

    attempts: Sequence[Attempt]
    test_samples: int
    layers: Mapping[str, Mapping[str, float]] = field(default_factory=dict[str, dict[str, float]])
    path: Sequence[str] = ()


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
    tried = [attempt for name, search in searches.items() for attempt in _tried(bundle, name, search)]
    return ExportRecord(
        [*attempts_of(bundle), *tried],
        test_samples,
        _layers(source, bundle, train),
        [f"{name}: {step}" for name, search in searches.items() for step in _steps(search)],
    )


def _tried(bundle: Bundle, name: str, search: dict[str, Any]) -> list[Attempt]:
    """What the search tried and did not keep; its drops are of held-out training samples."""
    entry = next(entry for entry in bundle.manifest.artifacts if entry.name == name)
    accuracy = bundle.manifest.host_accuracy or 0.0
    return [
        Attempt(one["what"], entry.format, entry.scheme, one["bytes"], accuracy - one["drop"], kept=False)
        for one in search["tries"]
        if one["what"] != search["chosen"]["what"]
    ]


def _steps(search: dict[str, Any]) -> list[str]:
    return [*map(describe_try, search["tries"]), f"chosen: {search['chosen']['what']}"]


def _layers(source: SourceModel, bundle: Bundle, train: LabelledImages) -> dict[str, dict[str, float]]:
    """SQNR by layer of each quantized `.tflite` whose layers are those of the float model."""
    inputs = model_inputs(train.images[:LAYER_SAMPLES], bundle.manifest.preprocessing)
    found: dict[str, dict[str, float]] = {}
    for entry, artifact in zip(bundle.manifest.artifacts, bundle.artifacts, strict=True):
        if entry.format == TFLITE and entry.scheme not in PLAIN:
            with contextlib.suppress(ModelError):
                found[entry.name] = layer_sqnr_db(source.float_graph, artifact.data, inputs)
    return found
