"""Rules of TensorFlow Lite Micro, the interpreter of microcontrollers."""

from __future__ import annotations

from converters.constraints.tflite_graph import foreign_operators
from edge_cnn.core.artifact import Artifact
from edge_cnn.device.runtimes.release_facts import TFLM_OPERATORS
from edge_cnn.device.tflite.traits import has_per_channel_dequantize, is_hybrid


def operators_of_tflm(artifact: Artifact) -> list[str]:
    """Every operator is one that TensorFlow Lite Micro has."""
    return foreign_operators(artifact, TFLM_OPERATORS)


def no_hybrid_layers(artifact: Artifact) -> list[str]:
    """No layer takes float activations and integer weights, for which TensorFlow Lite Micro has no kernels."""
    return ["a layer with both"] if is_hybrid(artifact) else []


def no_weight_only_layers(artifact: Artifact) -> list[str]:
    """No DEQUANTIZE has a scale for each channel, which TensorFlow Lite Micro computes wrong without a word."""
    return ["one that has"] if has_per_channel_dequantize(artifact) else []
