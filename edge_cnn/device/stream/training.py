"""One retraining of the head from all that a stream has brought so far, starting where the last one ended."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.device.finetuning.embedding import Embedder
from edge_cnn.device.head.softmax_head import SoftmaxHead
from edge_cnn.device.stream.replay import Part, join
from edge_cnn.device.training.certificate import loss_gap_bound
from edge_cnn.device.training.embedding_rows import EmbeddingRows, open_rows
from edge_cnn.device.training.head_training import (
    TrainingConfig,
    describe_training,
    pose_problem,
    to_parameters,
    train_head,
)
from edge_cnn.device.training.linear_probe import predict_gain
from edge_cnn.device.training.problem import HeadProblem, Parameters
from edge_cnn.device.training.standardization import fit_standardization


@dataclass(frozen=True)
class ChosenPull:
    """L2 as the folds chose it.

    Attributes:
        l2: strength.
        rows: training samples then, replayed ones included.
        new: training samples of the stream then.
    """

    l2: float
    rows: int
    new: int

    def for_rows(self, rows: int) -> float:
        """The same prior among so many samples, of which it is another share (`linear_probe.predict_gain`)."""
        return self.l2 * self.rows / rows


@dataclass(frozen=True)
class Retrained:
    """A new head.

    Attributes:
        head: for raw real embeddings.
        pull: how L2 was chosen.
        l2: strength of this training.
        steps: gradient steps.
        optimizer: name and settings.
        problem, parameters: what was solved, and how.
    """

    head: SoftmaxHead
    pull: ChosenPull
    l2: float
    steps: int
    optimizer: dict[str, Any]
    problem: HeadProblem
    parameters: Parameters

    @property
    def loss_gap_bound(self) -> float:
        return loss_gap_bound(self.problem, self.parameters)


def retrain(
    embedder: Embedder,
    train: tuple[Part, Part],
    holdout: Part,
    current: SoftmaxHead | None,
    pull: ChosenPull | None,
    config: TrainingConfig,
    rng: np.random.Generator,
    threads: int,
) -> Retrained:
    """Fit the head to the samples, drawn to the model's own as far as that is right.

    Args:
        embedder: the backbone and the model's own head.
        train: samples of the stream, and replayed ones: embedding codes (n, features) and labels (n,).
        holdout: samples that may end the training early; none end nothing.
        current: where the last retraining ended, for raw embeddings; None before the first.
        pull: L2 as it was chosen last; it is chosen anew where the samples of the stream have doubled since.
        config: optimizer, regularization and targets.
        rng: source of folds and sample order.
        threads: that work at once; the head does not depend on it.
    """
    new, _ = train
    codes, targets = join(*train)
    standardization = fit_standardization(codes, embedder.to_real)
    quantization, memory = embedder.split.info.embedding.quantization, config.settings.memory
    rows = open_rows(codes, quantization, standardization, memory)
    watched: tuple[EmbeddingRows, NDArray[np.int64]] | None = None
    if len(holdout[1]):
        watched = open_rows(holdout[0], quantization, standardization, memory // 8), holdout[1]
    own = to_parameters(standardization.head_to_standardized(embedder.split.head))
    if pull is None or len(new[1]) >= 2 * pull.new:
        is_new = np.arange(len(targets)) < len(new[1])
        chosen = predict_gain(rows, targets, is_new, own, config, rng, threads).l2
        pull = ChosenPull(chosen, len(targets), len(new[1]))
    # What the user has set stays as it is.
    l2 = pull.for_rows(len(targets)) if config.l2 is None else config.l2
    problem = pose_problem(rows, targets, own, l2, config, threads)
    start = problem.anchor if config.anchored else own
    if current is not None:
        start = to_parameters(standardization.head_to_standardized(current))
    trained = train_head(problem, start, config, rng, watched)
    return Retrained(
        standardization.head_to_raw(trained.head),
        pull,
        l2,
        trained.steps,
        describe_training(config, l2, trained),
        problem,
        trained.parameters,
    )
