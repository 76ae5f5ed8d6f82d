"""What fine-tuning is asked for and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import AccuracyDropError, DataError
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.finetuning.memory_budget import check_memory
from edge_cnn.device.head.softmax_head import SoftmaxHead
from edge_cnn.device.training.certificate import Certificate
from edge_cnn.device.training.head_training import Ended, TrainingConfig
from edge_cnn.device.training.linear_probe import PredictedGain
from edge_cnn.device.training.progress import EpochLoss


@dataclass(frozen=True)
class FinetuneConfig:
    """Settings of fine-tuning.

    Attributes:
        holdout: share of the new samples that is held out for early stopping and for the verdict.
        seed: of the split and of the sample order.
        memory: bytes for images in flight, embeddings and training, above runtimes and copies of the model file. The
            optimizer's share is taken from it, whatever its own settings say.
        training: optimizer, regularization and targets.
    """

    holdout: float = 0.2
    seed: int = 0
    memory: int = 2**25
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        if not 0 < self.holdout < 1:
            raise DataError(f"holdout must be a share between 0 and 1, got {self.holdout}; 0.2 is a good start")
        check_memory(self.memory)


@dataclass(frozen=True)
class Accuracies:
    """Shares of right answers on data that no gradient step saw.

    Where training was stopped early the held-out part also chose the pass, so that the figures after fine-tuning are
    slightly optimistic; for unbiased ones keep samples back and classify them with the tuned file.

    Attributes:
        holdout_accuracy: on held-out new samples, by the file itself.
        replay_accuracy: on held-out replayed samples, None without replay.
    """

    holdout_accuracy: float
    replay_accuracy: float | None

    def to_json(self) -> dict[str, float | None]:
        return {"holdout_accuracy": self.holdout_accuracy, "replay_accuracy": self.replay_accuracy}


@dataclass(frozen=True)
class HeldOutAnswers:
    """What the file answers to each held-out new sample, before and after.

    Attributes:
        rows: int64 (n,), which of the new samples these are.
        labels: int64 (n,), the true classes, as indices into the tuned model's.
        before, after: int64 (n,), the first best class.
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    before: NDArray[np.int64]
    after: NDArray[np.int64]


@dataclass(frozen=True)
class FinetuneResult:
    """What fine-tuning did.

    Attributes:
        classifier: the tuned one, opened from the new file's bytes.
        before, after: accuracies of the file before and after.
        held_out: its answers to the held-out new samples.
        float_head_accuracy: held-out accuracy of the new head before it was quantized into the file.
        predicted: what a cross-validated probe said before training that the last layer can reach.
        certificate: bounds on what is left to gain and on what quantization changed.
        head: the new head in real values, for raw embeddings.
        seed: where split and order started.
        order: generator, held-out rows, batch size and epochs: with the seed, all that reproduces the run.
        optimizer: name and settings.
        steps: gradient steps taken.
        history: losses by epoch, on held-out new and old samples together.
        chosen_pass: number of the pass that the head is of, from 1; 0 is the start.
        ended: why training went no further.
        replay_held_out: old samples that the replay accuracies are of.
        provenance: hashes of the base file and of the samples, and settings, as the manifest of a bundle tells them.
        log: JSON values that reproduce the run (`finetuning.log`).
    """

    classifier: Classifier
    before: Accuracies
    after: Accuracies
    held_out: HeldOutAnswers
    float_head_accuracy: float
    predicted: PredictedGain
    certificate: Certificate
    head: SoftmaxHead
    seed: int
    order: dict[str, Any]
    optimizer: dict[str, Any]
    steps: int
    history: tuple[EpochLoss, ...]
    chosen_pass: int
    ended: Ended
    replay_held_out: int
    provenance: dict[str, Any]
    log: dict[str, Any]

    @property
    def improved(self) -> bool:
        """Whether the held-out accuracy did not go down, nor, where it only stayed, that of old samples."""
        gained = self.after.holdout_accuracy - self.before.holdout_accuracy
        return gained > 0 or (gained == 0 and not self._only_forgets)

    @property
    def _only_forgets(self) -> bool:
        before, after = self.before.replay_accuracy, self.after.replay_accuracy
        return before is not None and after is not None and after < before

    def check(self) -> None:
        """Raises: AccuracyDropError: the file was not `improved`."""
        if self.improved:
            return
        if self.after.holdout_accuracy == self.before.holdout_accuracy:
            raise AccuracyDropError(
                f"held-out accuracy would stay at {self.after.holdout_accuracy:.3f} while that of old samples would "
                f"fall from {self.before.replay_accuracy:.3f} to {self.after.replay_accuracy:.3f}; nothing was "
                "written, give more samples or check their labels"
            )
        raise AccuracyDropError(
            f"held-out accuracy would fall from {self.before.holdout_accuracy:.3f} to "
            f"{self.after.holdout_accuracy:.3f}; nothing was written, give more samples or check their labels"
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "float_head_accuracy": self.float_head_accuracy,
            "holdout_samples": len(self.order["holdout"]),
            "predicted": self.predicted.to_json(),
            "seed": self.seed,
            "order": self.order,
            "optimizer": self.optimizer["name"],
            "optimizer_settings": {key: value for key, value in self.optimizer.items() if key != "name"},
            "steps": self.steps,
            "ended": str(self.ended),
            "certificate": {
                "loss_gap_bound": self.certificate.loss_gap_bound,
                "max_logit_error": self.certificate.max_logit_error,
            },
        }
