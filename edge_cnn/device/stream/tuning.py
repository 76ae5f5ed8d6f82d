"""Tuning from a stream: labelled samples come one by one, the head follows, and only what is better is committed.

What is kept are embedding codes and labels; images only of the held-out samples, which the merged file itself must
answer. The problem is convex and its L2 pulls to the model's own head, so retraining from where the last one ended
gives nearly the head that all samples at once would have given.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.finetuning.embedding import Embedder
from edge_cnn.device.finetuning.samples import label_indices
from edge_cnn.device.finetuning.tuned_model import remember, reopen_tuned
from edge_cnn.device.head.softmax_head import SoftmaxHead
from edge_cnn.device.head.surgery import split_head
from edge_cnn.device.head.writing import logit_error, logits_of_file, write_head
from edge_cnn.device.stream.holdout import StreamHoldout, batches
from edge_cnn.device.stream.prequential import Prequential
from edge_cnn.device.stream.replay import HOLDOUT_EVERY, Part, is_held_out, join, open_replay
from edge_cnn.device.stream.result import HoldoutAccuracy, StreamConfig, StreamStep, StreamSummary, StreamUpdate
from edge_cnn.device.stream.sample_queue import SampleQueue
from edge_cnn.device.stream.training import Retrained, retrain
from edge_cnn.device.training.certificate import Certificate


class StreamTuner:
    """Follows a stream of labelled samples.

    Args:
        classifier: int8 or float, with a fully-connected head.
        config: settings.
        replay: labelled samples of the old task; by default the embeddings that the bundle stores.
        commit: called with each tuned classifier that `config.rule` lets pass, to write or install it. Where it raises,
            the version before stays the committed one.

    Attributes:
        committed: the version that counts: the one given, until a better one was committed.
        waiting: samples that came since the last update.

    Raises:
        NoHeadError, ModelError: the file cannot be tuned.
        DataError: replayed samples that do not fit the model.
    """

    def __init__(
        self,
        classifier: Classifier,
        config: StreamConfig | None = None,
        replay: LabelledImages | None = None,
        commit: Callable[[Classifier], None] = lambda _: None,
    ) -> None:
        self.config = config or StreamConfig()
        self.committed = classifier
        self.waiting = 0
        self._base, self._commit = classifier, commit
        self._embedder = Embedder(classifier)
        self._replay = open_replay(classifier, self._embedder, replay)
        info = self._embedder.split.info
        shape = info.features, info.embedding.numpy_dtype
        self._train = SampleQueue(*shape, self.config.capacity)
        self._holdout = StreamHoldout(*shape, self.config.holdout_capacity, self.config.holdout_memory)
        self._of_class: Counter[int] = Counter()
        self._digest = hashlib.sha256()
        self._seen = Prequential(self.config.window)
        self._rng = np.random.default_rng(self.config.seed)
        self._head, self._committed_head = self._embedder.split.head, self._embedder.split.head
        self._retrained: Retrained | None = None
        self._certificate: Certificate | None = None
        self._reason: str | None = None
        self._updates = self._commits = self._steps = 0

    def add(self, image: NDArray[Any], label: int | str) -> StreamStep:
        """Take one sample: the head of this moment answers it, then it waits for the next update, or is held out.

        Every fifth sample of a class is held out. One whose embedding came before goes where that one went, so that no
        copy of a held-out sample trains.

        Args:
            image: uint8 pixels (height, width, channels), or one float model input.
            label: class index or name.

        Raises:
            DataError: another shape or dtype, NaN, or a class that the model does not know.
        """
        (index,) = label_indices(np.asarray([label]), self._base.labels).tolist()
        (code,) = self._embedder.codes(image[None])
        answer = int(self._head.logits(self._embedder.to_real(code[None])).argmax())
        self._seen.add(answer == index)
        row = code.tobytes()
        if row in self._holdout or row in self._train:
            held_out = row in self._holdout
        else:
            held_out = is_held_out(self._of_class[index])
            self._of_class[index] += 1
            self._replay.leave_out(row)
        if held_out:
            self._holdout.append(image, row, index)
        else:
            self._train.append(row, index)
        self._digest.update(
            repr((image.shape, image.dtype.str, index)).encode() + np.ascontiguousarray(image).tobytes()
        )
        self.waiting += 1
        return StreamStep(self._seen.accuracy.samples, answer, answer == index, held_out)

    def update(self) -> StreamUpdate:
        """Retrain the head from where it is, write it into the file, and commit that where the rule lets it pass.

        Raises:
            InputError: the loss grows without bound, as with a far too large learning rate; or what `commit` raises.
        """
        self.waiting = 0
        self._updates += 1
        self._holdout.ask(self._base, self.committed)
        new: Part = self._train.codes, self._train.labels
        old = self._replay.train
        if len(np.unique(np.concatenate([new[1], old[1]]))) < 2 or not len(new[1]):
            return self._told("samples of two classes are needed to train", None, None)
        held = join((self._holdout.codes, self._holdout.labels), self._replay.holdout)
        before = self._retrained
        done = retrain(
            self._embedder,
            (new, old),
            held,
            before.head if before else None,
            before.pull if before else None,
            self.config.training,
            self._rng,
            self._base.threads,
        )
        self._retrained, self._head = done, done.head
        self._steps += done.steps
        train_codes = np.concatenate([new[0], old[0]])
        merged = write_head(self._base.artifact, done.head, self._embedder, (train_codes, held[0]))
        in_file = split_head(merged).head
        right = self._right(in_file, (self._holdout.codes, self._holdout.labels))
        # Files are made and asked where that promises something: their images cost a run of the whole network each.
        reason = self._refusal(right, in_file)
        if reason is not None:
            return self._told(reason, right, in_file)
        tuned = reopen_tuned(
            self._base,
            merged,
            done.head,
            self._embedder,
            remember(*new, merged.name),
            self._provenance(done),
        )
        answers = self._holdout.answers_of(tuned)
        right = int(np.count_nonzero(answers == self._holdout.labels))
        reason = self._refusal(right, in_file)
        if reason is None:
            error = self._logit_error(merged, done.head)
            self._commit(tuned)
            self.committed, self._committed_head = tuned, in_file
            self._certificate = Certificate(done.loss_gap_bound, error)
            self._holdout.commit(answers)
            self._commits += 1
        return self._told(reason, right, in_file, verified=True)

    @property
    def summary(self) -> StreamSummary:
        """What came of it so far, as of the last update."""
        self._holdout.ask(self._base, self.committed)
        return StreamSummary(
            samples=self._seen.accuracy.samples,
            train_samples=len(self._train),
            seen=self._seen.accuracy,
            before=self._accuracy(self._holdout.right_before, self._embedder.split.head),
            after=self._accuracy(self._holdout.right_committed, self._committed_head),
            updates=self._updates,
            commits=self._commits,
            reason=self._reason,
            seed=self.config.seed,
            optimizer=self._retrained.optimizer if self._retrained else {},
            steps=self._steps,
            certificate=self._certificate,
        )

    @property
    def has_replay(self) -> bool:
        """Whether old samples stand against forgetting."""
        return len(self._replay) > 0

    def _told(
        self, reason: str | None, right: int | None, head: SoftmaxHead | None, *, verified: bool = False
    ) -> StreamUpdate:
        committed = self._accuracy(self._holdout.right_committed, self._committed_head)
        done = self._retrained if head is not None else None
        self._reason = reason
        return StreamUpdate(
            samples=self._seen.accuracy.samples,
            train_samples=len(self._train),
            seen=self._seen.accuracy,
            head=committed if right is None or head is None else self._accuracy(right, head),
            committed_head=committed,
            verified=verified,
            committed=reason is None,
            reason=reason,
            l2=done.l2 if done else None,
            steps=done.steps if done else 0,
        )

    def _refusal(self, right: int, head: SoftmaxHead) -> str | None:
        before, after = (self._replay_accuracy(h) for h in (self._embedder.split.head, head))
        replay = None if before is None or after is None else (before, after)
        committed, samples = self._holdout.right_committed, len(self._holdout)
        return self.config.rule.refusal(right, committed, samples, len(self._base.labels), replay)

    def _accuracy(self, right: int, head: SoftmaxHead) -> HoldoutAccuracy:
        return HoldoutAccuracy(right, len(self._holdout), self._replay_accuracy(head))

    def _replay_accuracy(self, head: SoftmaxHead) -> float | None:
        old = self._replay.holdout
        return self._right(head, old) / len(old[1]) if len(old[1]) else None

    def _right(self, head: SoftmaxHead, part: Part) -> int:
        return int(np.count_nonzero(head.logits(self._embedder.to_real(part[0])).argmax(axis=1) == part[1]))

    def _logit_error(self, merged: Artifact, head: SoftmaxHead) -> float:
        logits, codes = logits_of_file(merged, self._base), self._holdout.codes
        errors: list[float] = []
        for start, batch in batches(self._holdout.images):
            real = self._embedder.to_real(codes[start : start + len(batch)])
            errors.append(logit_error(logits(batch), head.logits(real)))
        return max(errors)

    def _provenance(self, done: Retrained) -> dict[str, Any]:
        return {
            "base_sha256": self._base.artifact.sha256,
            "samples": self._seen.accuracy.samples,
            "samples_sha256": self._digest.hexdigest(),
            "stream": {"updates": self._updates, "commits": self._commits + 1},
            "seed": self.config.seed,
            "holdout": 1 / HOLDOUT_EVERY,
            "optimizer": done.optimizer,
        }
