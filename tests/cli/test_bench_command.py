import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import edge_cnn
from edge_cnn.cli.main import main
from edge_cnn.verify.devices.agent_device import AgentDevice
from edge_cnn.verify.devices.table import DEVICE_KINDS, DeviceKind, parse_device

FIELDS = {
    "artifact", "device", "runtime", "kernels", "threads", "cold_start_ms", "p50", "p90", "p99", "peak_memory_mb",
    "emulated", "residency", "images_per_s", "outliers", "throttling", "cold_start", "machine",
}  # fmt: skip


@pytest.fixture(autouse=True)
def one_cold_start(request, monkeypatch):
    """One process an artifact will do, but for the first test; `tests/verify/test_latency.py` counts them."""
    if request.function is not test_every_artifact_of_a_bundle_is_measured_with_every_field:
        monkeypatch.setattr("edge_cnn.verify.latency.COLD_STARTS", 1)


def bench(capsys, *arguments):
    assert main(["bench", *map(str, arguments), "--json", "--quiet", "--repeats", "30"]) == 0
    return json.loads(capsys.readouterr().out)["results"]


def bare(artifacts, key, folder):
    path = folder / f"bare.{key.split('.')[1]}"
    path.write_bytes(artifacts[key].data)
    return path


def test_every_artifact_of_a_bundle_is_measured_with_every_field(bundle_path, capsys):
    results = bench(capsys, bundle_path, "--on", "local:litert", "--threads", "2")
    assert len(results) == 2
    for result in results:
        assert set(result) >= FIELDS
        assert (result["runtime"], result["threads"], result["emulated"]) == ("litert", 2, False)
        assert 0 < result["p50"] <= result["p90"] <= result["p99"]
        # A start takes tens of milliseconds and of MiB at the least, whatever the machine.
        assert 10 < result["cold_start_ms"] < 60_000
        assert result["cold_start_ms"] == pytest.approx(sum(result["cold_start"].values()))
        assert all(part > 0 for part in result["cold_start"].values())
        assert sum(result["residency"].values()) == pytest.approx(1)
        assert 10 < result["peak_memory_mb"] < 500
        assert result["p99"] < 1000 * result["cold_start_ms"]


@pytest.mark.parametrize("key", ["int8.tflite", "float32.tflite", "int8.onnx"])
def test_a_bare_file_is_measured_on_random_values(artifacts, tmp_path, capsys, key):
    (result,) = bench(capsys, bare(artifacts, key, tmp_path))
    assert result["artifact"].startswith("bare.")
    assert result["p50"] > 0


def test_reference_kernels_are_slower_than_optimized_ones(artifacts, tmp_path, capsys):
    path = bare(artifacts, "int8.tflite", tmp_path)
    fast, slow = bench(capsys, path, "--on", "local:litert", "--on", "local:litert-ref")
    assert slow["p50"] > 2 * fast["p50"]
    assert [fast["kernels"], slow["kernels"]] == ["xnnpack", "litert-ref"]


def test_an_environment_is_measured_over_its_own_agent(artifacts, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(edge_cnn.__file__).parents[1]))
    (result,) = bench(capsys, bare(artifacts, "int8.tflite", tmp_path), "--on", f"venv:{sys.prefix}")
    assert result["device"] == f"venv:{sys.prefix}"
    assert result["p50"] > 0


def test_the_table_has_a_row_a_result_and_progress_is_on_stderr(artifacts, tmp_path, capsys):
    assert main(["bench", str(bare(artifacts, "int8.tflite", tmp_path)), "--repeats", "5"]) == 0
    captured = capsys.readouterr()
    header, _, row, _, starts, *_ = captured.out.splitlines()
    assert "p50 us" in header
    assert row.startswith("bare.tflite")
    assert "XNNPACK" in row
    assert [words in starts for words in ("process", "import", "load", "first run", "throttling")] == [True] * 5
    assert "Outliers are runs above 3 x p50; they count" in captured.out
    assert "measuring 1/1 bare.tflite on local, 1 thread" in captured.err


def test_several_numbers_of_threads_give_a_row_each_and_a_cell_each_on_the_page(artifacts, tmp_path, capsys):
    page = tmp_path / "latency.html"
    path = bare(artifacts, "float32.tflite", tmp_path)
    results = bench(capsys, path, "--threads", "2,1", "--threads", "1", "--report", page)
    assert [result["threads"] for result in results] == [2, 1]
    assert all(result["images_per_s"] > 0 for result in results)
    text = page.read_text()
    assert text.startswith("<!doctype html>")
    assert text.index("local, 2 threads<") < text.index("local, 1 thread<")


