"""Full back-propagation: the same seed gives the same weights on one machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import CheckFailedError, DataError
from edge_cnn.core.labelled_images import LabelledImages, stratified_split
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.host.architectures import build_model
from edge_cnn.host.tensorflow_import import import_tensorflow
from edge_cnn.host.training.class_weights import weights_of_classes
from edge_cnn.host.training.config import AUTO_RATE, TrainConfig
from edge_cnn.host.training.graph import TrainingGraph
from edge_cnn.host.training.initialization import initialize
from edge_cnn.host.training.inputs import default_preprocessing, model_inputs
from edge_cnn.host.training.loop import Hooks, TrainingLoop, View
from edge_cnn.host.training.normalization import find_normalization, puts_normalization, with_normalization
from edge_cnn.host.training.objectives import find_objective
from edge_cnn.host.training.optimizers import make_optimizer
from edge_cnn.host.training.precision import with_loss_scale
from edge_cnn.host.training.precision_trial import settle_precision
from edge_cnn.host.training.range_test import range_test
from edge_cnn.host.training.rate_choice import RangeTest
from edge_cnn.host.training.records import EpochRecord, StepProgress, TrainingState, TrainResult

if TYPE_CHECKING:
    from edge_cnn.host.workers.team import Team

_PREDICT_BATCH = 256


def train(
    config: TrainConfig,
    samples: LabelledImages,
    *,
    preprocessing: Preprocessing | None = None,
    watched: LabelledImages | None = None,
    initial: Any = None,
    state: TrainingState | None = None,
    team: Team | None = None,
    on_epoch: Callable[[EpochRecord], None] | None = None,
    on_step: Callable[[StepProgress], None] | None = None,
    on_view: Callable[[View], None] | None = None,
    on_pause: Callable[[Callable[[], TrainingState]], None] | None = None,
    on_range_test: Callable[[RangeTest], None] | None = None,
) -> TrainResult:
    """Train a network. Sets the global random state of Python, NumPy and TensorFlow.

    Args:
        config: how.
        samples: the training part; a share of it is held out for validation.
        preprocessing: from pixels to the model's input; default 0..255 -> 0..1.
        watched: a test part whose loss goes into every record and decides nothing.
        initial: `keras.Model` to start from, which is changed; None builds the architecture with random weights.
        state: where an earlier training of the same configuration and samples was left; None starts at the beginning.
        team: the workers that train together, this process being one of them; None trains alone.
        on_epoch: told of each epoch when it ends, and of the untrained network first.
        on_step: told now and then where the training is.
        on_view: as `on_epoch`, and may look at the networks.
        on_pause: called between steps with a function that gives the state to go on from.
        on_range_test: told of the learning rate that was chosen, where the configuration asks for one.

    Raises:
        DataError: samples that cannot be trained on.
        InputError: images too small for the architecture.
        CheckFailedError: the loss was not finite before the first epoch ended.
        UnavailableError: TensorFlow is not installed.
    """
    _check(samples)
    rng = np.random.default_rng(config.seed)
    fit_rows, validation_rows = stratified_split(samples.labels, config.validation_share, rng)
    if len(validation_rows) == 0:
        raise DataError("no class has two samples, so none can be held out for validation; give more samples")
    config, _ = settle_precision(config, samples, preprocessing, initial)
    tf, keras = import_tensorflow()
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(config.seed)
    preprocessing = preprocessing or default_preprocessing(samples)
    inputs, labels = model_inputs(samples.images, preprocessing), samples.labels
    classes = len(samples.class_names)
    fitted = inputs[fit_rows], labels[fit_rows]
    weights = weights_of_classes(config.class_weights, samples.class_names, fitted[1])
    model = _new_model(config, preprocessing.image_shape, classes) if initial is None else initial
    if initial is None and puts_normalization(config) and not samples.is_pixels:
        needed = find_normalization(inputs)
        model = model if needed is None else with_normalization(model, needed)
    graph = _graph_maker(team)(
        model,
        find_objective(config.objective),
        with_loss_scale(make_optimizer(config.optimizer, config.weight_decay, config.clip_norm), config.precision),
        *fitted,
        weights,
        config.augmentation,
        config.precision,
        config.label_smoothing,
    )
    tested = None
    if config.learning_rate == AUTO_RATE:
        tested = range_test(graph, config, len(fit_rows))
        config = replace(config, learning_rate=tested.learning_rate)
        if on_range_test is not None:
            on_range_test(tested)

    def tell(view: View) -> None:
        if on_view is not None:
            on_view(view)
        if on_epoch is not None:
            on_epoch(view.record)

    loop = TrainingLoop(
        config,
        graph,
        (inputs[validation_rows], labels[validation_rows]),
        Hooks(tell, on_step or (lambda _step: None), on_pause or (lambda _state: None)),
        samples=len(fit_rows),
        peak_rate=config.peak_rate,
        watched=None if watched is None else (model_inputs(watched.images, preprocessing), watched.labels),
    )
    if state is None:
        loop.start(fitted)
    else:
        loop.resume(state)
    interrupted = False
    try:
        loop.run()
    except KeyboardInterrupt:
        interrupted = True
    if loop.divergence is not None and loop.best.epoch == 0:
        raise CheckFailedError(f"training diverged {loop.divergence.told()}; {loop.divergence.advice}")
    model.set_weights(loop.best.weights)
    return TrainResult(
        model,
        preprocessing,
        samples.class_names,
        loop.history,
        loop.best.epoch,
        interrupted,
        loop.divergence is not None,
        config,
        fit_rows,
        validation_rows,
        loop.divergence,
        tested,
    )


def _new_model(config: TrainConfig, image_shape: tuple[int, int, int], classes: int) -> Any:
    _, keras = import_tensorflow()
    drawn = None
    if config.initial_seed is not None:
        # In a network of its own, so that nothing else that is drawn changes: dropout has its seeds from the other.
        keras.utils.set_random_seed(config.initial_seed)
        drawn = build_model(config.architecture, image_shape, classes).get_weights()
        keras.utils.set_random_seed(config.seed)
    model = build_model(config.architecture, image_shape, classes)
    if drawn is not None:
        model.set_weights(drawn)
    initialize(model, config.initialization)
    return model


def _graph_maker(team: Team | None) -> Callable[..., TrainingGraph]:
    if team is None:
        return TrainingGraph
    from edge_cnn.host.workers.distributed_graph import DistributedGraph

    return partial(DistributedGraph, team)


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
