"""TFLite's side of the benchmark of head training: a file with a `train` signature, run by LiteRT's interpreter.

As in TensorFlow's guide to on-device training, the parameters are resource variables of the file. Its gradient by
`tf.GradientTape` converts to built-in operators as well, but to more of them, and takes up to a fifth longer; so the
gradient of the softmax is written out here.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from head_shapes import Embeddings
from head_side import L2, Fit, Setting, mini_batches

DECAYS = (0.9, 0.999)
"""Of Adam's two moments, as Kingma and Ba 2015 have them."""

EPSILON = 1e-7


def model_path(embeddings: Embeddings, setting: Setting) -> Path:
    """A file holds one size of batch: LiteRT wants fixed shapes in the gradient."""
    batch = mini_batches(len(embeddings.codes), setting.batch)[0].stop
    return embeddings.folder / f"head_{batch}x{embeddings.codes.shape[1] + 1}x{embeddings.classes}.tflite"


def convert(embeddings: Embeddings, settings: tuple[Setting, ...]) -> None:
    """Write the file of each setting."""
    for path in {model_path(embeddings, setting) for setting in settings}:
        batch, width, classes = (int(number) for number in path.stem.removeprefix("head_").split("x"))
        path.write_bytes(training_model(batch, width, classes))


def training_model(batch: int, width: int, classes: int) -> bytes:
    """A `.tflite` with `train`, one step of Adam, `start`, which sets all to zero, and `read`, which gives the weights.

    Of built-in operators alone: where one were not, the conversion would fail.
    """
    import tensorflow as tf

    module: Any = tf.Module()
    for name in ("weights", "mean", "square"):
        setattr(module, name, tf.Variable(tf.zeros((classes, width)), name=name))

    @tf.function(
        input_signature=[
            tf.TensorSpec((batch, width), tf.float32, name="x"),
            tf.TensorSpec((batch,), tf.int32, name="y"),
            tf.TensorSpec((), tf.float32, name="rate"),
        ]
    )
    def train(x: Any, y: Any, rate: Any) -> Any:
        weights = module.weights.read_value()
        probabilities = tf.nn.softmax(tf.matmul(x, weights, transpose_b=True))
        residual = (probabilities - tf.one_hot(y, classes)) * (1 / batch)
        gradient = tf.matmul(residual, x, transpose_a=True) + L2 * weights
        mean = DECAYS[0] * module.mean + (1 - DECAYS[0]) * gradient
        square = DECAYS[1] * module.square + (1 - DECAYS[1]) * gradient * gradient
        module.mean.assign(mean)
        module.square.assign(square)
        module.weights.assign(weights - rate * mean / (tf.sqrt(square) + EPSILON))
        return {"first": probabilities[0]}

    @tf.function(input_signature=[tf.TensorSpec((), tf.float32, name="value")])
    def start(value: Any) -> Any:
        for variable in (module.weights, module.mean, module.square):
            variable.assign(tf.fill((classes, width), value))
        return {"value": value + 0.0}

    @tf.function(input_signature=[])
    def read() -> Any:
        return {"weights": module.weights.read_value()}

    functions = {"train": train, "start": start, "read": read}
    with tempfile.TemporaryDirectory() as folder:
        concrete = {name: function.get_concrete_function() for name, function in functions.items()}
        for name, function in functions.items():
            setattr(module, name, function)
        tf.saved_model.save(module, folder, signatures=concrete)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        converter.experimental_enable_resource_variables = True
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
        return converter.convert()


def tflite_side(embeddings: Embeddings, threads: int, setting: Setting) -> Fit:
    """The interpreter's signature runners, batch by batch."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(model_path(embeddings, setting)), num_threads=threads)
    train, start, read = (interpreter.get_signature_runner(name) for name in ("train", "start", "read"))
    z, labels = embeddings.inputs(), embeddings.labels.astype(np.int32)
    batches = mini_batches(len(z), setting.batch)

    def fit(iterations: int) -> np.ndarray:
        start(value=np.float32(0))
        for number in range(iterations):
            batch = batches[number % len(batches)]
            # Adam's correction of the zero start, all in the rate (Kingma and Ba 2015, end of section 2).
            first, second = (1 - decay ** (number + 1) for decay in DECAYS)
            train(x=z[batch], y=labels[batch], rate=np.float32(setting.rate * second**0.5 / first))
        return read()["weights"]

    return fit
