"""Files as Keras 2 wrote them, built here from literal configurations in its layout."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from converters.sources.load import load_classifier, load_source_model
from edge_cnn.core.errors import ModelError

RNG = np.random.default_rng(0)
SHAPE = [None, 6, 6, 3]


def floats(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


def layer(kind: str, name: str, inputs: Any = None, **config: Any) -> dict[str, Any]:
    """A layer in Keras 2's words; `inputs` are names, for a Functional model."""
    written = {"class_name": kind, "config": {"name": name, "trainable": True, "dtype": "float32", **config}}
    if inputs is not None:
        written |= {"name": name, "inbound_nodes": [[[i, 0, 0, {}] for i in inputs]] if inputs else []}
    return written


def entry(inputs: Any = None) -> dict[str, Any]:
    return layer("InputLayer", "image", inputs, batch_input_shape=SHAPE, sparse=False, ragged=False)


DEPTHWISE = {
    "kernel_size": [3, 3],
    "strides": [1, 1],
    "padding": "same",
    "data_format": "channels_last",
    "dilation_rate": [1, 1],
    "groups": 1,
    "activation": "relu",
    "use_bias": True,
    "bias_initializer": {"class_name": "Zeros", "config": {}},
    "depth_multiplier": 1,
    "depthwise_initializer": {"class_name": "GlorotUniform", "config": {"seed": None}},
}
NORM = {"axis": [3], "momentum": 0.99, "epsilon": 0.001, "center": True, "scale": True}
DENSE = {"units": 4, "activation": "softmax", "use_bias": True}
WEIGHTS = {
    "depthwise": {"depthwise_kernel:0": floats(3, 3, 3, 1), "bias:0": floats(3)},
    "norm": {"gamma:0": floats(3), "beta:0": floats(3), "moving_mean:0": floats(3), "moving_variance:0": RNG.random(3)},
    "scores": {"kernel:0": floats(3, 4), "bias:0": floats(4)},
}


def sequential() -> dict[str, Any]:
    layers = [
        entry(),
        layer("DepthwiseConv2D", "depthwise", **DEPTHWISE),
        layer("BatchNormalization", "norm", **NORM),
        layer("Activation", "act", activation="relu"),
        layer("GlobalAveragePooling2D", "pool", data_format="channels_last"),
        layer("Dense", "scores", **DENSE),
    ]
    return {"class_name": "Sequential", "config": {"name": "sequential", "layers": layers}}


def without_input_layer() -> dict[str, Any]:
    config = sequential()
    config["config"] = config["config"]["layers"][1:]
    config["config"][0]["config"]["batch_input_shape"] = SHAPE
    return config


def functional() -> dict[str, Any]:
    """With slashes in names and calls of TensorFlow's functions, as MobileNetV3 of Keras 2 has them."""

    def call(name: str, function: str, node: Any) -> dict[str, Any]:
        return layer("TFOpLambda", name, function=function) | {"name": name, "inbound_nodes": node}

    layers = [
        entry([]),
        call("tf.math.truediv", "math.truediv", [["image", 0, 0, {"y": 2.0, "name": None}]]),
        call("tf.math.subtract", "math.subtract", [["_CONSTANT_VALUE", -1, 1.0, {"y": ["tf.math.truediv", 0, 0]}]]),
        layer("DepthwiseConv2D", "block/depthwise", ["tf.math.subtract"], **DEPTHWISE),
        layer("BatchNormalization", "block/norm", ["block/depthwise"], **NORM),
        call("tf.nn.relu6", "nn.relu6", [["block/norm", 0, 0, {"name": None}]]),
        call("tf.math.multiply", "math.multiply", [["tf.nn.relu6", 0, 0, {"y": ["block/norm", 0, 0], "name": None}]]),
        layer("GlobalAveragePooling2D", "pool", ["tf.math.multiply"], data_format="channels_last"),
        layer("Dense", "scores", ["pool"], **DENSE),
    ]
    ends = {"input_layers": [["image", 0, 0]], "output_layers": [["scores", 0, 0]]}
    return {"class_name": "Functional", "config": {"name": "model", "layers": layers, **ends}}


