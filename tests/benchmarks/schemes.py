"""`make schemes`: every scheme's file in every runtime here, measured anew and written into the code.

    schemes.py [--write] [RUNTIME[==RELEASE]=PYTHON ...]

Each pair runs in a process of its own, since some crash. A file "runs" where its outputs are those of LiteRT's
reference kernels on the same file, or for `.onnx` and for those kernels themselves, near the float model's. With
EDGE_CNN_DATA the MLPerf Tiny ResNet-8 is measured too; a pair runs where it runs on both.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from converters.calibration.samples import Calibration
from converters.schemes.table import RECIPES
from converters.schemes.tflite_int4_weights import INT4_OPERATORS
from converters.sources.source_model import SourceModel
from edge_cnn.core.artifact import ONNX, TFLITE
from edge_cnn.device.process_end import describe_end
from edge_cnn.device.tflite.int4_codes import INT4_LIMIT, pack_int4
from edge_cnn.verify.devices.environments import TFLM, TOSA
from edge_cnn.verify.sqnr import sqnr_db

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "edge_cnn" / "device" / "runtimes" / "scheme_results.py"
CELL = Path(__file__).with_name("scheme_cell.py")

SAME_DB, NEAR_DB = 15.0, 5.0
"""SQNR in dB against the reference kernels on the same file, and against the float model; garbage has about 0."""

SAMPLES = 40
LIMIT_S = 120


def interpreters(arguments: list[str]) -> dict[str, str]:
    """Runtime -> the Python that has it, as far as it is here; RUNTIME==RELEASE for a second release of one."""
    here = sys.executable
    found = {"litert": here, "litert-ref": here}
    old = ROOT / ".venv-tflite" / "bin" / "python"
    if old.exists():
        found |= {"tflite-runtime": str(old), "tflite-runtime-ref": str(old)}
    for name, environment in (("tflm", TFLM), ("tosa-ref", TOSA)):
        if environment.missing() is None:
            found[name] = str(environment.folder / "bin" / "python")
    found["onnxruntime"] = here
    return found | dict(argument.rsplit("=", 1) for argument in arguments)


def small_model() -> tuple[SourceModel, np.ndarray]:
    """Every kind of layer that has weights, a residual addition and a softmax; random weights, 8 classes."""
    import keras

    from converters.sources.keras_file import source_of_keras

    keras.utils.set_random_seed(3)
    k = keras.layers
    entry = keras.Input((12, 10, 3))
    hidden = k.ReLU()(k.BatchNormalization()(k.Conv2D(16, 3, padding="same")(entry)))
    branch = k.BatchNormalization()(k.DepthwiseConv2D(3, padding="same")(hidden))
    branch = k.Conv2D(16, 1)(k.ReLU(6.0)(branch))
    hidden = k.ReLU()(k.Add()([hidden, branch]))
    hidden = k.Flatten()(k.AveragePooling2D(2)(hidden))
    model = keras.Model(entry, k.Dense(8, activation="softmax")(hidden))
    rng = np.random.default_rng(4)
    # Channels of very different ranges, so that one scale for all is garbage.
    model.set_weights(
        [
            w * rng.uniform(0.3, 3, w.shape[-1]).astype(np.float32) + (w.ndim == 1) * np.float32(0.1)
            for w in model.get_weights()
        ]
    )
    return source_of_keras(model, "small"), rng.uniform(-1, 1, (200, 12, 10, 3)).astype(np.float32)


def resnet8() -> tuple[SourceModel, np.ndarray] | None:
    place = os.environ.get("EDGE_CNN_DATA")
    if place is None:
        return None
    from converters.sources.load import load_source_model

    folder = Path(place) / "mlperf_tiny"
    images = next(iter(np.load(folder / "ic01_inputs_200.npz").values()))
    return load_source_model(folder / "models" / "pretrainedResnet.tflite"), images.astype(np.float32)


def rounded_outputs(source: SourceModel, limit: int, operators: frozenset[str], inputs: np.ndarray) -> np.ndarray:
    """What the float model gives with the weights that codes up to `limit` stand for."""
    from converters.float_graph.activations import activations
    from converters.schemes.weight_quantizer import quantize_weights, scale_axis

    graph = source.float_graph
    graph = graph.with_constants(
        {
            layer.weights: quantize_weights(
                graph.constant(layer.weights), scale_axis(layer, dense_per_channel=False), limit
            ).floats()
            for layer in graph.layers
            if layer.operator.op in operators
        }
    )
    return np.concatenate([found[graph.outputs[0]] for found in activations(graph, inputs, graph.outputs)])


def foreign_files(source: SourceModel) -> dict[str, bytes]:
    """Files as AI Edge Quantizer writes them: every operator at version 1, FULLY_CONNECTED with a scale a class."""
    from converters.schemes.tflite_edit import TfliteEdit
    from converters.schemes.weight_quantizer import INT8_LIMIT, quantize_weights

    def hybrid(limit: int) -> bytes:
        graph = source.float_graph
        edit = TfliteEdit(graph.data)
        for layer in graph.layers:
            if limit == INT4_LIMIT and layer.operator.op == "DEPTHWISE_CONV_2D":
                continue  # No runtime has a kernel for these.
            weights = quantize_weights(graph.constant(layer.weights), layer.channel_axis, limit)
            codes: Any = weights.codes if limit == INT8_LIMIT else pack_int4(weights.codes)
            quantization = edit.quantization(weights.scales, axis=weights.axis)
            edit.set_constant(layer.weights, codes, "int8" if limit == INT8_LIMIT else "int4", quantization)
        for code in edit.model.operatorCodes:
            code.version = 1
        from converters.float_graph.packing import pack

        return pack(edit.model)

    return {"dynamic int8 at version 1": hybrid(INT8_LIMIT), "dynamic int4 at version 1": hybrid(INT4_LIMIT)}


def run_cell(python: str, runtime: str, path: Path, inputs: Path) -> tuple[np.ndarray | None, str, str]:
    """Real outputs or None, what was said, and the release."""
    out = path.with_suffix(".out.npy")
    out.unlink(missing_ok=True)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"PYTHONPATH": str(ROOT)}
    command = [python, str(CELL), str(path), str(inputs), runtime, str(out)]
    try:
        child = subprocess.run(
            command, capture_output=True, text=True, timeout=LIMIT_S, env=environment, check=False, cwd=path.parent
        )
    except subprocess.TimeoutExpired:
        return None, f"still running after {LIMIT_S} s", ""
    if child.returncode < 0:
        return None, f"crashes with {describe_end(child.returncode)}", ""
    if child.returncode:
        return None, child.stdout.strip() or child.stderr.strip().splitlines()[-1], ""
    return np.load(out), "", out.with_suffix(".version").read_text()


def verdicts(
    files: dict[tuple[str, str], bytes],
    floats: dict[tuple[str, str], np.ndarray],
    inputs: np.ndarray,
    pythons: dict[str, str],
    releases: dict[str, str],
) -> Iterator[tuple[tuple[str, str], str, str]]:
    with tempfile.TemporaryDirectory() as folder:
        samples = Path(folder) / "inputs.npy"
        np.save(samples, inputs)
        for key, data in files.items():
            path = Path(folder) / f"model.{key[0]}"
            path.write_bytes(data)
            reference: np.ndarray | None = None
            # The reference kernels first: the others are held against them.
            for runtime in sorted(pythons, key=lambda name: name != "litert-ref"):
                if runtime.startswith("onnx") != (key[0] == ONNX):
                    continue
                found, said, release = run_cell(pythons[runtime], runtime.partition("==")[0], path, samples)
                if found is None:
                    yield key, runtime, f"refuses: {short(said)}"
                    continue
                releases[runtime] = release
                wanted = floats[key] if reference is None else reference
                got = sqnr_db(wanted, found.reshape(wanted.shape))
                sys.stderr.write(f"{'/'.join(key)} in {runtime}: {got:.1f} dB\n")
                if got < (NEAR_DB if reference is None else SAME_DB):
                    what = f"outputs {got:.0f} dB from the right ones" if np.isfinite(found).all() else "NaN"
                    yield key, runtime, f"known wrong: {what}"
                    continue
                if runtime == "litert-ref":
                    reference = found
                yield key, runtime, "runs"


def short(said: str) -> str:
    """The first sentence of a refusal, without what depends on the machine."""
    text = " ".join(re.sub(r"Attaching debugger to pid \d+", "", said.replace("|", "/")).split())
    for mark in ("TFLM failed to allocate tensors: ", "Invalid TOSA graph: "):
        text = text.removeprefix(mark)
    for mark in (" An older version", "; Node ", " Registration", "INFO:"):
        text = text.partition(mark)[0]
    return text[:80].rstrip(" .;")


def measure(arguments: list[str]) -> tuple[dict[tuple[str, str], dict[str, str]], dict[str, str]]:
    pythons, releases = interpreters(arguments), dict[str, str]()
    results: dict[tuple[str, str], dict[str, str]] = {}
    small = small_model()
    for number, pair in enumerate((small, resnet8())):
        if pair is None:
            continue
        source, inputs = pair
        calibration = Calibration(inputs[:100], "min-max")
        inputs = inputs[100 : 100 + SAMPLES]
        files = {key: recipe.convert(source, calibration) for key, recipe in RECIPES.items()}
        if number == 0:
            files |= {(TFLITE, name): data for name, data in foreign_files(source).items()}
        floats = dict.fromkeys(files, source.predict(inputs))
        # So few codes are far from the float model; that they are computed rightly is what is asked here.
        int4 = rounded_outputs(source, INT4_LIMIT, INT4_OPERATORS, inputs)
        floats |= {(TFLITE, "int4-weights"): int4, (TFLITE, "dynamic int4 at version 1"): int4}
        for key, runtime, verdict in verdicts(files, floats, inputs, pythons, releases):
            old = results.setdefault(key, {}).get(runtime, "runs")
            results[key][runtime] = verdict if old == "runs" else old
    return {
        key: dict(sorted(row.items(), key=lambda item: list(pythons).index(item[0]))) for key, row in results.items()
    }, releases


def main() -> int:
    arguments = [argument for argument in sys.argv[1:] if argument != "--write"]
    results, releases = measure(arguments)
    for key, row in results.items():
        sys.stdout.write(f"{'/'.join(key)}: {row}\n")
    if "--write" in sys.argv:
        write(results, releases)
    return 0


def write(results: dict[tuple[str, str], dict[str, str]], releases: dict[str, str]) -> None:
    """Into the code, where `export` and the documentation read it."""
    text = RESULTS.read_text().partition("RESULTS:")[0]
    text += f"RESULTS: dict[tuple[str, str], dict[str, str]] = {results!r}\n"
    text += '"""(format, scheme) -> runtime -> "runs", "refuses: why" or "known wrong: why"."""\n\n'
    text += f"RELEASES: dict[str, str] = {dict(sorted(releases.items()))!r}\n"
    text += '"""Runtime -> the release that was measured."""\n'
    RESULTS.write_text(text)
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", str(RESULTS)], check=True)


if __name__ == "__main__":
    sys.exit(main())
