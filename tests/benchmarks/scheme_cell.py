"""One file in one runtime, in a process of its own: real values of the outputs as .npy, or one line why not.

Needs numpy and the runtime alone, so that it runs in environments with old ones:
scheme_cell.py MODEL INPUTS RUNTIME OUT
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from edge_cnn.core.artifact import read_artifact
from edge_cnn.core.errors import EdgeCnnError
from edge_cnn.core.quantization import dequantize, quantize
from edge_cnn.device.runtimes import runtime_check, tflm_interpreter
from edge_cnn.device.runtimes.table import open_runtime


def main() -> int:
    model, inputs, runtime, out = sys.argv[1:]
    # What is known already must not answer for what is measured now.
    runtime_check.known_wrong = tflm_interpreter.known_wrong = tflm_interpreter.refusal = lambda *_: None
    artifact = read_artifact(Path(model))
    samples = np.load(inputs)
    try:
        opened = open_runtime(artifact, runtime)
        entry, end = opened.inputs[0], opened.outputs[0]
        if artifact.format == "onnx" and samples.ndim == 4:
            samples = np.ascontiguousarray(samples.transpose(0, 3, 1, 2))
        if entry.quantization is not None:
            samples = quantize(samples, entry.quantization, entry.numpy_dtype)
        # One at a time: what rounds by the range of the batch would give other values.
        found = np.concatenate([opened.run([samples[i : i + 1]])[0] for i in range(len(samples))])
    except EdgeCnnError as error:
        text = str(error).removeprefix(f"{runtime} refuses {artifact.name}: ")
        sys.stdout.write(text.removesuffix(f"; see 'edge-cnn inspect {artifact.name}'"))
        return 1
    np.save(out, found if end.quantization is None else dequantize(found, end.quantization))
    Path(out).with_suffix(".version").write_text(opened.version)
    return 0


if __name__ == "__main__":
    sys.exit(main())
