"""`edge-cnn export` of a resnet8 to one int8 target against a bare TFLiteConverter script on the same file and samples.

Both are fresh processes, TensorFlow's import included. The bare script converts and writes the file; edge_cnn also
checks the data and the target's rules, measures the float and the int8 model on the test part, and writes golden and
replay samples.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from resnet8_bundle import CLASSES, IMAGE_SHAPE, smooth_images
from side_by_side import BARE, EDGE_CNN, alternate, compile_as_installed, result, run_as_script

GOAL = 1.3
PAIRS = 5
SAMPLES = 700
CALIBRATION = 500

BARE_SCRIPT = """
import sys
import numpy as np
import tensorflow as tf

model = tf.keras.models.load_model(sys.argv[1], compile=False)
images = np.load(sys.argv[2])["x"][: int(sys.argv[4])].astype(np.float32)
converter = tf.lite.TFLiteConverter.from_keras_model(model)
converter.optimizations = [tf.lite.Optimize.DEFAULT]
converter.representative_dataset = lambda: ([image[None]] for image in images)
converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
converter.inference_input_type = converter.inference_output_type = tf.int8
with open(sys.argv[3], "wb") as file:
    file.write(converter.convert())
"""


def seconds(*words: str) -> float:
    """From start to end of a process."""
    start = time.perf_counter()
    subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    return time.perf_counter() - start


def measure(_: Path, pairs: int = PAIRS) -> dict[str, Any]:
    """Median seconds of both sides and the median ratio of a pair; the bundle of the other benchmarks is not used."""
    compile_as_installed()
    from edge_cnn.host.architectures import build_model

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, data = str(folder / "resnet8.keras"), str(folder / "data.npz")
        build_model("resnet8", IMAGE_SHAPE, CLASSES).save(model)
        np.savez(data, x=smooth_images(SAMPLES), y=np.arange(SAMPLES) % CLASSES)
        out = str(folder / "out.edgecnn")
        ours = [sys.executable, "-m", "edge_cnn", "export", model, "--target", "rpi5", "--calibration", data]
        ours += ["--calibration-samples", str(CALIBRATION), "--out", out, "--quiet"]
        bare = [sys.executable, "-c", BARE_SCRIPT, model, data, str(folder / "out.tflite"), str(CALIBRATION)]
        for words in (ours, bare):
            seconds(*words)
        assert Path(out).exists()
        assert (folder / "out.tflite").exists()
        times = alternate({EDGE_CNN: lambda: seconds(*ours), BARE: lambda: seconds(*bare)}, pairs)
    return result("export, resnet8 int8", times, unit="s", goal=GOAL)


if __name__ == "__main__":
    sys.exit(run_as_script(measure, __doc__))