def nested() -> dict[str, Any]:
    inner = functional()
    inner["config"]["layers"] = inner["config"]["layers"][:-2]
    inner["config"]["name"] = "base"
    inner["config"]["output_layers"] = [["tf.math.multiply", 0, 0]]
    layers = [
        {**entry([])},
        inner | {"name": "base", "inbound_nodes": [[["image", 0, 0, {"training": False}]]]},
        layer("GlobalAveragePooling2D", "pool", data_format="channels_last")
        # The first node of a model within a model was its own.
        | {"name": "pool", "inbound_nodes": [[["base", 1, 0, {}]]]},
        layer("Dense", "scores", ["pool"], **DENSE),
    ]
    ends = {"input_layers": [["image", 0, 0]], "output_layers": [["scores", 0, 0]]}
    return {"class_name": "Functional", "config": {"name": "outer", "layers": layers, **ends}}


def write_h5(path: Path, config: dict[str, Any], names: list[tuple[str, list[str]]]) -> Path:
    """`names`: group -> the layers whose weights it has; the layout of model.save of Keras 2."""
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = "2.11.0"
        file.attrs["backend"] = "tensorflow"
        file.attrs["model_config"] = json.dumps(config)
        optimizer = {"class_name": "Adam", "config": {"name": "Adam", "lr": 0.001, "decay": 0.0}}
        file.attrs["training_config"] = json.dumps({"loss": "mse", "optimizer_config": optimizer})
        groups = file.create_group("model_weights")
        groups.attrs["layer_names"] = np.array([name for name, _ in names], "S")
        groups.attrs["keras_version"] = "2.11.0"
        for name, layers in names:
            group = groups.create_group(name)
            weights = [(f"{inner}/{key}", WEIGHTS[inner][key]) for inner in layers for key in WEIGHTS[inner]]
            group.attrs["weight_names"] = np.array([key for key, _ in weights], "S")
            for key, values in weights:
                group[key] = values
    return path


FLAT = [("depthwise", ["depthwise"]), ("norm", ["norm"]), ("scores", ["scores"])]


def depthwise_same(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return sum(padded[:, i : i + 6, j : j + 6] * kernel[i, j, :, 0] for i in range(3) for j in range(3))


def expected(x: np.ndarray, *, is_functional: bool) -> np.ndarray:
    """What the models above compute, in numpy."""
    d, n, s = (WEIGHTS[name] for name in ("depthwise", "norm", "scores"))
    if is_functional:
        x = 1 - x / 2
    x = np.maximum(depthwise_same(x, d["depthwise_kernel:0"]) + d["bias:0"], 0)
    x = (x - n["moving_mean:0"]) / np.sqrt(n["moving_variance:0"] + 0.001) * n["gamma:0"] + n["beta:0"]
    x = np.clip(x, 0, 6) * x if is_functional else np.maximum(x, 0)
    logits = x.mean(axis=(1, 2)) @ s["kernel:0"] + s["bias:0"]
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    ("config", "names", "is_functional"),
    [
        (sequential(), FLAT, False),
        (without_input_layer(), FLAT, False),
        (functional(), [("block/depthwise", ["depthwise"]), ("block/norm", ["norm"]), ("scores", ["scores"])], True),
        (nested(), [("base", ["depthwise", "norm"]), ("scores", ["scores"])], True),
    ],
    ids=["Sequential", "Sequential of Keras 2.1", "Functional", "nested"],
)
def test_an_h5_of_keras_2_computes_what_it_says(config: Any, names: Any, is_functional: bool, tmp_path: Path) -> None:
    source = load_classifier(write_h5(tmp_path / "m.h5", config, names))
    images = np.random.default_rng(1).normal(size=(5, 6, 6, 3)).astype(np.float32)
    assert np.abs(source.predict(images) - expected(images, is_functional=is_functional)).max() < 1e-5


