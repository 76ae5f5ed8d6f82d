"""What the method and the number of calibration samples do to int8 accuracy: the tables of docs/calibration.md.

The MLPerf Tiny ResNet-8 (float .tflite) is calibrated with the first 500 CIFAR-10 training images by each method and
quantized per channel and per tensor; both files, and the float one, answer the 10,000 test images. "against min-max" is
how many answers became right and how many wrong, with McNemar's exact test. Then min-max and
percentile with fewer images, and with what the audit refuses. `--picture FILE.png` draws instead where the methods put
the ends of one activation.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
from corrupted_cifar import data_folder, load_images

from converters.calibration.ranges import ranges_of
from converters.calibration.samples import Calibration
from converters.calibration.streaming_histogram import StreamingHistogram
from converters.calibration.table import ESTIMATORS
from converters.float_graph.activations import activations
from converters.float_graph.float_graph import FloatGraph
from converters.schemes.integer_quantizer import quantize_to_int8
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.preprocessing import input_range
from edge_cnn.device.model_input import to_model_input
from edge_cnn.device.runtimes.table import open_runtime
from edge_cnn.verify.mcnemar import mcnemar_p_value

CALIBRATION, FIRST, BATCH = 500, 2000, 250
PREPROCESSING = input_range(0, 255, (32, 32, 3))


def answers(data: bytes, images: np.ndarray) -> np.ndarray:
    """The class that a file gives each image: int64 (n,)."""
    runtime = open_runtime(Artifact("model.tflite", "tflite", data))
    batches = (images[i : i + BATCH] for i in range(0, len(images), BATCH))
    return np.concatenate(
        [runtime.run([to_model_input(b, PREPROCESSING, runtime.inputs[0])])[0].argmax(axis=1) for b in batches]
    )


def noise_like(images: np.ndarray) -> dict[str, np.ndarray]:
    """Inputs that are no images, of the same shape: float32."""
    rng = np.random.default_rng(0)
    flat = images.reshape(len(images), -1, 3)
    gray = np.clip(rng.normal(images.mean(), images.std(), images.shape), 0, 255)
    return {
        "uniform noise": rng.integers(0, 256, images.shape).astype(np.float32),
        "Gaussian noise": gray.astype(np.float32),
        "the images with shuffled pixels": np.stack([rng.permutation(i) for i in flat]).reshape(images.shape),
        "one colour each": np.broadcast_to(images[:, :1, :1], images.shape),
        "pixels 0..1 in place of 0..255": images / 255,
    }


def write_table(rows: list[list[str]]) -> None:
    """Markdown on stdout, the first row above the line."""
    for number, cells in enumerate(rows):
        sys.stdout.write("| " + " | ".join(cells) + " |\n" + ("|---" * len(cells) + "|\n" if number == 0 else ""))
    sys.stdout.write("\n")


def against(before: np.ndarray, after: np.ndarray) -> str:
    """Answers that became right and wrong, bool (n,) both, and the chance of as uneven a change by chance."""
    won, lost = int(np.sum(after & ~before)), int(np.sum(before & ~after))
    return f"+{won} -{lost}, p = {mcnemar_p_value(lost, won):.2g}"


def percent(right: np.ndarray) -> str:
    return f"{100 * np.mean(right):.2f} %"


def draw(graph: FloatGraph, inputs: np.ndarray, path: Path) -> None:
    """The histogram of the second convolution's output before the addition, and the ends that each method takes."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    (tensor, *_) = [operator.inputs[1] for operator in graph.operators if operator.op == "ADD"]
    histogram = StreamingHistogram(256)
    for values in activations(graph, inputs, [tensor]):
        histogram.update(values[tensor])
    figure, axes = plt.subplots(figsize=(8, 4), layout="constrained")
    axes.stairs(histogram.counts, histogram.edges, fill=True, color="#c9d3df")
    axes.set(yscale="log", xlabel="value", ylabel="activations", xlim=(1.05 * histogram.low, 1.05 * histogram.high))
    for method, colour, top in zip(
        ESTIMATORS, ("#444444", "#1f77b4", "#d62728", "#2ca02c"), (1.0, 0.9, 0.8, 0.7), strict=True
    ):
        low, high = ranges_of(graph, Calibration(inputs, method))[tensor]
        label = f"{method}: {low:.1f} to {high:.1f}, step {(high - low) / 255:.3f}"
        for end in (low, high):
            axes.axvline(end, ymax=top, color=colour, label=label if end == low else None)
    figure.legend(frameon=False, loc="outside lower center", ncols=2, fontsize="small")
    axes.set_title(f"Inputs of ResNet-8's first addition, {len(inputs)} CIFAR-10 images", fontsize="medium")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--picture", type=Path)
    picture: Path | None = parser.parse_args().picture
    path: Path = data_folder() / "mlperf_tiny" / "models" / "pretrainedResnet.tflite"
    graph = FloatGraph(path.read_bytes())
    inputs = load_images("train", CALIBRATION)[0].astype(np.float32)
    if picture is not None:
        draw(graph, inputs, picture)
        return 0
    test, labels = load_images("test", 10_000)
    of_float = answers(graph.data, test)
    right = of_float == labels

    def measured(calibration: Calibration, *, per_channel: bool = True) -> np.ndarray:
        return answers(quantize_to_int8(graph, ranges_of(graph, calibration), per_channel=per_channel), test)

    rows = [
        ["ranges by", "weights", "first 2,000", "all 10,000", "other answers than float", "against min-max", "time"]
    ]
    rows.append(["float32", "", percent(right[:FIRST]), percent(right), "0", "", ""])
    unit = 0.0
    for per_channel in (True, False):
        first = None
        for method in ESTIMATORS:
            began = time.process_time()
            ranges_of(graph, Calibration(inputs, method))
            spent = time.process_time() - began
            unit = unit or spent
            found = measured(Calibration(inputs, method), per_channel=per_channel)
            right = found == labels
            kind = "per channel" if per_channel else "per tensor"
            change = "" if first is None else against(first, right)
            first = right if first is None else first
            figures = [percent(right[:FIRST]), percent(right), str(np.sum(found != of_float)), change]
            rows.append([method, kind, *figures, f"{spent / unit:.1f}"])
    write_table(rows)

    rows = [["calibrated with", "min-max", "percentile"]]
    inputs_by_name = (
        {"1 image": inputs[:1]}
        | {f"{count} images": inputs[:count] for count in (5, 20, 50, 100, 200, 500)}
        | noise_like(inputs)
    )
    for name, some in inputs_by_name.items():
        pair = [percent(measured(Calibration(some, method)) == labels) for method in ("min-max", "percentile")]
        rows.append([name, *pair])
    write_table(rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
