"""What `Classifier.predict` costs above the interpreter: batch 1, resnet8 int8, one thread.

Both sides take the same uint8 image and return float scores. The bare loop is what one would write by hand with
`ai_edge_litert` and care: views and constants are made once, the input is a sign-bit flip, the output two operations.
Rounds of both alternate in one process, since clock frequency and neighbours change with time; the ratio is the median
over rounds.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from side_by_side import BARE, EDGE_CNN, alternate, result, run_as_script

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.bundle import read_bundle
from edge_cnn.device.opening import open_classifier

GOAL, AIM = 1.15, 1.05
ROUNDS, CALLS = 60, 200


def bare_predict(artifact: Artifact) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """A function from one uint8 image (1, h, w, c) to scores float32 (1, classes), without edge_cnn."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter: Any = Interpreter(model_content=artifact.data, num_threads=1)
    interpreter.allocate_tensors()
    (inputs,), (outputs,) = interpreter.get_input_details(), interpreter.get_output_details()
    input_index, output_index = inputs["index"], outputs["index"]
    scale, zero_point = outputs["quantization"]
    assert inputs["quantization"] == (np.float32(1 / 255), -128), "the bare loop is written for pixels minus 128"
    set_tensor, invoke, get_tensor = interpreter.set_tensor, interpreter.invoke, interpreter.get_tensor
    scale, zero_point = np.float32(scale), np.float32(zero_point)
    flip = np.uint8(0x80)

    def predict(image: NDArray[np.uint8]) -> NDArray[np.float32]:
        set_tensor(input_index, (image ^ flip).view(np.int8))
        invoke()
        return (get_tensor(output_index) - zero_point) * scale

    return predict


def seconds_per_call(function: Callable[[Any], object], image: NDArray[np.uint8], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        function(image)
    return (time.perf_counter() - start) / calls


def measure(bundle_path: Path, rounds: int = ROUNDS, calls: int = CALLS) -> dict[str, Any]:
    """Median microseconds of both sides and the median ratio of a round."""
    classifier = open_classifier(bundle_path, runtime="litert")
    bare = bare_predict(classifier.artifact)
    bundle = read_bundle(bundle_path)
    assert bundle.golden is not None
    image = np.ascontiguousarray(bundle.golden.inputs[:1])
    np.testing.assert_array_equal(classifier.predict(image).scores, bare(image))
    sides = {EDGE_CNN: classifier.predict, BARE: bare}
    for function in sides.values():
        seconds_per_call(function, image, calls)
    times = alternate(
        {name: lambda f=function: seconds_per_call(f, image, calls) * 1e6 for name, function in sides.items()}, rounds
    )
    return result("predict, batch 1, resnet8 int8", times, unit="us", goal=GOAL) | {"aim": AIM}


if __name__ == "__main__":
    sys.exit(run_as_script(measure, __doc__))
