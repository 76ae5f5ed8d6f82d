"""MLPerf Tiny models against what a real board printed: an ST NUCLEO-L4R5ZI (Cortex-M4), int8, MLPerf Tiny v1.2.

The board's log has three decimals of each probability. XNNPACK gives the same probabilities to that precision, since
both round once when they scale an accumulator down to int8. The reference kernels, TFLite Micro and the optimized
built-in kernels round twice there (a doubling high multiplication, then a shift), so about a third of the samples
differ by some LSB, and a few that are close to a tie change their answer.
"""

from __future__ import annotations

import csv
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from edge_cnn.core.artifact import TFLITE, read_artifact
from edge_cnn.core.quantization import dequantize
from edge_cnn.verify.devices.device import choose_runtime

MLPERF = Path(os.environ["EDGE_CNN_DATA"]) / "mlperf_tiny" if "EDGE_CNN_DATA" in os.environ else None

pytestmark = pytest.mark.skipif(
    MLPERF is None, reason="the MLPerf Tiny models are not here; EDGE_CNN_DATA=FOLDER names where they are"
)

BATCH = 50
PRINTED = 0.0005 + 1e-9
"""Half of the last decimal that the board printed."""


@dataclass(frozen=True)
class Task:
    """One MLPerf Tiny benchmark.

    Attributes:
        model, inputs, log: file names.
        same: kernel family -> least number of samples with the board's answer; None holds for all other families.
        apart: samples whose probabilities may be off by more than the printing with XNNPACK; none and
            one on x86, three and two on ARM.
    """

    model: str
    inputs: str
    log: str
    same: dict[str | None, int]
    apart: int


TASKS = {
    "keyword spotting": Task(
        "kws_ref_model.tflite",
        "kws01_inputs_1000.npz",
        "st_nucleo_l4r5zi_int8_kws.csv",
        {"xnnpack": 1000, None: 990},
        5,
    ),
    "image classification": Task(
        "pretrainedResnet_quant.tflite",
        "ic01_inputs_200.npz",
        "st_nucleo_l4r5zi_int8_ic.csv",
        {"xnnpack": 199, None: 196},
        2,
    ),
}


def model_inputs(task):
    """Names of the samples and int8 model inputs (n, ...)."""
    with np.load(MLPERF / task.inputs) as arrays:
        names, values = arrays["name"], arrays["x"]
    if values.dtype == np.uint8:  # pixels: the model's zero point is -128, its scale 1
        return names, (values ^ np.uint8(0x80)).view(np.int8)
    return names, values[..., None]


def printed_by_the_board(task, names):
    """Probabilities (n, classes) in the order of `names`."""
    with (MLPERF / "golden" / task.log).open(newline="") as file:
        rows = {row[0]: [float(cell) for cell in row[1:]] for row in csv.reader(file)}
    return np.array([rows[name] for name in names])


def test_the_device_answers_as_the_board_did(device, subtests):
    artifacts = {name: read_artifact(MLPERF / "models" / task.model) for name, task in TASKS.items()}
    if choose_runtime(device, next(iter(artifacts.values()))) is None:
        pytest.skip("the device has no runtime for .tflite files")
    for name, task in TASKS.items():
        names, inputs = model_inputs(task)
        board = printed_by_the_board(task, names)
        wanted = device.wanted_runtime
        for runtime in (wanted,) if wanted else device.runtimes(TFLITE):
            with subtests.test(task=name, runtime=runtime):
                opened = device.open(artifacts[name], runtime)
                codes = np.concatenate([opened.run([inputs[i : i + BATCH]])[0] for i in range(0, len(inputs), BATCH)])
                ours = dequantize(codes, opened.outputs[0].quantization)
                family = opened.kernels().family
                same = int((ours.argmax(axis=1) == board.argmax(axis=1)).sum())
                assert same >= task.same.get(family, task.same[None]), f"{family}: {same} of {len(board)}"
                if family == "xnnpack":
                    apart = int((np.abs(ours - board).max(axis=1) > PRINTED).sum())
                    assert apart <= task.apart, f"{apart} samples are not what the board printed"
