"""What a page about an export shows beside the bundle: gathered from the bundle, and measured here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from converters.report.attempt import Attempt
from converters.report.host_latency import host_latencies_us
from edge_cnn.core.bundle import Bundle


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
