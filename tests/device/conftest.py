"""Prepared devices, and small `.tflite` classifiers as TensorFlow's converter makes them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from edge_cnn.core.artifact import TFLITE, Artifact
from edge_cnn.verify.devices.device import Device
from edge_cnn.verify.devices.table import find_kind, parse_device

CLASSES = 10


@pytest.fixture
def ready_device() -> Iterator[Callable[[str], Device]]:
    """DEVICE -> a prepared device, closed after the test; skips where it is not ready."""
    opened: list[Device] = []

    def open_device(name: str) -> Device:
        preparation = find_kind(name).preparation
        assert preparation is not None
        missing = preparation.missing()
        if missing is not None:
            pytest.skip(f"{name} is not ready ({missing}); make it ready with: edge-cnn devices setup {name}")
        opened.append(parse_device(name))
        return opened[-1]

    yield open_device
    for device in opened:
        device.close()


@pytest.fixture(scope="session")
def tflite_models() -> dict[str, Artifact]:
    """Networks for 12x12 gray images with random weights and 10 classes, by what is special about them.

    "int8" has one weight scale a class in its dense layer, "int8-per-tensor" one for all; "uint8-io" and "float-io" are
    int8 inside; "hybrid" has float activations; "no-dense" ends with GlobalAveragePooling and softmax.
    """
    keras = pytest.importorskip("keras")
    tf = pytest.importorskip("tensorflow")
    layers = keras.layers
    keras.utils.set_random_seed(7)
    samples = np.random.default_rng(7).random((20, 1, 12, 12, 1), np.float32)

    def network(*, softmax: bool = True, dense: bool = True, bias: bool = True) -> Any:
        x = image = layers.Input((12, 12, 1))
        x = layers.Conv2D(4, 3, activation="relu")(x)
        x = layers.Conv2D(8 if dense else CLASSES, 3, strides=2, activation="relu")(x)
        if dense:
            x = layers.Dense(CLASSES, use_bias=bias, bias_initializer="normal")(layers.Flatten()(x))
        else:
            x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(image, layers.Softmax()(x) if softmax else x)

    def convert(model: Any, *, quantize: str = "int8", io: Any = tf.int8, per_tensor: bool = False) -> bytes:
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        if quantize:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if quantize in ("int8", "int16x8"):
            sets = tf.lite.OpsSet
            wide = sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
            converter.target_spec.supported_ops = [sets.TFLITE_BUILTINS_INT8 if quantize == "int8" else wide]
            converter.representative_dataset = lambda: ([sample] for sample in samples)
            converter.inference_input_type = converter.inference_output_type = io
            converter._experimental_disable_per_channel_quantization_for_dense_layers = per_tensor
        return converter.convert()

    plain = network()
    with warnings.catch_warnings():
        # The converter tells that it takes the quantization from the samples, and that it will move elsewhere.
        warnings.simplefilter("ignore")
        made = {
            "float32": convert(plain, quantize=""),
            "int8": convert(plain),
            "int8-per-tensor": convert(plain, per_tensor=True),
            "uint8-io": convert(plain, io=tf.uint8),
            "float-io": convert(plain, io=tf.float32),
            "int16x8": convert(plain, quantize="int16x8", io=tf.int16),
            "hybrid": convert(plain, quantize="dynamic"),
            "no-softmax": convert(network(softmax=False)),
            "no-softmax-uint8-io": convert(network(softmax=False), io=tf.uint8),
            "no-bias": convert(network(bias=False)),
            "no-dense": convert(network(dense=False)),
        }
    return {name: Artifact(f"{name}.tflite", TFLITE, bytes(data)) for name, data in made.items()}


@pytest.fixture(scope="session")
def kinds() -> dict[str, Artifact]:
    """Networks for 8x8 gray images with 1x1 convolutions, float16 or widened weights as heads, by `KINDS`."""
    from tests.device.tflite_kinds import convert_kinds

    return convert_kinds()
