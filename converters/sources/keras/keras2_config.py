"""Configurations that Keras 2 wrote, in the words of Keras 3.

Keras 3 reads most of them itself; translated is what it refuses: the groups of depthwise convolutions, the axis of
BatchNorm in a list, the input's shape at layers that are no inputs, slashes in names, single ends in lists, dtype
policies, modules that moved, and the layers that stood for calls of TensorFlow's functions.
"""

from __future__ import annotations

from typing import Any

_WITHOUT_GROUPS = frozenset({"DepthwiseConv2D", "SeparableConv2D", "Conv2DTranspose", "Conv1DTranspose"})
_WITHOUT_KERNEL = frozenset({"DepthwiseConv2D", "SeparableConv2D"})
_KERNEL = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")
"""For training only, and said again for the depthwise and the pointwise kernel."""

_MODELS = {"Functional": "keras.src.models.functional", "Model": "keras", "Sequential": "keras"}
_SHAPE = "batch_input_shape"

OPERATION = "TFOpLambda"
"""Keras 2's name of the layer that stands for a call of a TensorFlow function."""


def translate(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a model, and of the models within it, for Keras 3."""
    return _model(_without_slashes(config))


def _model(config: dict[str, Any]) -> dict[str, Any]:
    layers = config.get("config", {})
    # Before 2.2.3 a Sequential's configuration was the list of its layers.
    if isinstance(layers, list):
        layers = {"name": "sequential", "layers": layers}
    nested = {layer.get("name") for layer in layers.get("layers", []) if _has_own_node(layer)}
    layers = {key: _counted(value, nested) if key != "layers" else value for key, value in layers.items()}
    layers["layers"] = [
        {key: _counted(value, nested) if key == "inbound_nodes" else value for key, value in layer.items()}
        for layer in layers.get("layers", [])
    ]
    translated = [_layer(layer) for layer in layers["layers"]]
    kind = config.get("class_name")
    if kind == "Sequential":
        translated = _with_input(layers["layers"], translated)
    inner = {**layers, "layers": translated}
    inner.pop("build_input_shape", None)
    for key in ("input_layers", "output_layers"):
        if len(inner.get(key, ())) == 1:
            (inner[key],) = inner[key]
    return _named({**config, "config": _dtypes(inner)})


def _has_own_node(layer: dict[str, Any]) -> bool:
    """A model with inputs of its own counted their way to its outputs as the first call; Keras 3 counts calls alone."""
    inner = layer.get("config", {})
    layers = inner.get("layers", []) if isinstance(inner, dict) else inner
    return layer.get("class_name") in _MODELS and bool(layers) and layers[0].get("class_name") == "InputLayer"


def _counted(value: Any, nested: set[Any]) -> Any:
    """Nodes and ends with the calls of nested models counted from 0."""
    if isinstance(value, dict):
        return {key: _counted(inner, nested) for key, inner in value.items()}
    if not isinstance(value, list):
        return value
    if _refers(value) and value[0] in nested:
        return [value[0], value[1] - 1, *value[2:]]
    return [_counted(inner, nested) for inner in value]


def _refers(value: list[Any]) -> bool:
    """["name of a layer", node, tensor, ...] of nodes and ends."""
    return len(value) in (3, 4) and isinstance(value[0], str) and isinstance(value[1], int)


def _layer(layer: dict[str, Any]) -> dict[str, Any]:
    kind, config = layer.get("class_name"), layer.get("config", {})
    if kind in _MODELS:
        return _model(layer)
    if kind == OPERATION:
        return _operation(layer)
    config = _dtypes(config)
    if isinstance(config.get("layer"), dict):
        config["layer"] = _layer(config["layer"])
    config.pop("rng_type", None)  # of augmentation, which passes images on unchanged after training
    if kind != "InputLayer":
        config.pop(_SHAPE, None)
    if kind in _WITHOUT_GROUPS and config.get("groups") == 1:
        del config["groups"]
    if kind in _WITHOUT_KERNEL:
        config = {key: value for key, value in config.items() if key not in _KERNEL}
    axis = config.get("axis")
    if kind in ("BatchNormalization", "LayerNormalization") and isinstance(axis, list) and len(axis) == 1:
        config["axis"] = axis[0]
    return _named({**layer, "config": config})


def _without_slashes(value: Any, key: str = "") -> Any:
    """Keras 3 takes no slash in the name of a layer; the weights are found by their order."""
    if isinstance(value, dict):
        return {k: _without_slashes(v, k) for k, v in value.items()}
    if isinstance(value, list):
        return [_without_slashes(v, "name" if i == 0 and _refers(value) else "") for i, v in enumerate(value)]
    return value.replace("/", "_") if key == "name" and isinstance(value, str) else value


def _named(layer: dict[str, Any]) -> dict[str, Any]:
    """Where classes moved: tf_keras and keras.engine to what Keras 3 calls them."""
    if "module" not in layer:
        return layer
    kind = layer.get("class_name", "")
    module = _MODELS.get(kind) or "keras.layers"
    kept = {key: value for key, value in layer.items() if key != "build_config"}
    return {**kept, "module": module, "registered_name": None if module != _MODELS["Functional"] else kind}


def _dtypes(config: dict[str, Any]) -> dict[str, Any]:
    """Mixed precision is for training: what is converted computes in float32."""
    dtype = config.get("dtype")
    if isinstance(dtype, dict) or dtype in ("mixed_float16", "mixed_bfloat16", "float16"):
        return {**config, "dtype": "float32"}
    return dict(config)


def _with_input(old: list[dict[str, Any]], translated: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Before 2.3 the first layer of a Sequential said the shape of the input."""
    if not old or old[0].get("class_name") == "InputLayer":
        return translated
    config = old[0].get("config", {})
    first = config.get("layers", [{}])[0].get("config", {}) if old[0].get("class_name") in _MODELS else config
    if _SHAPE not in first:
        return translated
    entry = {_SHAPE: first[_SHAPE], "dtype": "float32", "sparse": False, "name": f"{config.get('name', 'first')}_input"}
    like = {key: None for key in ("module", "registered_name") if key in old[0]}
    return [_named({"class_name": "InputLayer", "config": entry, **like}), *translated]


def _operation(layer: dict[str, Any]) -> dict[str, Any]:
    """Constant arguments into the configuration, tensors into a list of inputs."""
    config = layer["config"]
    nodes = layer.get("inbound_nodes", [])
    calls: list[list[Any]] = []
    arguments: dict[str, Any] = {}
    first: list[Any] = []
    for node in nodes:
        entries = [node] if node and isinstance(node[0], str) else node
        # Of several tensors in one list, as of concat, the last entry has the arguments.
        keywords = dict(entries[-1][3]) if entries and len(entries[-1]) > 3 else {}
        tensors = [entry for entry in entries if entry[0] != "_CONSTANT_VALUE"]
        first = [{"constant": entry[2]} if entry[0] == "_CONSTANT_VALUE" else {"input": None} for entry in entries]
        call = [[*entry[:3], {}] for entry in tensors]
        for key, value in keywords.items():
            if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
                arguments[key] = {"input": len(call)}
                call.append([*value, {}])
            else:
                arguments[key] = {"constant": value}
        place = 0
        for entry in first:
            if "input" in entry:
                entry["input"], place = place, place + 1
        calls.append(call)
    new = {"name": config["name"], "function": config["function"], "first": first, "arguments": arguments}
    return {
        "class_name": OPERATION,
        "config": new,
        "name": layer.get("name", config["name"]),
        "inbound_nodes": calls,
    } | ({"module": None, "registered_name": OPERATION} if "module" in layer else {})
