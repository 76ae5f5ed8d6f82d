"""Fine-tuning: embed, train the last layer, write it back into the same file, measure on held-out data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import AccuracyDropError, DataError
from edge_cnn.core.labelled_images import LabelledImages, stratified_split
from edge_cnn.core.samples import ReplaySamples
from edge_cnn.device.certificate import Certificate, loss_gap_bound
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.embedding import Embedder
from edge_cnn.device.head_quantization import LOGITS_FLOOR, relevant_range
from edge_cnn.device.head_surgery import merge_head, split_head
from edge_cnn.device.head_training import EpochLoss, SgdConfig, TrainedHead, train_head
from edge_cnn.device.softmax_head import SoftmaxHead
from edge_cnn.device.standardization import fit_standardization
from edge_cnn.device.tuned_model import file_logits, reopen_tuned

MIN_SAMPLES = 10

_Part = tuple[NDArray[np.float32], NDArray[np.int64]]


@dataclass(frozen=True)
class FinetuneConfig:
    """Settings of fine-tuning.

    Attributes:
        holdout: share of the new samples that is held out for early stopping and for the verdict.
        seed: of the split and of the sample order.
        sgd: settings of the descent.
    """

    holdout: float = 0.2
    seed: int = 0
    sgd: SgdConfig = field(default_factory=SgdConfig)

    def __post_init__(self) -> None:
        if not 0 < self.holdout < 1:
            raise DataError(f"holdout must be a share between 0 and 1, got {self.holdout}; 0.2 is a good start")


@dataclass(frozen=True)
class Accuracies:
    """Shares of right answers on data that no step saw.

    Attributes:
        holdout_accuracy: on held-out new samples, by the file itself.
        replay_accuracy: on held-out replayed samples, None without replay.
    """

    holdout_accuracy: float
    replay_accuracy: float | None

    def to_json(self) -> dict[str, float | None]:
        return {"holdout_accuracy": self.holdout_accuracy, "replay_accuracy": self.replay_accuracy}


@dataclass(frozen=True)
class FinetuneResult:
    """What fine-tuning did.

    Attributes:
        classifier: the tuned one, opened from the new file's bytes.
        before, after: accuracies of the file before and after.
        float_head_accuracy: held-out accuracy of the new head before it was quantized into the file.
        certificate: bounds on what is left to gain and on what quantization changed.
        head: the new head in real values, for raw embeddings.
        seed: where split and order started.
        order: generator, held-out rows, batch size and epochs: with the seed, all that reproduces the run.
        optimizer: name and settings.
        steps: gradient steps taken.
        history: losses by epoch.
    """

    classifier: Classifier
    before: Accuracies
    after: Accuracies
    float_head_accuracy: float
    certificate: Certificate
    head: SoftmaxHead
    seed: int
    order: dict[str, Any]
    optimizer: dict[str, Any]
    steps: int
    history: tuple[EpochLoss, ...]

    @property
    def improved(self) -> bool:
        """Whether the held-out accuracy did not go down."""
        return self.after.holdout_accuracy >= self.before.holdout_accuracy

    def check(self) -> None:
        """Raises: AccuracyDropError: the held-out accuracy went down."""
        if not self.improved:
            raise AccuracyDropError(
                f"held-out accuracy would fall from {self.before.holdout_accuracy:.3f} to "
                f"{self.after.holdout_accuracy:.3f}; nothing was written, give more samples or check their labels"
            )

    def to_json(self) -> dict[str, Any]:
        return {
            "before": self.before.to_json(),
            "after": self.after.to_json(),
            "float_head_accuracy": self.float_head_accuracy,
            "seed": self.seed,
            "order": self.order,
            "optimizer": self.optimizer,
            "steps": self.steps,
            "certificate": {
                "loss_gap_bound": self.certificate.loss_gap_bound,
                "max_logit_error": self.certificate.max_logit_error,
            },
        }


def finetune(
    classifier: Classifier,
    images: NDArray[Any],
    labels: NDArray[Any] | Sequence[str],
    *,
    config: FinetuneConfig | None = None,
    replay: LabelledImages | None = None,
    on_batch: Callable[[int, int], None] = lambda _done, _total: None,
    on_epoch: Callable[[EpochLoss], None] = lambda _: None,
) -> FinetuneResult:
    """Retrain the last layer on `images` and write it back into a copy of the file.

    Args:
        classifier: int8 or float, with a fully-connected head.
        images: uint8 pixels (n, height, width, channels), or float model inputs.
        labels: class indices (n,) or class names; every class must be known to the model.
        config: settings.
        replay: labelled samples of the old task; by default the embeddings that the bundle stores.
        on_batch: told (images done, images in all) while embedding.
        on_epoch: told of each epoch.

    Raises:
        DataError: too few samples, one class only, unknown labels, wrong shapes, NaN.
        NoHeadError, ModelError: the file cannot be tuned.
    """
    config = config or FinetuneConfig()
    indices = label_indices(labels, classifier.labels)
    _check_samples(images, indices)
    embedder = Embedder(classifier)
    rng = np.random.default_rng(config.seed)
    total = len(images) + (len(replay) if replay else 0)
    codes = embedder.codes(images, lambda done: on_batch(done, total))
    new = _split(embedder.to_real(codes), indices, config.holdout, rng)
    old = _split(
        *_replayed(embedder, classifier, replay, lambda done: on_batch(len(images) + done, total)), config.holdout, rng
    )

    embeddings, targets = _join(new.train, old.train)
    held, held_targets = _join(new.holdout, old.holdout)
    standardization = fit_standardization(embeddings)
    z = standardization.apply(embeddings)
    start = standardization.head_to_standardized(embedder.split.head)
    trained = train_head(start, z, targets, config.sgd, rng, (standardization.apply(held), held_targets), on_epoch)
    head = standardization.head_to_raw(trained.head)
    merged = merge_head(classifier.artifact, head, relevant_range(head.logits(np.concatenate([embeddings, held]))))
    optimizer = _optimizer(config.sgd, trained)
    tuned = reopen_tuned(
        classifier,
        merged,
        head,
        embedder,
        ReplaySamples(indices[new.train_rows], {merged.name: codes[new.train_rows]}),
        _provenance(classifier.artifact, LabelledImages(images, indices, classifier.labels), config, optimizer),
    )
    meant = np.maximum(head.logits(new.holdout[0]), LOGITS_FLOOR)
    logit_error = np.maximum(file_logits(merged, classifier, images[new.holdout_rows]), LOGITS_FLOOR) - meant
    return FinetuneResult(
        classifier=tuned,
        before=_accuracies(classifier, embedder.split.head, images, new, old),
        after=_accuracies(tuned, split_head(merged).head, images, new, old),
        float_head_accuracy=_share(head.logits(new.holdout[0]).argmax(axis=1), new.holdout[1]),
        certificate=Certificate(
            loss_gap_bound(trained.head, z, targets, config.sgd.l2), float(np.abs(logit_error).max())
        ),
        head=head,
        seed=config.seed,
        order={
            "generator": "numpy PCG64",
            "holdout": [int(i) for i in np.sort(new.holdout_rows)],
            "batch_size": config.sgd.batch_size,
            "epochs": len(trained.history),
        },
        optimizer=optimizer,
        steps=trained.steps,
        history=trained.history,
    )


def label_indices(labels: NDArray[Any] | Sequence[str], class_names: tuple[str, ...]) -> NDArray[np.int64]:
    """Class indices int64 (n,) from indices or names. Raises: DataError: unknown or out of range."""
    array = np.asarray(labels)
    if array.dtype.kind in "US":
        index = {name: i for i, name in enumerate(class_names)}
        unknown = sorted(set(array.tolist()) - set(index))
        if unknown:
            raise DataError(
                f"label {unknown[0]!r} is not one of the model's classes {', '.join(class_names)}; rename it"
            )
        return np.array([index[name] for name in array.tolist()], np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(f"labels must be class indices (n,) or names, got {array.dtype} {array.shape}; convert them")
    outside = array[(array < 0) | (array >= len(class_names))]
    if len(outside):
        raise DataError(
            f"label {int(outside[0])} is out of range, the {len(class_names)} classes are 0..{len(class_names) - 1}"
        )
    return array.astype(np.int64)


def _check_samples(images: NDArray[Any], labels: NDArray[np.int64]) -> None:
    if len(images) != len(labels):
        raise DataError(f"{len(images)} images but {len(labels)} labels; give one label an image")
    if len(labels) < MIN_SAMPLES:
        raise DataError(f"fine-tuning needs at least {MIN_SAMPLES} samples, got {len(labels)}; collect more")
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise DataError(f"all samples have label {int(classes[0])}; fine-tuning needs at least two classes")
    if counts.max() < 2:
        raise DataError("no class has two samples, so none can be held out; collect more")


def _replayed(
    embedder: Embedder, classifier: Classifier, replay: LabelledImages | None, on_batch: Callable[[int], None]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    if replay is not None:
        return embedder.to_real(embedder.codes(replay.images, on_batch)), replay.labels
    stored = classifier.bundle.replay if classifier.bundle else None
    if stored is not None and classifier.artifact.name in stored.embeddings:
        return embedder.to_real(stored.embeddings[classifier.artifact.name]), stored.labels
    return np.empty((0, embedder.split.info.features), np.float32), np.empty(0, np.int64)


@dataclass(frozen=True)
class _SplitSamples:
    """Real embeddings (n, features) and labels (n,) with the rows of two disjoint parts."""

    embeddings: NDArray[np.float32]
    labels: NDArray[np.int64]
    train_rows: NDArray[np.int64]
    holdout_rows: NDArray[np.int64]

    @property
    def train(self) -> _Part:
        return self.embeddings[self.train_rows], self.labels[self.train_rows]

    @property
    def holdout(self) -> _Part:
        return self.embeddings[self.holdout_rows], self.labels[self.holdout_rows]


def _split(
    embeddings: NDArray[np.float32], labels: NDArray[np.int64], share: float, rng: np.random.Generator
) -> _SplitSamples:
    if len(labels) == 0:
        none = np.empty(0, np.int64)
        return _SplitSamples(embeddings, labels, none, none)
    return _SplitSamples(embeddings, labels, *stratified_split(labels, share, rng))


def _join(first: _Part, second: _Part) -> _Part:
    return np.concatenate([first[0], second[0]]), np.concatenate([first[1], second[1]])


def _accuracies(
    classifier: Classifier, file_head: SoftmaxHead, images: NDArray[Any], new: _SplitSamples, old: _SplitSamples
) -> Accuracies:
    """New samples go through the file itself, replayed embeddings through the head as the file's codes represent it."""
    answers = classifier.predict(images[new.holdout_rows]).indices
    replayed = None
    if len(old.holdout_rows):
        embeddings, labels = old.holdout
        replayed = _share(file_head.logits(embeddings).argmax(axis=1), labels)
    return Accuracies(_share(answers, new.holdout[1]), replayed)


def _share(answers: NDArray[Any], labels: NDArray[np.int64]) -> float:
    return float(np.count_nonzero(answers == labels) / len(labels))


def _optimizer(sgd: SgdConfig, trained: TrainedHead) -> dict[str, Any]:
    return {"name": "sgd"} | asdict(sgd) | {"learning_rate": trained.learning_rate}


def _provenance(
    base: Artifact, samples: LabelledImages, config: FinetuneConfig, optimizer: dict[str, Any]
) -> dict[str, Any]:
    return {
        "base_sha256": base.sha256,
        "samples": len(samples),
        "samples_sha256": samples.fingerprint(),
        "seed": config.seed,
        "holdout": config.holdout,
        "optimizer": optimizer,
    }
