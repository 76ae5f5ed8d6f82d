"""Fine-tuning: embed, train the last layer, write it back into the same file, measure on held-out data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import DataError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.finetuning.data import FinetuneData, gather, origin_of
from edge_cnn.device.finetuning.embedding import BATCH, Embedder
from edge_cnn.device.finetuning.embedding_store import MemoryStore
from edge_cnn.device.finetuning.held_out_check import check_held_out, file_accuracy, share_right
from edge_cnn.device.finetuning.log import log_of
from edge_cnn.device.finetuning.memory_budget import batch_size, training_memory, training_threads
from edge_cnn.device.finetuning.result import Accuracies, FinetuneConfig, FinetuneResult
from edge_cnn.device.finetuning.sample_checks import remark_on_guessing
from edge_cnn.device.finetuning.samples import label_indices
from edge_cnn.device.finetuning.training_checkpoint import TrainingCheckpoint
from edge_cnn.device.finetuning.tuned_model import remember, reopen_tuned
from edge_cnn.device.finetuning.work import FinetuneWork
from edge_cnn.device.head.changed_classes import with_classes
from edge_cnn.device.head.class_imprinting import imprint_classes, without_classes
from edge_cnn.device.head.surgery import split_head
from edge_cnn.device.head.writing import write_head
from edge_cnn.device.sample_source import SampleSource
from edge_cnn.device.training.certificate import Certificate, loss_gap_bound
from edge_cnn.device.training.embedding_rows import open_rows
from edge_cnn.device.training.head_training import (
    describe_training,
    pose_problem,
    to_parameters,
    train_head,
)
from edge_cnn.device.training.linear_probe import PredictedGain, predict_gain
from edge_cnn.device.training.progress import EpochLoss
from edge_cnn.device.training.standardization import fit_standardization


@dataclass(frozen=True)
class Listener:
    """Who is told how a fine-tuning goes.

    Attributes:
        on_batch: (images done, images in all) while embedding.
        on_remark: what a person should know of the samples.
        on_predicted: what the last layer can reach, before it is trained.
        on_epoch: each pass.
    """

    on_batch: Callable[[int, int], None] = lambda _done, _total: None
    on_remark: Callable[[str], None] = lambda _: None
    on_predicted: Callable[[PredictedGain], None] = lambda _: None
    on_epoch: Callable[[EpochLoss], None] = lambda _: None


def finetune(
    classifier: Classifier,
    images: NDArray[Any],
    labels: NDArray[Any] | Sequence[str],
    *,
    config: FinetuneConfig | None = None,
    replay: LabelledImages | None = None,
    class_names: Sequence[str] | None = None,
    listener: Listener | None = None,
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
        listener: told how it goes.

    Raises:
        DataError: too few samples, one class only and no replay, unknown labels, wrong shapes, NaN, equal embeddings.
        InputError: `class_names` make no classifier.
        NoHeadError, ModelError: the file cannot be tuned.
    """
    names = classifier.labels if class_names is None else tuple(class_names)
    if len(images) != len(labels):
        raise DataError(f"{len(images)} images but {len(labels)} labels; give one label an image")
    samples = LabelledImages(images, label_indices(labels, names), names)
    return finetune_samples(
        classifier, samples, config=config, replay=replay, class_names=class_names, listener=listener
    )


