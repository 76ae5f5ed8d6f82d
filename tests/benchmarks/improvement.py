"""What each improvement brings: `python -m tests.benchmarks.improvement`, some five minutes.

Trains the depthwise network of tests/converters/skewed_nets.py, and measures int8 and int4-weights files of it and of
its skewed twin on the 1,000 test digits, after each improvement. Ranges: percentile of 200 training digits.
"""

from __future__ import annotations

import sys

import numpy as np

from converters.calibration.ranges import ranges_of
from converters.calibration.samples import Calibration
from converters.float_graph.float_graph import FloatGraph
from converters.improvement.bias_correction import correct_biases
from converters.improvement.equalization import equalize
from converters.improvement.quantization_aware_training import QatConfig, train_quantized
from converters.schemes.integer_quantizer import quantize_to_int8
from converters.schemes.tflite_int4_weights import quantize_to_int4_weights
from edge_cnn.host.datasets import load_dataset
from tests.converters.skewed_nets import digits16, share_right, skewed, trained_depthwise_net

SCHEMES = {8: quantize_to_int8, 4: quantize_to_int4_weights}
EPOCHS = 10


def write(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    digits = load_dataset("digits")
    train, test = digits16(digits.train), digits16(digits.test)
    inputs = train.images / np.float32(255)
    calibration = Calibration(inputs[::20])

    def percent(data: bytes) -> str:
        return f"{100 * share_right(data, test.images, test.labels):.1f} %"

    def row(name: str, graph: FloatGraph, *, correct: bool, train_it: bool) -> None:
        cells: list[str] = []
        for bits, quantize in SCHEMES.items():
            made, ranges = graph, ranges_of(graph, calibration)
            if correct:
                made = correct_biases(made, ranges, calibration.inputs, bits=bits)
            if train_it:
                result = train_quantized(made, ranges, inputs, None, QatConfig(EPOCHS, bits), teacher=graph)
                made, ranges = result.graph, result.ranges
            cells.append(percent(quantize(made, ranges)))
        write(f"| {name} | {' | '.join(cells)} |")

    plain = trained_depthwise_net(digits.train)
    for title, graph in (("as trained", plain), ("one channel skewed by 200", skewed(plain, 1, [0], 200.0))):
        write(f"\n{title}; float {percent(graph.data)}\n\n| | int8 | int4-weights |\n|---|---|---|")
        equal = equalize(graph).graph
        row("as it is", graph, correct=False, train_it=False)
        row("`--equalize`", equal, correct=False, train_it=False)
        row("`--correct-bias`", graph, correct=True, train_it=False)
        row("both", equal, correct=True, train_it=False)
        row(f"`--qat {EPOCHS}`", graph, correct=False, train_it=True)
        row(f"all three, `--qat {EPOCHS}`", equal, correct=True, train_it=True)


if __name__ == "__main__":
    main()
