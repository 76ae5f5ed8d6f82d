"""The architectures that a name stands for; each in a file of its own."""

from __future__ import annotations

from typing import Any

from edge_cnn.core.errors import InputError
from edge_cnn.host.architectures.architecture import CLASSIFICATION, Architecture
from edge_cnn.host.architectures.autoencoder import AUTOENCODER
from edge_cnn.host.architectures.ds_cnn import DS_CNN
from edge_cnn.host.architectures.lenet import LENET
from edge_cnn.host.architectures.mlp import MLP
from edge_cnn.host.architectures.mobilenet_v1_025 import MOBILENET_V1_025
from edge_cnn.host.architectures.resnet8 import RESNET8

__all__ = ["ARCHITECTURES", "Architecture", "build_model", "check_image_shape", "find_architecture"]

ARCHITECTURES: dict[str, Architecture] = {
    a.name: a for a in (LENET, RESNET8, MLP, MOBILENET_V1_025, DS_CNN, AUTOENCODER)
}


def find_architecture(name: str) -> Architecture:
    """Raises: InputError: unknown name."""
    if name not in ARCHITECTURES:
        raise InputError(f"unknown architecture {name!r}; known: {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]


def build_model(name: str, image_shape: tuple[int, int, int], classes: int) -> Any:
    """An untrained `keras.Model`, float32 (n, height, width, channels) -> scores float32 (n, classes).

    Of an architecture for reconstruction: -> float32 (n, height * width * channels), and `classes` is not read.

    Its weights come from Keras' global random state; `keras.utils.set_random_seed` makes them repeatable.

    Raises:
        InputError: unknown name, images too small, fewer than two classes.
        UnavailableError: TensorFlow is not installed.
    """
    architecture = find_architecture(name)
    check_image_shape(architecture, image_shape)
    if architecture.task == CLASSIFICATION and classes < 2:
        raise InputError(f"a classifier needs at least two classes, got {classes}; add samples of another class")
    return architecture.build(image_shape, classes)


def check_image_shape(architecture: Architecture, image_shape: tuple[int, int, int]) -> None:
    """Before TensorFlow is there.

    Raises:
        InputError: too small for its pooling.
    """
    name, (height, width, _) = architecture.name, image_shape
    if min(height, width) >= architecture.min_side:
        return
    if height == width == 1:
        raise InputError(f"samples are rows of numbers, no images, and {name} looks at images; give --arch mlp")
    raise InputError(
        f"images of {height}x{width} pixels are too small for {name}; "
        f"it needs at least {architecture.min_side}x{architecture.min_side}, so enlarge them"
    )