def finetune_samples(
    classifier: Classifier,
    samples: SampleSource,
    *,
    config: FinetuneConfig | None = None,
    replay: SampleSource | None = None,
    class_names: Sequence[str] | None = None,
    listener: Listener | None = None,
    work: FinetuneWork | None = None,
) -> FinetuneResult:
    """As `finetune`, on samples that are read when they are needed.

    Args:
        classifier, config, class_names, listener: as there.
        samples: to be learned; their class names are the model's, or among `class_names`.
        replay: of the old task.
        work: keeps embeddings and checkpoints; with it a run that was interrupted goes on where it was, to the same
            bytes. None keeps embeddings in memory.

    Raises:
        DataError, InputError, NoHeadError, ModelError: as there.
    """
    config, listener = config or FinetuneConfig(), listener or Listener()
    base, known = classifier, classifier.labels
    if class_names is not None:
        classifier = with_classes(classifier, class_names)
    added = [index for index, name in enumerate(classifier.labels) if name not in known]
    if added:
        # How many samples of a new class meet how many replayed ones of an old class says nothing of what is to come.
        config = replace(config, training=replace(config.training, balanced=True))
    embedder = Embedder(classifier)
    info = embedder.split.info
    if work is None:
        store = MemoryStore(info.features, info.embedding.numpy_dtype)
    else:
        # The base's: with other classes the backbone is the same.
        store = work.open_store(origin_of(base), info.features, info.embedding.numpy_dtype)
    rng = np.random.default_rng(config.seed)
    batch = min(BATCH, batch_size(classifier.runtime.inputs[0], config.memory))
    data = gather(
        classifier,
        embedder,
        samples,
        replay,
        store,
        config.holdout,
        batch,
        rng,
        listener.on_batch,
        listener.on_remark,
    )
    origin = origin_of(base)
    checkpoint = TrainingCheckpoint(work, _key(origin, classifier, config, data), listener.on_remark)

    codes, targets, is_new = data.training()
    held_codes, held_targets = data.held_out()
    standardization = fit_standardization(codes, embedder.to_real)
    settings = replace(config.training.settings, memory=training_memory(config.memory))
    threads = training_threads(config.memory, classifier.threads)
    training = replace(config.training, settings=settings)
    rows = open_rows(codes, info.embedding.quantization, standardization, settings.memory)
    held = open_rows(held_codes, info.embedding.quantization, standardization, settings.memory // 8)
    own = without_classes(to_parameters(standardization.head_to_standardized(embedder.split.head)), added)
    predicted = checkpoint.predicted(rng, lambda: predict_gain(rows, targets, is_new, own, training, rng, threads))
    listener.on_predicted(predicted)
    remark_on_guessing(predicted, targets[is_new], classifier.labels, listener.on_remark)
    problem = pose_problem(rows, targets, own, predicted.l2, training, threads)
    start = imprint_classes(problem.anchor if training.anchored else own, rows, targets, added)
    trained = train_head(
        problem,
        start,
        training,
        rng,
        (held, held_targets),
        listener.on_epoch,
        resumed=checkpoint.training,
        on_pass=checkpoint.save_training,
    )
    head = standardization.head_to_raw(trained.head)
    merged = write_head(classifier.artifact, head, embedder, (codes, held_codes))
    # The whole budget, not the optimizer's part of it: that is what was asked for.
    optimizer = describe_training(training, predicted.l2, trained) | {"memory": config.memory}
    provenance = {
        "base_sha256": base.artifact.sha256,
        "samples": len(data.rows),
        "samples_sha256": data.sha256,
        "seed": config.seed,
        "holdout": config.holdout,
        "optimizer": optimizer,
    }
    tuned = reopen_tuned(
        classifier,
        merged,
        head,
        embedder,
        remember(*data.new_training(), merged.name),
        provenance,
    )
    checked = check_held_out(classifier, tuned, head, embedder, samples, data, batch)
    answers = checked.answers
    old = data.old_holdout()
    return FinetuneResult(
        classifier=tuned,
        before=Accuracies(
            share_right(answers.before, answers.labels), file_accuracy(embedder.split.head, *old, embedder)
        ),
        after=Accuracies(
            share_right(answers.after, answers.labels), file_accuracy(split_head(merged).head, *old, embedder)
        ),
        held_out=answers,
        float_head_accuracy=checked.float_head_accuracy,
        predicted=predicted,
        certificate=Certificate(loss_gap_bound(problem, trained.parameters), checked.max_logit_error),
        head=head,
        seed=config.seed,
        order={
            "generator": "numpy PCG64",
            "holdout": [int(i) for i in np.sort(answers.rows)],
            "batch_size": settings.batch_size,
            "epochs": len(trained.history),
        },
        optimizer=optimizer,
        steps=trained.steps,
        history=trained.history,
        chosen_pass=trained.chosen_pass,
        ended=trained.ended,
        replay_held_out=len(data.old.holdout),
        provenance=provenance,
        log=log_of(origin, config, class_names, data, trained, predicted, head, tuned),
    )


def _key(origin: dict[str, Any], classifier: Classifier, config: FinetuneConfig, data: FinetuneData) -> bytes:
    """What training depends on, as 32 bytes."""
    told = [origin, classifier.artifact.sha256, asdict(config), data.sha256, data.replay_sha256]
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).digest()
