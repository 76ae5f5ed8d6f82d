"""What to export, with what data, and how far it has come."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from converters.calibration import samples as calibrating
from converters.calibration.table import DEFAULT_METHOD
from converters.improvement.improver import Improvement
from converters.replay_recording import REPLAY_PER_CLASS
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host import golden_recording


@dataclass(frozen=True)
class ExportConfig:
    """What to export.

    Attributes:
        targets: TARGET names.
        schemes: quantization schemes; each target's default one if empty.
        seed: of the choice of calibration, golden and replay samples.
        calibration_samples: how many training samples set the ranges.
        calibration_method: how, a row of `converters.calibration.table.ESTIMATORS`.
        golden_samples: how many test samples travel in the bundle.
        replay_per_class: how many embeddings a class travel in the bundle.
        max_drop: largest share of the test part that a quantized artifact may get wrong beyond the float model; None
            for no limit.
        improvement: what is done to the float model before it is quantized.
        exclude: names of layers that stay in float in int8 `.tflite` files.
        releases: runtimes beyond the targets' own that every file of their format must run on, as "litert==2.1.0".
    """

    targets: tuple[str, ...]
    schemes: tuple[str, ...] = ()
    seed: int = 0
    calibration_samples: int = calibrating.DEFAULT_SAMPLES
    calibration_method: str = DEFAULT_METHOD
    golden_samples: int = golden_recording.DEFAULT_SAMPLES
    replay_per_class: int = REPLAY_PER_CLASS
    max_drop: float | None = None
    improvement: Improvement = field(default_factory=Improvement)
    releases: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True)
class ExportData:
    """What to calibrate and to measure with.

    Attributes:
        train: calibration and replay samples come from here only.
        test: golden samples and accuracies come from here only.
        provenance: name, source, licence and the like, JSON values.
    """

    train: LabelledImages
    test: LabelledImages
    provenance: dict[str, Any] = field(default_factory=dict[str, Any])

    def fingerprints(self) -> dict[str, Any]:
        """Sizes and SHA-256 of both parts, JSON values."""
        return {
            "train_samples": len(self.train),
            "test_samples": len(self.test),
            "train_fingerprint": self.train.fingerprint(),
            "test_fingerprint": self.test.fingerprint(),
        }


@dataclass(frozen=True)
class Progress:
    """A step that begins: `done` of `total` lie behind it."""

    done: int
    total: int
    step: str
