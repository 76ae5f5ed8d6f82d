"""Fine-tuning: embed, train the last layer, write it back into the same file, measure on held-out data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.samples import ReplaySamples
from edge_cnn.device.certificate import Certificate, loss_gap_bound
from edge_cnn.device.changed_classes import with_classes
from edge_cnn.device.class_imprinting import imprint_classes, without_classes
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.embedding import Embedder
from edge_cnn.device.embedding_rows import open_rows
from edge_cnn.device.finetune_result import Accuracies, FinetuneConfig, FinetuneResult, HeldOutAnswers
from edge_cnn.device.finetune_samples import SplitSamples, check_samples, join, label_indices, rows_among, split_samples
from edge_cnn.device.head_quantization import LOGITS_FLOOR, relevant_range
from edge_cnn.device.head_surgery import merge_head, split_head
from edge_cnn.device.head_training import (
    EpochLoss,
    TrainedHead,
    TrainingConfig,
    pose_problem,
    to_parameters,
    train_head,
)
from edge_cnn.device.linear_probe import PredictedGain, predict_gain
from edge_cnn.device.softmax_head import SoftmaxHead
from edge_cnn.device.standardization import BLOCK_ROWS, fit_standardization
from edge_cnn.device.tuned_model import file_logits, reopen_tuned


def finetune(
    classifier: Classifier,
    images: NDArray[Any],
    labels: NDArray[Any] | Sequence[str],
    *,
    config: FinetuneConfig | None = None,
    replay: LabelledImages | None = None,
    class_names: Sequence[str] | None = None,
    on_batch: Callable[[int, int], None] = lambda _done, _total: None,
    on_predicted: Callable[[PredictedGain], None] = lambda _: None,
    on_epoch: Callable[[EpochLoss], None] = lambda _: None,
) -> FinetuneResult:
    """Retrain the last layer on `images` and write it back into a copy of the file.

    Args:
        classifier: int8 or float, with a fully-connected head.
        images: uint8 pixels (n, height, width, channels), or float model inputs.
        labels: class indices (n,) or class names; every class must be known to the model, or among `class_names`.
        config: settings.
        replay: labelled samples of the old task; by default the embeddings that the bundle stores.
        class_names: the classes that the tuned model shall have, in this order; by default those that it has. Class
            indices in `labels` are places among these. With a new one among them all classes weigh the same.
        on_batch: told (images done, images in all) while embedding.
        on_predicted: told what the last layer can reach, before it is trained.
        on_epoch: told of each pass.

    Raises:
        DataError: too few samples, one class only and no replay, unknown labels, wrong shapes, NaN.
        InputError: `class_names` make no classifier.
        NoHeadError, ModelError: the file cannot be tuned.
    """
    config = config or FinetuneConfig()
    base, known = classifier.artifact, classifier.labels
    if class_names is not None:
        classifier = with_classes(classifier, class_names)
    added = [index for index, name in enumerate(classifier.labels) if name not in known]
    if added:
        # How many samples of a new class meet how many replayed ones of an old class says nothing of what is to come.
        config = replace(config, training=replace(config.training, balanced=True))
    indices = label_indices(labels, classifier.labels)
    embedder = Embedder(classifier)
    has_replay = bool(len(replay)) if replay is not None else _stored(classifier) is not None
    check_samples(images, indices, classifier.labels, has_replay=has_replay)
    rng = np.random.default_rng(config.seed)
    total = len(images) + (len(replay) if replay else 0)
    codes = embedder.codes(images, lambda done: on_batch(done, total))
    new = split_samples(codes, indices, config.holdout, rng)
    old_codes, old_labels = _replayed(embedder, classifier, replay, lambda done: on_batch(len(images) + done, total))
    # A sample that was tuned with before may be held out now: training on its replayed twin would tell the answer.
    unseen = ~rows_among(old_codes, codes)
    old = split_samples(old_codes[unseen], old_labels[unseen], config.holdout, rng)

    train_codes, targets = join(new.train, old.train)
    held_codes, held_targets = join(new.holdout, old.holdout)
    standardization = fit_standardization(train_codes, embedder.to_real)
    quantization, memory = embedder.split.info.embedding.quantization, config.training.settings.memory
    rows = open_rows(train_codes, quantization, standardization, memory)
    held = open_rows(held_codes, quantization, standardization, memory // 8)
    own = without_classes(to_parameters(standardization.head_to_standardized(embedder.split.head)), added)
    is_new = np.arange(len(targets)) < len(new.train_rows)
    predicted = predict_gain(rows, targets, is_new, own, config.training, rng, classifier.threads)
    on_predicted(predicted)
    problem = pose_problem(rows, targets, own, predicted.l2, config.training, classifier.threads)
    start = imprint_classes(problem.anchor if config.training.anchored else own, rows, targets, added)
    trained = train_head(problem, start, config.training, rng, (held, held_targets), on_epoch)
    head = standardization.head_to_raw(trained.head)
    merged = merge_head(classifier.artifact, head, _logits_range(head, (train_codes, held_codes), embedder))
    optimizer = _optimizer(config.training, predicted.l2, trained)
    provenance = _provenance(base, LabelledImages(images, indices, classifier.labels), config, optimizer)
    tuned = reopen_tuned(
        classifier,
        merged,
        head,
        embedder,
        ReplaySamples(indices[new.train_rows], {merged.name: codes[new.train_rows]}),
        provenance,
    )
    held_embeddings = embedder.to_real(new.holdout[0])
    meant = np.maximum(head.logits(held_embeddings), LOGITS_FLOOR)
    logit_error = np.maximum(file_logits(merged, classifier, images[new.holdout_rows]), LOGITS_FLOOR) - meant
    held_out = HeldOutAnswers(
        new.holdout_rows,
        new.holdout[1],
        *(opened.predict(images[new.holdout_rows]).indices for opened in (classifier, tuned)),
    )
    return FinetuneResult(
        classifier=tuned,
        before=Accuracies(
            _share(held_out.before, held_out.labels), _replay_accuracy(embedder.split.head, old, embedder)
        ),
        after=Accuracies(
            _share(held_out.after, held_out.labels), _replay_accuracy(split_head(merged).head, old, embedder)
        ),
        held_out=held_out,
        float_head_accuracy=_share(head.logits(held_embeddings).argmax(axis=1), new.holdout[1]),
        predicted=predicted,
        certificate=Certificate(loss_gap_bound(problem, trained.parameters), float(np.abs(logit_error).max())),
        head=head,
        seed=config.seed,
        order={
            "generator": "numpy PCG64",
            "holdout": [int(i) for i in np.sort(new.holdout_rows)],
            "batch_size": config.training.settings.batch_size,
            "epochs": len(trained.history),
        },
        optimizer=optimizer,
        steps=trained.steps,
        history=trained.history,
        chosen_pass=trained.chosen_pass,
        replay_held_out=len(old.holdout_rows),
        provenance=provenance,
    )


def _replayed(
    embedder: Embedder, classifier: Classifier, replay: LabelledImages | None, on_batch: Callable[[int], None]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Embedding codes (n, features) and labels (n,) of the old task: those given, else those stored in the bundle."""
    if replay is not None:
        names = [replay.class_names[int(label)] for label in replay.labels.tolist()]
        return embedder.codes(replay.images, on_batch), label_indices(names, classifier.labels)
    stored = _stored(classifier)
    if stored is not None:
        return stored.embeddings[classifier.artifact.name], stored.labels
    spec = embedder.split.info.embedding
    return np.empty((0, embedder.split.info.features), spec.numpy_dtype), np.empty(0, np.int64)


