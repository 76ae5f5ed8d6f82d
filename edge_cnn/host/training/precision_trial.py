"""`auto` precision: a few steps of the training that is asked for, measured each way before it starts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.host.architectures import build_model
from edge_cnn.host.tensorflow_import import import_tensorflow
from edge_cnn.host.training.config import TrainConfig
from edge_cnn.host.training.graph import TrainingGraph
from edge_cnn.host.training.inputs import default_preprocessing, model_inputs
from edge_cnn.host.training.objectives import find_objective
from edge_cnn.host.training.optimizers import make_optimizer
from edge_cnn.host.training.precision import AUTO, PrecisionChoice, choose_precision, with_loss_scale
from edge_cnn.host.training.steps import Steps


def settle_precision(
    config: TrainConfig, samples: LabelledImages, preprocessing: Preprocessing | None = None, initial: Any = None
) -> tuple[TrainConfig, PrecisionChoice | None]:
    """The configuration with a precision in the place of `auto`, and why it is that one; None where none was to choose.

    Args:
        config: how to train.
        samples: the training part.
        preprocessing: as `train` takes it.
        initial: as `train` takes it; it is not changed.
    """
    if config.precision != AUTO:
        return config, None
    tf, keras = import_tensorflow()
    tf.config.experimental.enable_op_determinism()  # as it will be trained
    preprocessing = preprocessing or default_preprocessing(samples)
    classes = len(samples.class_names)
    batch = min(config.batch_size, len(samples))
    inputs, labels = model_inputs(samples.images[:batch], preprocessing), samples.labels[:batch]
    keras.utils.set_random_seed(config.seed)
    model = build_model(config.architecture, preprocessing.image_shape, classes) if initial is None else initial

    def steps_in(precision: str) -> Callable[[int], None]:
        graph = TrainingGraph(
            keras.models.clone_model(model),
            find_objective(config.objective),
            with_loss_scale(make_optimizer(config.optimizer, config.weight_decay, config.clip_norm), precision),
            inputs,
            labels,
            np.ones(classes, np.float32),
            config.augmentation,
            precision,
        )

        def run(count: int) -> None:
            order = np.tile(np.arange(batch, dtype=np.int32), (count, 1))
            # So small a rate that nothing can overflow on the way.
            rates, keeps = np.full(count, 1e-6, np.float32), np.zeros(count, np.float32)
            graph.run(Steps(order, np.zeros((count, 2), np.int32), rates, keeps))

        return run

    choice = choose_precision(steps_in)
    return replace(config, precision=choice.precision), choice