def test_a_keras_archive_of_keras_2_computes_what_it_says(tmp_path: Path) -> None:
    config = sequential() | {"module": "keras", "registered_name": None}
    for written in config["config"]["layers"]:
        written |= {"module": "keras.layers", "registered_name": None}
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        for group, name in (("depthwise_conv2d", "depthwise"), ("batch_normalization", "norm"), ("dense", "scores")):
            for i, values in enumerate(WEIGHTS[name].values()):
                file[f"layers/{group}/vars/{i}"] = values
        for group in ("input_layer", "activation", "global_average_pooling2d"):
            file.create_group(f"layers/{group}/vars")
        file.create_group("vars")
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.15.0"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights.getvalue())
    images = np.random.default_rng(1).normal(size=(5, 6, 6, 3)).astype(np.float32)
    found = load_classifier(tmp_path / "m.keras").predict(images)
    assert np.abs(found - expected(images, is_functional=False)).max() < 1e-5


def changed(path: Path, change: Any) -> Path:
    """The Sequential with `change` applied to its list of layers."""
    config = sequential()
    change(config["config"]["layers"])
    return write_h5(path, config, FLAT)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda layers: layers.insert(3, layer("Lambda", "twice", function=["4wEAAAA=", None, None])),
            "has the Lambda layer 'twice': its Python code is not run",
        ),
        (
            lambda layers: layers.insert(3, layer("Attention3D", "mine")),
            "Unknown layer: 'Attention3D'.*; export a SavedModel, which needs no classes",
        ),
        (
            lambda layers: layers.insert(3, layer("Mine", "mine") | {"module": "os.path"}),
            "has 'mine' of the class Mine from the module 'os.path', which is not Keras's own",
        ),
        (lambda layers: layers[-1]["config"].update(units=10**12), "claims units 1000000000000 for layer 'scores'"),
        (
            lambda layers: layers[0]["config"].update(batch_input_shape=[None, 10**6, 10**6, 3]),
            r"claims inputs of shape \[None, 1000000, 1000000, 3\]",
        ),
    ],
)
def test_what_a_configuration_must_not_have_is_one_line(change: Any, message: str, tmp_path: Path) -> None:
    path = changed(tmp_path / "m.h5", change)
    with pytest.raises(ModelError, match=message) as caught:
        load_source_model(path)
    assert "\n" not in str(caught.value)


def test_a_function_that_is_not_known_is_not_called(tmp_path: Path) -> None:
    config = functional()
    config["config"]["layers"][1]["config"]["function"] = "io.read_file"
    path = write_h5(tmp_path / "m.h5", config, [])
    with pytest.raises(ModelError, match=r"io\.read_file"):
        load_source_model(path)


def test_weights_without_a_model_say_so(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "m.h5", "w") as file:
        file["dense/kernel"] = floats(3, 4)
    with pytest.raises(ModelError, match=r"has weights but no model; save the whole model with model\.save"):
        load_source_model(tmp_path / "m.h5")


def test_weights_that_claim_more_than_the_file_are_refused(tmp_path: Path) -> None:
    path = write_h5(tmp_path / "m.h5", sequential(), FLAT)
    with h5py.File(path, "r+") as file:
        group = file["model_weights/scores/scores"]
        del group["kernel:0"]
        group.create_dataset("kernel:0", (10**6, 10**6), np.float32, chunks=(100, 100))
    with pytest.raises(
        ModelError, match=r"claims 4000000000000 bytes for the weights 'model_weights/scores/scores/kernel:0'"
    ):
        load_source_model(path)


def test_weights_in_another_file_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(bytes(64))
    path = write_h5(tmp_path / "m.h5", sequential(), FLAT)
    with h5py.File(path, "r+") as file:
        group = file["model_weights/scores/scores"]
        del group["bias:0"]
        group.create_dataset("bias:0", (4,), np.float32, external=[(str(tmp_path / "secret"), 0, 16)])
    with pytest.raises(ModelError, match=r"keeps the weights .*bias:0' in another file; save it again as one"):
        load_source_model(path)


def test_a_zip_that_claims_a_huge_member_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.keras", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", b" " * 2**27)
    with pytest.raises(ModelError, match=r"claims 134217728 bytes for config\.json, which it cannot hold"):
        load_source_model(tmp_path / "m.keras")
