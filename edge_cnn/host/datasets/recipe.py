"""How a data set is usually trained: what `train` takes where the user says nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edge_cnn.core.labelled_images import LabelledImages

Objective = Literal["cross-entropy", "squared-error", "reconstruction"]
"""What training minimizes: cross-entropy of the scores; the sum over classes of (score - one-hot label)^2; the mean
square of output - input."""

Augmentation = Literal["none", "handwriting", "photos"]
"""How images change at random: not at all; small turns, shifts and stretches; left-right flips and shifts."""


@dataclass(frozen=True)
class Recipe:
    """Settings that are known to train a data set.

    Attributes:
        architecture: a row of `edge_cnn.host.architectures.ARCHITECTURES`.
        epochs: passes over the training part.
        batch_size: samples of one update.
        optimizer: adam, adamw, sgd or rmsprop.
        learning_rate: peak of its schedule; None: the optimizer's own.
        objective: what is minimized.
        augmentation: how images change at random.
        watch_test: whether the loss of the test part is recorded each epoch, beside that of the validation samples.
            Nothing is chosen by it.
        weight_decay: None: the optimizer's own.
        patience: epochs without a lower validation loss until it stops; None: never.
        label_smoothing: share of the target that goes to all classes alike.
        validation_share: share of the training part that no update sees.
    """

    architecture: str
    epochs: int
    batch_size: int
    optimizer: str
    learning_rate: float | None
    objective: Objective
    augmentation: Augmentation
    watch_test: bool = False
    weight_decay: float | None = None
    patience: int | None = 10
    label_smoothing: float = 0.0
    validation_share: float = 0.1


SMALLEST_PICTURE = 8
"""Side in pixels; what is smaller is no picture but a few numbers."""

POINTS = Recipe("mlp", 200, 10, "adam", 0.01, "cross-entropy", "none", patience=None)
DRAWINGS = Recipe("lenet", 30, 64, "adam", None, "cross-entropy", "handwriting")
PHOTOS = Recipe("resnet8", 60, 64, "adam", None, "cross-entropy", "photos")


def usual_recipe(samples: LabelledImages) -> Recipe:
    """For data that nobody tried: points of a plane, gray images as drawings, colour images as photos.

    Args:
        samples: of shape (n, height, width, channels); what has another shape is refused by the training itself.
    """
    shape = samples.images.shape[1:]
    if len(shape) == 3 and min(shape[:2]) < SMALLEST_PICTURE:
        return POINTS
    return PHOTOS if shape[-1] == 3 else DRAWINGS
