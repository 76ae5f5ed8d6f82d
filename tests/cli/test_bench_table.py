import numpy as np
import pytest

from edge_cnn.cli.bench_table import draw
from edge_cnn.core.protocols import Kernels
from edge_cnn.verify.device_facts import DeviceFacts
from edge_cnn.verify.latency_report import ColdStart, LatencyReport, Timing
from edge_cnn.verify.throttling import ThrottleState, judge_throttling

SILENT = ThrottleState({}, {}, None, None, None)
FACTS = DeviceFacts("aarch64", "3.11.2", "Cortex-A72", 4, ("asimd",), 3790.4, 50.0)


def report(latencies, **options):
    timing = None
    if latencies is not None:
        found = np.asarray(latencies, np.float64)
        timing = Timing(ColdStart(12, 130, 2.5, 0.5), found, 44.5, judge_throttling(found, SILENT, SILENT), **options)
    shares = {"XNNPACK": 0.9, "builtin": 0.1}
    return LatencyReport("m.tflite", "board", "litert", "2.3.0", Kernels("xnnpack", shares), 2, FACTS, timing)


def test_a_row_has_latencies_throughput_and_which_kernels_ran_what():
    row = draw([report([100.0] * 99 + [10_100.0])]).splitlines()[2]
    assert "XNNPACK 90%, builtin 10%" in row
    assert row.split()[-6:] == ["145", "100", "100", "200", "5000", "44.5"]


def test_the_second_table_has_the_parts_of_the_cold_start_and_the_outliers():
    text = draw([report([100.0] * 99 + [10_100.0])])
    (row,) = [line for line in text.splitlines() if "1 of 100" in line]
    assert row.split()[3:7] == ["12.0", "130.0", "2.5", "0.5"]
    assert "none noticed" in row


def test_the_reason_why_there_are_no_operators_is_told():
    text = draw([report([1.0], operators_reason="litert tells no times of operators")])
    assert "operators of m.tflite on board, 2 threads: litert tells no times of operators" in text
    assert "operators" not in draw([report([1.0])])


@pytest.mark.parametrize("others", [[], [[100.0]]])
def test_an_emulated_device_is_never_in_the_table_of_cold_starts(others):
    text = draw([report(None), *(report(latencies) for latencies in others)])
    assert text.splitlines()[2].split()[-6:] == ["emulated"] * 6
    assert text.count("board") == 1 + 2 * len(others)
    assert "their times are no device's" in text
