"""Training of the head: an optimizer's passes, watched on held-out data."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import InputError
from edge_cnn.device.head.softmax_head import SoftmaxHead
from edge_cnn.device.training.blas_threads import one_blas_thread
from edge_cnn.device.training.embedding_rows import EmbeddingRows
from edge_cnn.device.training.optimizers.optimizer import OptimizerSettings, State, is_positive, refuse
from edge_cnn.device.training.optimizers.table import AUTO, OPTIMIZERS, QUASI_NEWTON, check_name, choose_optimizer
from edge_cnn.device.training.problem import HeadProblem, Parameters, loss_and_accuracy
from edge_cnn.device.training.progress import EpochLoss, TrainingProgress, resume
from edge_cnn.device.training.temperature import trusted_share


@dataclass(frozen=True)
class TrainingConfig:
    """Settings of training.

    Attributes:
        optimizer: one of `OPTIMIZERS`, or auto to choose by size and memory.
        settings: what the optimizer is told.
        l2: strength of the pull, on standardized features; None chooses it by cross-validation.
        anchored: whether L2 pulls to the model's own head (Li et al. 2018, L2-SP), or to 0.
        balanced: weigh samples by the inverse frequency of their class.
        smoothing: share of each target that is spread over all classes, in [0, 1), against wrong labels.
        patience: passes without a lower held-out loss before it stops; None never stops early.
    """

    optimizer: str = AUTO
    settings: OptimizerSettings = field(default_factory=OptimizerSettings)
    l2: float | None = None
    anchored: bool = True
    balanced: bool = False
    smoothing: float = 0.0
    patience: int | None = 20

    def __post_init__(self) -> None:
        check_name(self.optimizer)
        checks = (
            ("l2", self.l2, is_positive(self.l2), "positive and finite"),
            ("label smoothing", self.smoothing, 0 <= self.smoothing < 1, "in [0, 1)"),
            ("patience", self.patience, self.patience is None or self.patience >= 1, "at least 1"),
        )
        refuse(checks)
        if self.optimizer == QUASI_NEWTON and self.settings.learning_rate is not None:
            raise InputError(
                f"fine-tuning: {QUASI_NEWTON} finds its steps itself, got a learning rate of "
                f"{self.settings.learning_rate:g}; leave it out, or choose another optimizer"
            )


class Ended(StrEnum):
    """Why training ended, in words."""

    OPTIMUM = "at the optimum"
    PATIENCE = "held-out loss stopped falling"
    PASSES = "number of passes"


@dataclass(frozen=True)
class TrainedHead:
    """What training found.

    Attributes:
        parameters: float32 (classes, features + 1): of the last pass where the optimizer ended by itself, at the
            optimum, or without held-out data; else of the pass with the lowest held-out loss.
        chosen_pass: number of that pass, from 1; 0 is the start.
        optimizer: its name.
        steps: gradient steps taken.
        learning_rate: of the first step.
        history: one entry a pass.
        ended: why it went no further.
    """

    parameters: Parameters
    chosen_pass: int
    optimizer: str
    steps: int
    learning_rate: float
    history: tuple[EpochLoss, ...]
    ended: Ended

    @property
    def head(self) -> SoftmaxHead:
        """For standardized features."""
        return from_parameters(self.parameters)


def train_head(
    problem: HeadProblem,
    start: Parameters,
    config: TrainingConfig,
    rng: np.random.Generator,
    holdout: tuple[EmbeddingRows, NDArray[np.int64]] | None = None,
    on_epoch: Callable[[EpochLoss], None] = lambda _: None,
    *,
    resumed: State | None = None,
    on_pass: Callable[[Callable[[], State]], None] = lambda _: None,
) -> TrainedHead:
    """Descend from `start`; numpy's BLAS works on one thread meanwhile.

    Args:
        problem: what is minimized; its l2 counts, not the one in `config`.
        start: initial parameters, float32 (classes, features + 1).
        config: optimizer, its settings, and patience.
        rng: source of the sample order; the same state gives the same head.
        holdout: rows and labels for early stopping.
        on_epoch: told of each pass.
        resumed: a state that `on_pass` could have had from a run with the same other arguments: training goes on from
            there, to the very bits that the run would have ended with. `rng` is put where it was.
        on_pass: given, after each pass, a function that copies the state; while `on_pass` runs it may be called.

    Raises:
        InputError: no samples, the loss is no longer finite, or `resumed` is of another training.
    """
    if problem.samples == 0:
        raise InputError("fine-tuning needs at least one training sample; give more data")
    settings, patience = config.settings, config.patience
    name = choose_optimizer(config.optimizer, problem, settings)
    # One layout for all: the last bits of a product may depend on it, and a saved array has this one.
    first = start.astype(np.float32, order="C")
    progress, descent = TrainingProgress(name, first, first), None
    if resumed is None and holdout is not None:
        # No pass is worth more than the start unless it does better.
        with one_blas_thread():
            progress.best_loss = loss_and_accuracy(*holdout, first)[0]
    elif resumed is not None:
        progress, descent = resume(resumed, name, start.shape, rng)

    def stopped_falling() -> bool:
        return patience is not None and progress.stale >= patience

    with one_blas_thread():
        passes = OPTIMIZERS[name](problem, first, settings, rng, descent)
        while not stopped_falling() and (done := next(passes, None)) is not None:
            watched = loss_and_accuracy(*holdout, done.parameters) if holdout else None
            on_epoch(progress.add(done, watched))
            on_pass(partial(progress.state, done.state, rng))
    if stopped_falling():
        ended = Ended.PATIENCE
    else:
        ended = Ended.PASSES if len(progress.history) == settings.passes else Ended.OPTIMUM
    # Cut short, on the held-out samples or by the number of passes, it is those samples that tell the best one.
    at_end = holdout is None or ended == Ended.OPTIMUM
    found, chosen = (progress.last, len(progress.history)) if at_end else (progress.best, progress.best_pass)
    return TrainedHead(found, chosen, name, progress.steps, progress.learning_rate, tuple(progress.history), ended)


def pose_problem(
    rows: EmbeddingRows,
    labels: NDArray[np.int64],
    head: Parameters,
    l2: float,
    config: TrainingConfig,
    threads: int = 1,
) -> HeadProblem:
    """What the configuration asks to be minimized on these samples.

    Args:
        rows, labels: the samples.
        head: the model's own, for these rows; L2 pulls to it as far as it is right here (`trusted_share`).
        l2: strength of the pull.
        config: anchor, balancing and smoothing.
        threads: that work at once.
    """
    problem = HeadProblem(
        rows,
        labels,
        np.zeros_like(head, np.float32),
        l2,
        balancing_weights(labels) if config.balanced else None,
        config.smoothing,
        threads,
    )
    if not config.anchored:
        return problem
    with one_blas_thread():
        return replace(problem, anchor=(trusted_share(problem, head) * head).astype(np.float32))


def describe_training(config: TrainingConfig, l2: float, trained: TrainedHead) -> dict[str, Any]:
    """JSON values: the optimizer's name and all settings, as they were in the end."""
    asked = asdict(config)
    settings = asked.pop("settings")
    del asked["optimizer"]
    return {"name": trained.optimizer} | settings | asked | {"l2": l2, "learning_rate": trained.learning_rate}


def to_parameters(head: SoftmaxHead) -> Parameters:
    """[weights, bias] as one float32 array (classes, features + 1)."""
    return np.hstack([head.weights, head.bias[:, None]]).astype(np.float32)


def from_parameters(parameters: NDArray[np.floating[Any]]) -> SoftmaxHead:
    """The head that `to_parameters` made them of."""
    return SoftmaxHead(parameters[:, :-1], parameters[:, -1])


def balancing_weights(labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Weights (n,) with mean 1, by which every class that is there weighs the same."""
    counts = np.bincount(labels)
    return len(labels) / (np.count_nonzero(counts) * counts[labels].astype(np.float64))
