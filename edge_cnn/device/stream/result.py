"""What tuning from a stream is asked for, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from edge_cnn.core.confidence_interval import wilson_interval
from edge_cnn.core.errors import InputError
from edge_cnn.device.stream.commit_rule import CommitRule
from edge_cnn.device.stream.prequential import WINDOW, SeenAccuracy
from edge_cnn.device.training.certificate import Certificate
from edge_cnn.device.training.head_training import TrainingConfig


@dataclass(frozen=True)
class StreamConfig:
    """Settings of tuning from a stream.

    Attributes:
        seed: of the folds that choose L2, and of the sample order where an optimizer has one.
        window: samples of the sliding window of the prequential accuracy.
        capacity: training samples that are kept, the newest; as embedding codes.
        holdout_capacity: held-out samples that are kept, the newest.
        holdout_memory: bytes that their images may take; fewer are kept where they are large.
        training: optimizer, regularization and targets.
        rule: when a head is good enough to be committed.
    """

    seed: int = 0
    window: int = WINDOW
    capacity: int = 20_000
    holdout_capacity: int = 2_000
    holdout_memory: int = 2**26
    training: TrainingConfig = field(default_factory=TrainingConfig)
    rule: CommitRule = field(default_factory=CommitRule)

    def __post_init__(self) -> None:
        for name in ("window", "capacity", "holdout_capacity", "holdout_memory"):
            if getattr(self, name) < 1:
                raise InputError(f"tuning from a stream: {name} must be at least 1; change it")


@dataclass(frozen=True)
class StreamStep:
    """What became of one sample.

    Attributes:
        samples: how many came so far, this one included.
        answer: class that the head of that moment gave, as an index.
        right: whether that was its label.
        held_out: whether it judges instead of training.
    """

    samples: int
    answer: int
    right: bool
    held_out: bool


@dataclass(frozen=True)
class HoldoutAccuracy:
    """Right answers to held-out samples of a stream, and to held-out replayed ones.

    Attributes:
        right, samples: of the stream.
        replay_accuracy: of replayed ones, by the head as the file's codes represent it; None without any.
    """

    right: int
    samples: int
    replay_accuracy: float | None

    @property
    def share(self) -> float | None:
        """None without samples."""
        return self.right / self.samples if self.samples else None

    @property
    def interval(self) -> tuple[float, float]:
        """95 % confidence interval of the share (Wilson)."""
        return wilson_interval(self.right, self.samples)

    def to_json(self) -> dict[str, Any]:
        return {
            "holdout_accuracy": self.share,
            "holdout_interval": list(self.interval),
            "replay_accuracy": self.replay_accuracy,
        }


@dataclass(frozen=True)
class StreamUpdate:
    """What one retraining gave.

    Attributes:
        samples: that came so far.
        train_samples: that trained now, replayed ones left out.
        seen: prequential accuracy.
        head: held-out accuracy of the new head: by the merged file itself if `verified`, else by the head as that
            file's codes represent it, on stored embeddings.
        committed_head: held-out accuracy of the committed file, after this update.
        verified: whether the merged file was opened and asked.
        committed: whether it was written.
        reason: why it was not; None where it was.
        l2: strength of the pull to the model's own head; None where nothing was trained.
        steps: gradient steps of this update.
    """

    samples: int
    train_samples: int
    seen: SeenAccuracy
    head: HoldoutAccuracy
    committed_head: HoldoutAccuracy
    verified: bool
    committed: bool
    reason: str | None
    l2: float | None
    steps: int

    def to_json(self) -> dict[str, Any]:
        return {
            "samples": self.samples,
            "train_samples": self.train_samples,
            "seen_accuracy": self.seen.recent,
            "seen_window": self.seen.window,
            "seen_accuracy_overall": self.seen.overall,
            **self.head.to_json(),
            "holdout_samples": self.head.samples,
            "verified": self.verified,
            "committed": self.committed,
            "reason": self.reason,
            "committed_holdout_accuracy": self.committed_head.share,
            "l2": self.l2,
            "steps": self.steps,
        }


@dataclass(frozen=True)
class StreamSummary:
    """What came of the whole stream.

    Attributes:
        samples, train_samples: that came, and of these that trained in the last update.
        seen: prequential accuracy.
        before, after: held-out accuracy of the file at the start and of the committed one, on the same samples.
        updates, commits: how many there were.
        reason: why the last update was not committed; None where it was, or without any.
        seed: what chance started from.
        optimizer: name and settings of the last training, empty without any.
        steps: gradient steps of all updates.
        certificate: of the committed head; None without one.
    """

    samples: int
    train_samples: int
    seen: SeenAccuracy
    before: HoldoutAccuracy
    after: HoldoutAccuracy
    updates: int
    commits: int
    reason: str | None
    seed: int
    optimizer: dict[str, Any]
    steps: int
    certificate: Certificate | None

    def to_json(self) -> dict[str, Any]:
        return {
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "saved": self.commits > 0,
            "samples": self.samples,
            "train_samples": self.train_samples,
            "holdout_samples": self.after.samples,
            "seen_accuracy": self.seen.recent,
            "seen_window": self.seen.window,
            "seen_accuracy_overall": self.seen.overall,
            "updates": self.updates,
            "commits": self.commits,
            "reason": self.reason,
            "seed": self.seed,
            "optimizer": self.optimizer.get("name"),
            "optimizer_settings": {key: value for key, value in self.optimizer.items() if key != "name"},
            "steps": self.steps,
            "certificate": None
            if self.certificate is None
            else {
                "loss_gap_bound": self.certificate.loss_gap_bound,
                "max_logit_error": self.certificate.max_logit_error,
            },
        }
