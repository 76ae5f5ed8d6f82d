"""DS-CNN (Zhang et al. 2017), as MLPerf Tiny has it for keyword spotting (Banbury et al. 2021).

24,908 parameters, moving averages of batch normalization included, for spectrograms of 49x10x1 and 12 classes: the
count of Keras for the reference, mlcommons/tiny `benchmark/training/keyword_spotting/keras_model.py`. As there,
convolutions keep their bias beside batch normalization; as in its published `kws_ref_model.tflite`, the pooling takes
in all 25x5 places.
"""

from __future__ import annotations

from typing import Any

from edge_cnn.host.architectures.architecture import BATCH_NORM_MOMENTUM, LOGITS, SCORES, Architecture
from edge_cnn.host.tensorflow_import import import_tensorflow

FILTERS = 64
FIRST_WINDOW = (10, 4)
"""Steps in time and coefficients that the first convolution sees at once."""

BLOCKS = 4
FIRST_DROPOUT, LAST_DROPOUT = 0.2, 0.4


def build(image_shape: tuple[int, int, int], classes: int) -> Any:
    """One wide convolution, four blocks of depthwise and pointwise convolution, the mean over all places."""
    _, keras = import_tensorflow()
    layers = keras.layers

    def activate(tensor: Any, name: str) -> Any:
        return layers.ReLU(name=f"relu{name}")(
            layers.BatchNormalization(momentum=BATCH_NORM_MOMENTUM, name=f"norm{name}")(tensor)
        )

    inputs = keras.Input(image_shape, name="image")
    features = activate(layers.Conv2D(FILTERS, FIRST_WINDOW, strides=2, padding="same", name="conv0")(inputs), "0")
    features = layers.Dropout(FIRST_DROPOUT, name="dropout0")(features)
    for block in range(1, BLOCKS + 1):
        features = activate(layers.DepthwiseConv2D(3, padding="same", name=f"depthwise{block}")(features), f"{block}a")
        features = activate(layers.Conv2D(FILTERS, 1, padding="same", name=f"conv{block}")(features), f"{block}b")
    features = layers.Dropout(LAST_DROPOUT, name=f"dropout{BLOCKS}")(features)
    embedding = layers.GlobalAveragePooling2D(name="embedding")(features)
    logits = layers.Dense(classes, name=LOGITS)(embedding)
    return keras.Model(inputs, layers.Softmax(name=SCORES)(logits), name="ds_cnn")


DS_CNN = Architecture("ds_cnn", "the keyword spotter of MLPerf Tiny, for spectrograms and small gray images", 8, build)
