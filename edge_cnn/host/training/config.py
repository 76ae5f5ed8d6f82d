"""How a training is asked for."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from edge_cnn.core.errors import InputError
from edge_cnn.host.architectures import find_architecture
from edge_cnn.host.architectures.architecture import CLASSIFICATION
from edge_cnn.host.training import normalization as normalizing
from edge_cnn.host.training.augmentation import Augmentation
from edge_cnn.host.training.class_weights import ClassWeights, check_class_weights
from edge_cnn.host.training.initialization import RANDOM, find_initialization
from edge_cnn.host.training.objectives import CROSS_ENTROPY, RECONSTRUCTION, SQUARED_ERROR, find_objective
from edge_cnn.host.training.optimizers import find_optimizer
from edge_cnn.host.training.origin import Origin
from edge_cnn.host.training.precision import FLOAT32, check_precision
from edge_cnn.host.training.schedules import find_schedule

LARGEST_RATE = 3e38
"""What float32 holds."""

AUTO_RATE: Literal["auto"] = "auto"
"""The learning rate is chosen by a range test before the training."""


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        architecture: a row of `ARCHITECTURES`.
        optimizer: a row of `OPTIMIZERS`.
        learning_rate: peak of warm-up and schedule; None takes the optimizer's own default, "auto" what a range test
            chooses.
        epochs: at most so many.
        batch_size: samples a step; fewer where the data has fewer.
        patience: stop after so many epochs without a lower validation loss; None never stops early.
        class_weights: "balanced" gives every class the same weight together; weights by class name, 1 for a class that
            is not among them; None gives every sample the same.
        augmentation: change images at random, new every epoch; None leaves them as they are.
        validation_share: share of the training part that no update sees, in (0, 1).
        seed: of the weights, the order, the split, dropout and augmentation; 0..2**32-1.
        objective: a row of `OBJECTIVES`.
        schedule: a row of `SCHEDULES`.
        warm_up: share of the steps in which the learning rate rises from 0, in [0, 1).
        weight_decay: pulls weights to 0, see `make_optimizer`; None takes the optimizer's own default.
        label_smoothing: share of the target that goes to all classes alike, in [0, 1); for the cross-entropy only. It
            keeps a long training from growing ever surer of itself.
        clip_norm: longest gradient of all layers together; None leaves gradients as they are.
        precision: a row of `POLICIES`, or "auto", which measures; the network that is left is float32 in any case.
        initialization: a row of `INITIALIZATIONS`.
        initial_seed: of the initial weights alone, 0..2**32-1; None takes those that `seed` gives.
        origin: the trained network that training starts from, which `architecture` is then named after; None starts
            from new weights.
        normalization: "auto" puts a layer before the network where float inputs are of another scale than it is made
            for; "none" never does.
    """

    architecture: str = "lenet"
    optimizer: str = "adam"
    learning_rate: float | Literal["auto"] | None = None
    epochs: int = 30
    batch_size: int = 64
    patience: int | None = 10
    class_weights: ClassWeights = None
    augmentation: Augmentation | None = field(default_factory=Augmentation)
    validation_share: float = 0.1
    seed: int = 0
    objective: str = CROSS_ENTROPY
    schedule: str = "cosine"
    warm_up: float = 0.05
    weight_decay: float | None = None
    clip_norm: float | None = None
    label_smoothing: float = 0.0
    precision: str = FLOAT32
    initialization: str = RANDOM
    initial_seed: int | None = None
    origin: Origin | None = None
    normalization: str = normalizing.AUTO

    def __post_init__(self) -> None:
        # A trained network to start from gets a head that gives scores.
        task = find_architecture(self.architecture).task if self.origin is None else CLASSIFICATION
        find_initialization(self.initialization)
        find_optimizer(self.optimizer)
        gives_scores = find_objective(self.objective).classifies
        if gives_scores != (task == CLASSIFICATION):
            kind = "gives its input back" if gives_scores else "gives scores over classes"
            fitting = RECONSTRUCTION if gives_scores else f"{CROSS_ENTROPY} or {SQUARED_ERROR}"
            raise InputError(f"objective {self.objective}: {self.architecture} {kind}; give --objective {fitting}")
        find_schedule(self.schedule)
        check_precision(self.precision)
        rate = self.learning_rate
        if isinstance(rate, str):
            if rate != AUTO_RATE:
                raise InputError(f"learning rate {rate!r}: it must be a number or {AUTO_RATE}; try 0.001")
        elif rate is not None and not 0 < rate <= LARGEST_RATE:
            raise InputError(f"learning rate {rate}: it must be positive and finite; try 0.001")
        for name, value, usual in (("epochs", self.epochs, 30), ("batch size", self.batch_size, 32)):
            if value < 1:
                raise InputError(f"{name} {value}: it must be at least 1; try {usual}")
        if self.patience is not None and self.patience < 1:
            raise InputError(f"patience {self.patience}: it must be at least 1; try 10")
        check_class_weights(self.class_weights)
        known = normalizing.AUTO, normalizing.NONE
        if self.normalization not in known:
            raise InputError(f"unknown normalization {self.normalization!r}; known: {', '.join(known)}")
        if not 0 < self.validation_share < 1:
            raise InputError(f"validation share {self.validation_share}: it must lie between 0 and 1; try 0.1")
        for seed in (self.seed, self.initial_seed):
            if seed is not None and not 0 <= seed < 2**32:
                raise InputError(f"seed {seed}: it must lie between 0 and {2**32 - 1}")
        if not 0 <= self.warm_up < 1:
            raise InputError(f"warm-up {self.warm_up}: it is a share of the steps, from 0 to below 1; try 0.05")
        if self.weight_decay is not None and not 0 <= self.weight_decay < math.inf:
            raise InputError(f"weight decay {self.weight_decay}: it must be 0 or positive; try 0.0005")
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"label smoothing {self.label_smoothing}: it is a share, from 0 to below 1; try 0.1")
        if self.label_smoothing and self.objective != CROSS_ENTROPY:
            raise InputError(f"label smoothing is for {CROSS_ENTROPY}, got {self.objective}; leave it out")
        if self.clip_norm is not None and not 0 < self.clip_norm < math.inf:
            raise InputError(f"clip norm {self.clip_norm}: it must be positive; try 1")

    @property
    def peak_rate(self) -> float:
        """Raises: ValueError: "auto", which the range test at the start of `train` replaces by what it chose."""
        if isinstance(self.learning_rate, str):
            raise ValueError("no learning rate was chosen yet; the config of a TrainResult has it")  # noqa: TRY004  # a state, not a type
        return find_optimizer(self.optimizer).learning_rate if self.learning_rate is None else self.learning_rate

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "learning_rate": self.learning_rate if self.learning_rate == AUTO_RATE else self.peak_rate
        }
