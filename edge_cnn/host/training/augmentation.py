"""Light augmentation for small images: rotate, zoom, shift, mirror, and blur as a coarser scanner would.

Pure functions of the images and a seed, in TensorFlow operations, so that they run inside the input pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge_cnn.core.errors import InputError
from edge_cnn.host.tensorflow_import import import_tensorflow


@dataclass(frozen=True)
class Augmentation:
    """How far images are changed; each image draws its own values, uniformly.

    Attributes:
        rotation: largest angle to either side, in degrees.
        zoom: largest change of size to either side, as a share; drawn for each axis.
        shift: largest move to either side, as a share of the side.
        shear: largest horizontal shear to either side, as a share of the height.
        blur: largest weight of the blurred image in the mix, in [0, 1].
        mirror: whether every other image is mirrored left to right.
    """

    rotation: float = 12.0
    zoom: float = 0.12
    shift: float = 0.08
    shear: float = 0.15
    blur: float = 1.0
    mirror: bool = False


AUGMENTATIONS: dict[str, Augmentation | None] = {
    "none": None,
    "handwriting": Augmentation(),
    "photos": Augmentation(rotation=0.0, zoom=0.0, shift=0.125, shear=0.0, blur=0.0, mirror=True),
}
"""What a name stands for: scanned characters are turned and sheared; things in photos are shifted and mirrored."""


def find_augmentation(name: str) -> Augmentation | None:
    """Raises: InputError: unknown name."""
    if name not in AUGMENTATIONS:
        raise InputError(f"unknown augmentation {name!r}; known: {', '.join(AUGMENTATIONS)}")
    return AUGMENTATIONS[name]


def augment(images: Any, seed: Any, strength: Augmentation = Augmentation()) -> Any:  # frozen
    """Change a batch of images.

    Args:
        images: tensor float32 (n, height, width, channels).
        seed: tensor int32 (2,); the same seed gives the same changes.
        strength: how far.

    Returns:
        tensor float32 of the same shape; what enters from outside repeats the nearest pixel.
    """
    tf, _ = import_tensorflow()
    return change(images, draw_changes(tf.shape(images)[0], seed), strength)


def draw_changes(count: Any, seed: Any) -> Any:
    """What decides how far each image is changed: tensor float32 (count, 8), from -1 to 1."""
    tf, _ = import_tensorflow()
    return tf.random.stateless_uniform((count, 8), seed, -1.0, 1.0)


def change(images: Any, values: Any, strength: Augmentation) -> Any:
    """Change each image as its row of `values` (n, 8) says; shapes as in `augment`."""
    tf, _ = import_tensorflow()
    shape = tf.shape(images)
    height, width = tf.cast(shape[1], tf.float32), tf.cast(shape[2], tf.float32)
    angle = values[:, 0] * float(np.deg2rad(strength.rotation))
    # In the logarithm, so that growing and shrinking are equally likely.
    zoom_x = tf.exp(values[:, 1] * float(np.log1p(strength.zoom)))
    zoom_y = tf.exp(values[:, 2] * float(np.log1p(strength.zoom)))
    shear = values[:, 3] * strength.shear
    # The operation asks for the map from output to input places, here about the middle of the image.
    xx, xy = tf.cos(angle) / zoom_x, (tf.sin(angle) + shear) / zoom_x
    yx, yy = -tf.sin(angle) / zoom_y, tf.cos(angle) / zoom_y
    if strength.mirror:
        side = tf.sign(values[:, 7])
        xx, yx = xx * side, yx * side
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    move_x = middle_x - xx * middle_x - xy * middle_y + values[:, 4] * strength.shift * width
    move_y = middle_y - yx * middle_x - yy * middle_y + values[:, 5] * strength.shift * height
    zero = tf.zeros_like(angle)
    moved = tf.raw_ops.ImageProjectiveTransformV3(
        images=images,
        transforms=tf.stack([xx, xy, move_x, yx, yy, move_y, zero, zero], axis=1),
        output_shape=shape[1:3],
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    if strength.blur == 0:
        return moved
    blurred = tf.nn.avg_pool2d(tf.nn.avg_pool2d(moved, 3, 1, "SAME"), 2, 1, "SAME")
    # Negative draws leave the image sharp, so half of them are.
    share = tf.maximum(values[:, 6] * strength.blur, 0.0)[:, None, None, None]
    return moved + share * (blurred - moved)