def _stored(classifier: Classifier) -> ReplaySamples | None:
    """Embeddings of this artifact in its bundle, if there are any that this backbone gives."""
    bundle = classifier.bundle
    # Those of other preprocessing are not what it gives now.
    if bundle is None or bundle.manifest.preprocessing != classifier.preprocessing:
        return None
    replay = bundle.replay
    return (
        replay if replay is not None and classifier.artifact.name in replay.embeddings and len(replay.labels) else None
    )


def _replay_accuracy(file_head: SoftmaxHead, old: SplitSamples, embedder: Embedder) -> float | None:
    """Of held-out replayed embeddings, by the head as the file's codes represent it; None without any."""
    if not len(old.holdout_rows):
        return None
    codes, labels = old.holdout
    return _share(file_head.logits(embedder.to_real(codes)).argmax(axis=1), labels)


def _share(answers: NDArray[Any], labels: NDArray[np.int64]) -> float:
    return float(np.count_nonzero(answers == labels) / len(labels))


def _logits_range(
    head: SoftmaxHead, parts: tuple[NDArray[Any], NDArray[Any]], embedder: Embedder
) -> tuple[float, float]:
    """What the head's logits need codes for, on embedding codes that are widened block by block."""
    blocks = (part[start : start + BLOCK_ROWS] for part in parts for start in range(0, len(part), BLOCK_ROWS))
    ranges = [relevant_range(head.logits(embedder.to_real(block))) for block in blocks]
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _optimizer(training: TrainingConfig, l2: float, trained: TrainedHead) -> dict[str, Any]:
    asked = asdict(training)
    settings = asked.pop("settings")
    del asked["optimizer"]
    return {"name": trained.optimizer} | settings | asked | {"l2": l2, "learning_rate": trained.learning_rate}


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
