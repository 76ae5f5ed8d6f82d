import json

import numpy as np
import pytest

from edge_cnn.core.protocols import Kernels
from edge_cnn.verify.device_facts import DeviceFacts
from edge_cnn.verify.latency_report import ColdStart, LatencyReport, Timing
from edge_cnn.verify.throttling import ThrottleState, judge_throttling

SILENT = ThrottleState({}, {}, None, None, None)
FACTS = DeviceFacts("aarch64", "3.11.2", "Cortex-A72 (Raspberry Pi 4)", 4, ("asimd", "crc32"), 3790.4, 50.0)


def timing(latencies, **options):
    latencies = np.asarray(latencies, np.float64)
    cold = ColdStart(12.0, 130.0, 2.5, 0.5)
    return Timing(cold, latencies, 44.5, judge_throttling(latencies, SILENT, SILENT), **options)


def report(found, **options):
    values = {"artifact": "model.tflite", "device": "ssh://pi@board", "runtime": "litert", "version": "2.3.0"}
    return LatencyReport(
        **(values | options), kernels=Kernels("xnnpack", {"XNNPACK": 1.0}), threads=2, facts=FACTS, timing=found
    )


def test_an_outlier_is_counted_and_stays_in_every_figure():
    latencies = [100.0] * 99 + [10_100.0]
    found = timing(latencies)
    assert found.outliers == 1
    document = found.to_json()
    assert document["longest"] == 10_100
    assert document["p99"] == np.percentile(latencies, 99)
    assert document["images_per_s"] == pytest.approx(1e6 / 200)


def test_a_run_at_three_medians_is_no_outlier_and_one_above_is():
    assert timing([100.0] * 9 + [300.0]).outliers == 0
    assert timing([100.0] * 9 + [300.1]).outliers == 1


def test_the_document_is_json_with_the_fields_that_scripts_rely_on():
    document = json.loads(json.dumps(report(timing([10.0, 20.0, 30.0])).to_json(), allow_nan=False))
    assert (document["p50"], document["threads"], document["kernels"]) == (20.0, 2, "xnnpack")
    assert document["cold_start_ms"] == 145.0
    assert document["peak_memory_mb"] == 44.5
    assert document["machine"]["features"] == ["asimd"]


def test_a_machine_is_told_in_words():
    assert FACTS.in_words() == "Cortex-A72 (Raspberry Pi 4), 4 cores, 3790 MiB; asimd"
    assert DeviceFacts("riscv64", "3.11", "", 1, (), None, 1.0).in_words() == "riscv64, 1 core"
