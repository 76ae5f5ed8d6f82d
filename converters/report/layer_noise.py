"""How much of each layer's output survived in an integer `.tflite`, the whole file running."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from converters.explanation.correspondence import correspond
from converters.explanation.equalized_reference import scaled_like
from converters.explanation.quantized_tflite import QuantizedTflite
from converters.float_graph.activations import activations
from converters.float_graph.float_graph import FloatGraph
from edge_cnn.verify.sqnr import sqnr_db


def layer_sqnr_db(graph: FloatGraph, data: bytes, inputs: NDArray[np.float32]) -> dict[str, float]:
    """Layer name -> signal to quantization noise ratio of its output in dB, in the order of execution.

    An equalized file is compared with the float model scaled likewise, whose channels are those of the file.

    Args:
        graph: the float model.
        data: the integer file made from it.
        inputs: float32 (n, height, width, channels), model inputs.

    Raises:
        ModelError: the files do not have the same layers.
    """
    model = QuantizedTflite(data)
    graph = scaled_like(graph, model, correspond(graph, model))
    pairs = correspond(graph, model).pairs
    places = [pair.reference.outputs[0] for pair in pairs]
    wanted = list(activations(graph, inputs, places))
    found = list(model.run(inputs))
    return {
        pair.reference.name: sqnr_db(
            np.concatenate([values[place] for values in wanted]),
            np.concatenate([values[pair.quantized] for values in found]),
        )
        for pair, place in zip(pairs, places, strict=True)
    }
