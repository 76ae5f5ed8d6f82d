"""What a training started from, in words."""

from __future__ import annotations

from edge_cnn.host.training import TrainResult
from edge_cnn.host.training.origin import KEPT, Origin
from edge_cnn.host.training.units import leaf_layers


def started_from(result: TrainResult) -> str:
    """As "from model.keras with a new last layer, 5 of 6 layers frozen"; empty where it started from new weights."""
    origin = result.config.origin
    if origin is None:
        return ""
    layers = sum(len(layer.weights) > 0 for layer in leaf_layers(result.model))
    frozen = f"{len(origin.frozen)} of {layers} layers frozen" if origin.frozen else "no layer frozen"
    return f"from {origin.name} with {_head(origin)}, {frozen}"


def first_epoch(origin: Origin | None) -> str:
    """What epoch 0 is."""
    if origin is None:
        return "Epoch 0 is the untrained network."
    return f"Epoch 0 is the network of {origin.name} with {_head(origin)}, before any training here."


def origin_fact(origin: Origin) -> str:
    """Name, hash, last layer and what is frozen, a few names at most."""
    some = ", ".join(origin.frozen[:4]) + (f", ... ({len(origin.frozen)})" if len(origin.frozen) > 4 else "")
    frozen = f"frozen: {some}" if origin.frozen else "no layer frozen"
    return f"{origin.name}, sha256 {origin.sha256}, {_head(origin)}; {frozen}"


def _head(origin: Origin) -> str:
    return "its last layer kept" if origin.head == KEPT else "a new last layer"
