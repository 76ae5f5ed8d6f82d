"""Process start to first prediction: edge_cnn from a bundle against a bare LiteRT script on the same model.

Both are fresh processes of this Python that load the file, classify one image and print the best class.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from side_by_side import BARE, EDGE_CNN, alternate, compile_as_installed, result, run_as_script

from edge_cnn.core.bundle import read_bundle

GOAL = 1.25
PAIRS = 25

OURS = """
import sys
import numpy as np
import edge_cnn

classifier = edge_cnn.open_classifier(sys.argv[1])
print(classifier.predict(np.load(sys.argv[2])).indices[0])
"""

BARE_SCRIPT = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter

interpreter = Interpreter(model_path=sys.argv[1], num_threads=1)
interpreter.allocate_tensors()
(inputs,), (outputs,) = interpreter.get_input_details(), interpreter.get_output_details()
interpreter.set_tensor(inputs["index"], (np.load(sys.argv[2]) ^ np.uint8(0x80)).view(np.int8))
interpreter.invoke()
scale, zero_point = outputs["quantization"]
scores = (interpreter.get_tensor(outputs["index"]).astype(np.float32) - zero_point) * scale
print(scores.argmax(axis=1)[0])
"""


def run(script: str, model: Path, image: Path) -> tuple[float, str]:
    """Milliseconds from start to end of a process, and what it printed."""
    start = time.perf_counter()
    child = subprocess.run(
        [sys.executable, "-c", script, str(model), str(image)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return (time.perf_counter() - start) * 1e3, child.stdout.decode().strip()


def measure(bundle_path: Path, pairs: int = PAIRS) -> dict[str, Any]:
    """Median milliseconds of both sides and the median ratio of a pair."""
    compile_as_installed()
    bundle = read_bundle(bundle_path)
    assert bundle.golden is not None
    with tempfile.TemporaryDirectory() as folder:
        model, image = Path(folder) / "model.tflite", Path(folder) / "image.npy"
        model.write_bytes(bundle.artifacts[0].data)
        np.save(image, bundle.golden.inputs[:1])
        sides = {EDGE_CNN: (OURS, bundle_path), BARE: (BARE_SCRIPT, model)}
        answers = {run(*side, image)[1] for side in sides.values()}
        assert len(answers) == 1, f"both sides must give the same answer, got {answers}"
        times = alternate({name: lambda s=side: run(*s, image)[0] for name, side in sides.items()}, pairs)
    return result("cold start, resnet8 int8", times, unit="ms", goal=GOAL)


if __name__ == "__main__":
    sys.exit(run_as_script(measure, __doc__))
