"""Full back-propagation with Keras: the same seed gives the same weights on one machine."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import CheckFailedError, DataError, InputError
from edge_cnn.core.labelled_images import LabelledImages, stratified_split
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.host.architectures import build_model, find_architecture
from edge_cnn.host.architectures.architecture import LOGITS
from edge_cnn.host.augmentation import Augmentation
from edge_cnn.host.optimizers import find_optimizer, make_optimizer
from edge_cnn.host.tensorflow_import import import_tensorflow
from edge_cnn.host.training_input import balanced_weights, default_preprocessing, model_inputs, training_batches
from edge_cnn.host.training_recorder import EpochRecord, StepProgress, make_recorder

BALANCED = "balanced"
_PREDICT_BATCH = 256


@dataclass(frozen=True)
class TrainConfig:
    """How to train.

    Attributes:
        architecture: a row of `ARCHITECTURES`.
        optimizer: a row of `OPTIMIZERS`.
        learning_rate: peak of the warm-up and cosine; None takes the optimizer's own default.
        epochs: at most so many.
        batch_size: samples a step; fewer where the data has fewer.
        patience: stop after so many epochs without a lower validation loss; None never stops early.
        class_weights: "balanced" gives every class the same weight together; None gives every sample the same.
        augment: change images at random (rotate, zoom, shift, shear, blur), new every epoch.
        validation_share: share of the training part that no update sees, in (0, 1).
        seed: of the weights, the order, the split, dropout and augmentation; 0..2**32-1.
        augmentation: how far `augment` goes.
    """

    architecture: str = "lenet"
    optimizer: str = "adam"
    learning_rate: float | None = None
    epochs: int = 30
    batch_size: int = 64
    patience: int | None = 10
    class_weights: str | None = None
    augment: bool = True
    validation_share: float = 0.1
    seed: int = 0
    augmentation: Augmentation = field(default_factory=Augmentation)

    def __post_init__(self) -> None:
        find_architecture(self.architecture)
        find_optimizer(self.optimizer)
        rate = self.learning_rate
        if rate is not None and not 0 < rate < math.inf:
            raise InputError(f"learning rate {rate}: it must be positive and finite; try 0.001")
        for name, value in (("epochs", self.epochs), ("batch size", self.batch_size)):
            if value < 1:
                raise InputError(f"{name} {value}: it must be at least 1")
        if self.patience is not None and self.patience < 1:
            raise InputError(f"patience {self.patience}: it must be at least 1")
        if self.class_weights not in (None, BALANCED):
            raise InputError(f"unknown class weights {self.class_weights!r}; known: {BALANCED}")
        if not 0 < self.validation_share < 1:
            raise InputError(f"validation share {self.validation_share}: it must lie between 0 and 1; try 0.1")
        if not 0 <= self.seed < 2**32:
            raise InputError(f"seed {self.seed}: it must lie between 0 and {2**32 - 1}")

    @property
    def peak_rate(self) -> float:
        return find_optimizer(self.optimizer).learning_rate if self.learning_rate is None else self.learning_rate

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"learning_rate": self.peak_rate}


@dataclass(frozen=True)
class TrainResult:
    """A trained network.

    Attributes:
        model: `keras.Model` with the weights of the best epoch, float32 (n, height, width, channels) -> scores.
        preprocessing: from pixels to its input.
        labels: class names.
        history: one record an epoch, the untrained network first.
        best_epoch: the one with the lowest validation loss, whose weights the model has.
        interrupted: whether Ctrl-C ended the training.
        diverged: whether a loss that is not finite ended it.
        config: what was asked for.
    """

    model: Any
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    history: tuple[EpochRecord, ...]
    best_epoch: int
    interrupted: bool
    diverged: bool
    config: TrainConfig


def train(
    config: TrainConfig,
    samples: LabelledImages,
    *,
    preprocessing: Preprocessing | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    on_step: Callable[[StepProgress], None] | None = None,
) -> TrainResult:
    """Train a network from scratch. Sets the global random state of Python, NumPy and TensorFlow.

    Args:
        config: how.
        samples: the training part; a share of it is held out for validation.
        preprocessing: from pixels to the model's input; default 0..255 -> 0..1.
        on_epoch: told of each epoch when it ends, and of the untrained network first.
        on_step: told now and then where the training is.

    Raises:
        DataError: samples that cannot be trained on.
        InputError: images too small for the architecture.
        CheckFailedError: the loss was not finite before the first epoch ended.
        UnavailableError: TensorFlow is not installed.
    """
    _check(samples)
    rng = np.random.default_rng(config.seed)
    fit_part, validation_part = stratified_split(samples.labels, config.validation_share, rng)
    if len(validation_part) == 0:
        raise DataError("no class has two samples, so none can be held out for validation; give more samples")
    tf, keras = import_tensorflow()
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(config.seed)
    preprocessing = preprocessing or default_preprocessing(samples)
    inputs, labels = model_inputs(samples.images, preprocessing), samples.labels
    model = build_model(config.architecture, preprocessing.image_shape, len(samples.class_names))

    batches, steps = training_batches(
        inputs[fit_part],
        labels[fit_part],
        balanced_weights(labels[fit_part], len(samples.class_names)) if config.class_weights else None,
        config.augmentation if config.augment else None,
        epochs=config.epochs,
        batch_size=min(config.batch_size, len(fit_part)),
        rng=rng,
    )
    # The loss of the logits, not of the softmax: Keras clips the latter's logarithm.
    trainer = keras.Model(model.inputs, model.get_layer(LOGITS).output)
    trainer.compile(
        make_optimizer(config.optimizer, config.peak_rate, steps * config.epochs),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,  # compiling takes longer than these small networks gain
    )
    held_out = (inputs[validation_part], labels[validation_part])
    recorder = make_recorder(config.patience, on_epoch or (lambda _record: None), on_step or (lambda _step: None))
    untrained = [
        trainer.evaluate(*part, batch_size=_PREDICT_BATCH, verbose=0, return_dict=True)
        for part in ((inputs[fit_part], labels[fit_part]), held_out)
    ]
    recorder.start(trainer, steps, *untrained)
    interrupted = False
    try:
        trainer.fit(
            batches,
            epochs=config.epochs,
            steps_per_epoch=steps,
            validation_data=held_out,
            validation_batch_size=_PREDICT_BATCH,
            callbacks=[recorder],
            shuffle=False,  # the batches come shuffled
            verbose=0,
        )
    except KeyboardInterrupt:
        interrupted = True
    best = recorder.best
    if recorder.diverged and best.epoch == 0:
        raise CheckFailedError(
            f"training diverged in epoch {len(recorder.records)}: the loss is not finite; "
            f"give a smaller --learning-rate than {config.peak_rate:g}"
        )
    trainer.set_weights(best.weights)
    return TrainResult(
        model,
        preprocessing,
        samples.class_names,
        tuple(recorder.records),
        best.epoch,
        interrupted,
        recorder.diverged,
        config,
    )


def predict_scores(model: Any, samples: LabelledImages, preprocessing: Preprocessing) -> NDArray[np.float32]:
    """Scores float32 (n, classes) of a Keras classifier."""
    return model.predict(model_inputs(samples.images, preprocessing), batch_size=_PREDICT_BATCH, verbose=0)


def _check(samples: LabelledImages) -> None:
    if len(samples) == 0:
        raise DataError("no samples to train on; give some of at least two classes")
    if samples.images.ndim != 4:
        raise DataError(f"samples have shape {samples.images.shape}, not (n, height, width, channels); reshape them")
    if not samples.is_pixels and not np.isfinite(samples.images).all():
        raise DataError("samples hold NaN or infinity; clean the data")
    outside = samples.labels[(samples.labels < 0) | (samples.labels >= len(samples.class_names))]
    if len(outside):
        raise DataError(
            f"label {int(outside[0])} is out of range, the {len(samples.class_names)} classes are "
            f"0..{len(samples.class_names) - 1}; correct or drop these samples"
        )
    counts = np.bincount(samples.labels, minlength=len(samples.class_names))
    if 0 in counts:
        raise DataError(f"no sample of class {samples.class_names[int(counts.argmin())]}; add some, or drop the class")
