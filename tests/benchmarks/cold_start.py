"""Process start to first prediction: edge_cnn from a bundle against a bare LiteRT script on the same model.

Both are fresh processes of this Python that load the file, classify one image and print the best class. They
alternate, and the ratio is the median over pairs.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

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

BARE = """
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
    bundle = read_bundle(bundle_path)
    assert bundle.golden is not None
    with tempfile.TemporaryDirectory() as folder:
        model, image = Path(folder) / "model.tflite", Path(folder) / "image.npy"
        model.write_bytes(bundle.artifacts[0].data)
        np.save(image, bundle.golden.inputs[:1])
        sides = {"edge_cnn": (OURS, bundle_path), "bare": (BARE, model)}
        answers = {run(*side, image)[1] for side in sides.values()}
        assert len(answers) == 1, f"both sides must give the same answer, got {answers}"
        times: dict[str, list[float]] = {name: [] for name in sides}
        for number in range(pairs):
            for name in sorted(sides, reverse=bool(number % 2)):
                times[name].append(run(*sides[name], image)[0])
    ratios = [a / b for a, b in zip(times["edge_cnn"], times["bare"], strict=True)]
    return {
        "benchmark": "cold start, resnet8 int8",
        "edge_cnn": statistics.median(times["edge_cnn"]),
        "bare": statistics.median(times["bare"]),
        "unit": "ms",
        "ratio": statistics.median(ratios),
        "goal": GOAL,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundle", type=Path, help="a bundle with an int8 .tflite; made where it is not given")
    bundle = parser.parse_args().bundle
    with tempfile.TemporaryDirectory() as folder:
        if bundle is None:
            from resnet8_bundle import write_bundle

            bundle = Path(folder) / "resnet8.edgecnn"
            write_bundle(bundle)
        sys.stdout.write(json.dumps(measure(bundle)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
