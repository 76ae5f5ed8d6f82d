"""A small depthwise network like MobileNetV1 that learns digits, and faults that leave its function as it is.

    from tests.converters.skewed_nets import skewed, source_of, trained_depthwise_net

- `trained_depthwise_net(train)` trains it in about half a minute and gives its `FloatGraph` of input (1, 16, 16, 1),
  values in 0..1, and output (1, 10). The fixture `depthwise_graph` of tests/conftest.py trains it once and caches it.
- `digits16(part)` turns the digits' `LabelledImages` into the 16x16 images that it takes.
- `skewed(graph, layer, channels, factor)` multiplies channels of a layer by a factor and divides what reads them by the
  same. A float file computes the same; an int8 file, whose activations have one scale a tensor, loses all other
  channels of that layer. `layer` is a place in `graph.layers` (0 convolution, 1 depthwise, 2 pointwise, ..., 11
  fully-connected); the next layer is found by itself. Of one trained net, float 95.7 % right: `skewed(graph, 1, [0],
  200)` left int8 48.8 %, layer 8 69.4 %, layer 2 85.2 %, and a factor of 50 some 94 %.
- `source_of(graph)` makes the `SourceModel` that `export_bundle` and the recipes take.
- `share_right(data, images, labels)` measures any `.tflite`, float or int8, with LiteRT.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from converters.converter_output import silent_step
from converters.float_graph.float_graph import FloatGraph
from converters.improvement.improver import with_graph
from converters.sources.source_model import SourceModel
from edge_cnn.core.labelled_images import LabelledImages

SHAPE = (16, 16, 1)
CLASSES = 10
WIDTHS = ((8, 1), (16, 2), (32, 1), (32, 2), (64, 1))
"""Filters of each pair of a depthwise and a pointwise convolution, and the stride of the depthwise one."""


def digits16(part: LabelledImages) -> LabelledImages:
    """Digits of 28x28 pixels as 16x16: padded to 32x32, each pixel the mean of four."""
    images = np.pad(part.images.astype(np.float32), ((0, 0), (2, 2), (2, 2), (0, 0)))
    small = images.reshape(len(images), 16, 2, 16, 2, 1).mean(axis=(2, 4))
    return replace(part, images=np.rint(small).astype(np.uint8))


def build_depthwise_net() -> Any:
    """An untrained `keras.Model`: a convolution and five pairs of depthwise and pointwise ones, all BatchNorm, ReLU."""
    import keras

    layers = keras.layers

    def norm_relu(value: Any) -> Any:
        return layers.ReLU()(layers.BatchNormalization(momentum=0.9)(value))

    image = keras.Input(SHAPE)
    value = norm_relu(layers.Conv2D(8, 3, padding="same", use_bias=False)(image))
    for filters, stride in WIDTHS:
        value = norm_relu(layers.DepthwiseConv2D(3, strides=stride, padding="same", use_bias=False)(value))
        value = norm_relu(layers.Conv2D(filters, 1, use_bias=False)(value))
    value = layers.Dense(CLASSES)(layers.GlobalAveragePooling2D()(value))
    return keras.Model(image, layers.Softmax()(value))


def trained_depthwise_net(train: LabelledImages, *, epochs: int = 15, seed: int = 0) -> FloatGraph:
    """The network after training on `digits16` of the training part, as a float32 `.tflite`."""
    import keras
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)
    model = build_depthwise_net()
    small = digits16(train)
    rate = keras.optimizers.schedules.CosineDecay(5e-3, epochs * (len(small) // 64))
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", jit_compile=False)
    model.fit(small.images / np.float32(255), small.labels, batch_size=64, epochs=epochs, verbose=0)
    function = tf.function(lambda x: model(x, training=False), input_signature=[tf.TensorSpec((None, *SHAPE))])
    return SourceModel("depthwise", function, SHAPE, (CLASSES,)).float_graph


def skewed(graph: FloatGraph, layer: int, channels: Sequence[int], factor: float) -> FloatGraph:
    """Multiply weights and biases of some output channels, and divide the next layer's weights for them.

    Args:
        graph: as `trained_depthwise_net` gives it: every layer's output is read by the next layer alone, ReLU between.
        layer: place in `graph.layers`, not the last.
        channels: which output channels.
        factor: positive.
    """
    first, second = graph.layers[layer : layer + 2]
    assert first.bias is not None
    weights, bias = graph.constant(first.weights).copy(), graph.constant(first.bias).copy()
    following = graph.constant(second.weights).copy()
    chosen = list(channels)
    weights[(..., chosen) if first.channel_axis == 3 else (chosen,)] *= np.float32(factor)
    bias[chosen] *= np.float32(factor)
    # The last axis counts input channels, of a depthwise layer its channels, of a fully-connected one its features.
    following[..., chosen] /= np.float32(factor)
    return graph.with_constants({first.weights: weights, first.bias: bias, second.weights: following})


def source_of(graph: FloatGraph, labels: tuple[str, ...] | None = None) -> SourceModel:
    """A source whose function and whose float file are the graph."""
    shapes = [graph.tensors[index].shape[1:] for index in (graph.inputs[0], graph.outputs[0])]
    return with_graph(SourceModel("skewed", None, *shapes, labels), graph)


def share_right(data: bytes, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> float:
    """The share of samples whose largest output is their label, one sample after another, one thread."""
    from ai_edge_litert.interpreter import Interpreter

    with silent_step("opening the file"):
        interpreter = Interpreter(model_content=data, num_threads=1)
    interpreter.allocate_tensors()
    (entry,), (end,) = interpreter.get_input_details(), interpreter.get_output_details()
    inputs = images / np.float32(255)
    if entry["dtype"] == np.int8:
        scale, zero_point = entry["quantization"]
        inputs = np.clip(np.rint(inputs / np.float32(scale)) + zero_point, -128, 127).astype(np.int8)
    right = 0
    for sample, label in zip(inputs, labels, strict=True):
        interpreter.set_tensor(entry["index"], sample[None])
        interpreter.invoke()
        right += int(interpreter.get_tensor(end["index"]).argmax() == label)
    return right / len(labels)