def test_operators_are_shown_slowest_first_with_their_shares(artifacts, tmp_path, capsys):
    path = bare(artifacts, "float32.onnx", tmp_path)
    assert main(["bench", str(path), "--quiet", "--repeats", "5", "--per-operator"]) == 0
    _, _, operators = capsys.readouterr().out.partition("operators of bare.onnx on local, 1 thread, median us")
    assert "Conv" in operators
    shares = [float(word[:-1]) for line in operators.splitlines() for word in line.split() if word.endswith("%")]
    assert sum(shares) == pytest.approx(100, abs=2)
    assert shares == sorted(shares, reverse=True)


def test_an_emulated_device_shows_that_word_in_the_place_of_every_time(artifacts, tmp_path, capsys, monkeypatch):
    this = parse_device("local")
    emulator = DeviceKind("emulator", "emulator", "this one", lambda text, *_: replace(this, name=text, emulated=True))
    monkeypatch.setitem(DEVICE_KINDS, "emulator", emulator)
    path = bare(artifacts, "int8.tflite", tmp_path)
    page = tmp_path / "latency.html"
    arguments = ["bench", str(path), "--on", "emulator", "--threads", "1,2", "--per-operator", "--report", str(page)]
    assert main(arguments) == 0
    captured = capsys.readouterr()
    shown = captured.out
    assert "measuring 1/1 bare.tflite on emulator" in captured.err
    (row,) = [line for line in shown.splitlines() if line.startswith("bare.tflite")]
    assert row.split()[-6:] == ["emulated"] * 6
    assert "process" not in shown
    assert "emulated: the model runs" in page.read_text()
    (result,) = bench(capsys, path, "--on", "emulator", "--threads", "1,2")
    assert result["emulated"] is True
    assert [result[name] for name in ("cold_start_ms", "p50", "p90", "p99")] == [None] * 4
    assert set(result) >= FIELDS


CRASHING_AGENT = """
import os, signal, sys
from edge_cnn.device import agent
original = agent.open_runtime

def open_runtime(artifact, *rest, **named):
    if artifact.name == "model.tflite":
        os.kill(os.getpid(), signal.SIGILL)
    return original(artifact, *rest, **named)

agent.open_runtime = open_runtime
sys.exit(agent.main())
"""


def test_an_artifact_that_ends_its_process_is_told_and_the_others_are_measured(bundle_path, capsys, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(edge_cnn.__file__).parents[1]))
    board = AgentDevice("board", (sys.executable, "-c", CRASHING_AGENT), "look at it", "litert")
    kind = DeviceKind("board", "board", "for this test", lambda *_: board)
    monkeypatch.setitem(DEVICE_KINDS, "board", kind)
    arguments = ["bench", str(bundle_path), "--on", "board", "--repeats", "5", "--json"]
    assert main(arguments) == 1
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert [result["artifact"] for result in document["results"]] == ["model-float32.tflite"]
    (failed,) = document["failed"]
    assert (failed["artifact"], failed["device"], failed["threads"]) == ("model.tflite", "board", 1)
    assert "model.tflite ended the agent on 'board' with SIGILL: the CPU lacks an instruction" in failed["reason"]
    assert f"not measured: {failed['reason']}" in captured.err


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--on", "board"], 2, "known forms"),
        (["--on", "local:onnxruntime"], 3, "no runtime for bare.tflite"),
        (["--on", "venv:/nowhere/at/all"], 3, "python3 -m venv"),
        (["--repeats", "0"], 2, "--repeats"),
        (["--threads", "0"], 2, "--threads"),
        (["--threads", "1,two"], 2, "got 'two'"),
        (["--threads", "1,,2"], 2, "--threads"),
        (["--threads", "99999999999"], 2, "threads must be 1 to 1024"),
        (["--report", "/nowhere/at/all.html"], 2, "there is no folder"),
    ],
)
def test_bad_usage_is_one_line(artifacts, tmp_path, capsys, arguments, status, words):
    path = bare(artifacts, "int8.tflite", tmp_path)
    assert main(["bench", str(path), "--quiet", *arguments]) == status
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("cut.tflite", b"\x1c\0\0\0TFL3 and no more", "refuses cut.tflite"),
        ("cut.onnx", b"\x08\x09 and no more", "refuses cut.onnx"),
        ("page.tflite", b"<!doctype html>", "not a TFLite file"),
        ("empty.onnx", b"", "is empty"),
    ],
)
def test_a_broken_model_is_one_line(tmp_path, capsys, name, data, words):
    path = tmp_path / name
    path.write_bytes(data)
    assert main(["bench", str(path), "--quiet"]) in (1, 2)
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err
