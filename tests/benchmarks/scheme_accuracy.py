"""Every scheme of the MLPerf Tiny models: bytes and accuracy, and for the autoencoder how near it stays to float.

    scheme_accuracy.py [--write] [--only SCHEME] [MODEL ...]

Takes models and data from EDGE_CNN_DATA. ResNet-8 is calibrated on the first 500 CIFAR-10 training images. For the
DS-CNN there are no training samples here, so every tenth of the official 1,000 calibrates, and the other 900 are told
as well; its published "float32" file holds int8 weights, which are widened first. The autoencoder gets synthetic
inputs, so its rows say how near the schemes are to float and nothing of anomalies. Files run in LiteRT and ONNX
Runtime, a sample at a time.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from converters.calibration.samples import Calibration
from converters.schemes.accuracy_results import ACCURACY
from converters.schemes.table import RECIPES
from converters.sources.load import load_source_model
from converters.sources.source_model import SourceModel
from edge_cnn.core.artifact import ONNX, Artifact
from edge_cnn.core.errors import EdgeCnnError
from edge_cnn.core.quantization import dequantize, quantize
from edge_cnn.device.runtimes.table import open_runtime
from edge_cnn.verify.sqnr import sqnr_db
from tests.benchmarks.corrupted_cifar import data_folder, load_images

RESULTS = Path(__file__).resolve().parents[2] / "converters" / "schemes" / "accuracy_results.py"


@dataclass(frozen=True)
class Task:
    """A model, what calibrates it, and what it is measured on: name -> (inputs, labels or None)."""

    source: SourceModel
    calibration: Calibration
    parts: dict[str, tuple[np.ndarray, np.ndarray | None]]


def resnet8() -> Task:
    folder = data_folder() / "mlperf_tiny"
    official = np.load(folder / "ic01_inputs_200.npz")
    images, labels = load_images("test", 10_000)
    return Task(
        load_source_model(folder / "models" / "pretrainedResnet.tflite"),
        Calibration(load_images("train", 500)[0].astype(np.float32)),
        {
            "10,000": (images.astype(np.float32), labels),
            "official 200": (official["x"].astype(np.float32), official["y"]),
        },
    )


def ds_cnn() -> Task:
    folder = data_folder() / "mlperf_tiny"
    official = np.load(folder / "kws01_inputs_1000.npz")
    # The codes' meaning is that of the official int8 file's input.
    entry = open_runtime(read(folder / "models" / "kws_ref_model.tflite")).inputs[0].quantization
    assert entry is not None
    inputs, labels = dequantize(official["x"], entry).astype(np.float32)[..., None], official["y"]
    chosen = np.arange(len(inputs)) % 10 == 0
    return Task(
        load_source_model(folder / "models" / "kws_ref_model_float32.tflite"),
        Calibration(inputs[chosen]),
        {"1,000": (inputs, labels), "other 900": (inputs[~chosen], labels[~chosen])},
    )


def autoencoder() -> Task:
    source = load_source_model(data_folder() / "mlperf_tiny" / "models" / "ad01_fp32.tflite")
    rng = np.random.default_rng(0)
    # Log-mel frames of a machine's hum: a level, a slope and noise, in decibels.
    level, slope = rng.normal(-20, 8, (1000, 1)), rng.normal(0, 4, (1000, 1))
    frames = level + slope * np.linspace(-1, 1, 640) + rng.normal(0, 4, (1000, 640))
    return Task(
        source, Calibration(frames[:500].astype(np.float32)), {"500 synthetic": (frames[500:].astype(np.float32), None)}
    )


PERCENTILE = "percentile"
TASKS = {"ResNet-8": resnet8, "DS-CNN": ds_cnn, "autoencoder": autoencoder}


def read(path: Path) -> Artifact:
    return Artifact(path.name, path.suffix[1:], path.read_bytes())


def outputs(data: bytes, format: str, inputs: np.ndarray) -> np.ndarray:
    """Real outputs, each sample alone."""
    runtime = open_runtime(Artifact(f"model.{format}", format, data))
    entry, end = runtime.inputs[0], runtime.outputs[0]
    if format == ONNX and inputs.ndim == 4:
        inputs = np.ascontiguousarray(inputs.transpose(0, 3, 1, 2))
    if entry.quantization is not None:
        inputs = quantize(inputs, entry.quantization, entry.numpy_dtype)
    found = np.concatenate([runtime.run([inputs[i : i + 1]])[0] for i in range(len(inputs))])
    return found if end.quantization is None else dequantize(found, end.quantization)


def measure(name: str, only: str | None = None) -> dict[tuple[str, str], dict[str, Any]]:
    """(format, scheme) -> "bytes" and a share, or SQNR in dB, for each part; int8 also with percentile ranges."""
    task = TASKS[name]()
    results: dict[tuple[str, str], dict[str, Any]] = {}
    floats = {part: task.source.predict(inputs) for part, (inputs, labels) in task.parts.items() if labels is None}
    wanted = [(key, key[1], "min-max") for key in RECIPES]
    wanted += [(key, f"{key[1]}, {PERCENTILE}", PERCENTILE) for key in RECIPES if key[1] == "int8"]
    for key, title, method in wanted:
        if only is not None and title != only:
            continue
        try:
            data = RECIPES[key].convert(task.source, replace(task.calibration, method=method))
            row: dict[str, Any] = {"bytes": len(data)}
            for part, (inputs, labels) in task.parts.items():
                found = outputs(data, key[0], inputs)
                if labels is None:
                    row[part] = round(sqnr_db(floats[part], found.reshape(floats[part].shape)), 1)
                else:
                    row[part] = float(np.mean(found.argmax(axis=-1).reshape(-1) == labels))
        except EdgeCnnError as error:
            row = {"error": str(error)[:80]}
        results[key[0], title] = row
        sys.stderr.write(f"{name} {key[0]}/{title}: {row}\n")
    return results


def _place(row: tuple[str, str]) -> tuple[int, str]:
    """Rows stand in the order of the schemes."""
    scheme = row[1].partition(",")[0]
    return list(RECIPES).index((row[0], scheme)), row[1]


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("models", nargs="*")
    parser.add_argument("--only", help="one row, as the page names it")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    results = dict(ACCURACY)
    for name in arguments.models or TASKS:
        rows = results.get(name, {}) | measure(name, arguments.only)
        results[name] = dict(sorted(rows.items(), key=lambda item: _place(item[0])))
    if arguments.write:
        text = '"""What `tests/benchmarks/scheme_accuracy.py --write` measured on the MLPerf Tiny models."""\n\n'
        text += "from __future__ import annotations\n\nfrom typing import Any\n\n"
        text += f"ACCURACY: dict[str, dict[tuple[str, str], dict[str, Any]]] = {results!r}\n"
        text += '"""Model -> (format, scheme) -> "bytes", and by part a share of right answers or SQNR in dB."""\n'
        RESULTS.write_text(text)
        subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", str(RESULTS)], check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
