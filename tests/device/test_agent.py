import io
import json
import os
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import edge_cnn
from edge_cnn.core.errors import DeviceUnavailableError
from edge_cnn.core.protocols import Kernels
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device import agent
from edge_cnn.device.agent_protocol import MAX_HEADER_BYTES, PROTOCOL_VERSION, read_message, write_message

PREFIX = struct.Struct("<4sIQ")


class Doubler:
    name, version = "litert", "1.0"
    inputs = (TensorSpec("x", (1, 3), "int8"),)
    outputs = (TensorSpec("y", (1, 3), "int8"),)

    def run(self, inputs):
        if inputs[0].shape[1:] != (3,):
            raise ValueError("three columns, please")
        return [inputs[0] * np.int8(2)]

    def kernels(self):
        return Kernels("xnnpack", {"XNNPACK": 1.0})


def packed(header, body=b"", mark=b"ECA1", header_bytes=None, body_bytes=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    sizes = (
        len(text) if header_bytes is None else header_bytes,
        len(body) if body_bytes is None else body_bytes,
    )
    return PREFIX.pack(mark, *sizes) + text + body


def conversation(*requests):
    """Answers of `serve` to (header, arrays) pairs, the greeting first."""
    stream, answers = io.BytesIO(), io.BytesIO()
    for header, arrays in requests:
        write_message(stream, header, arrays)
    stream.seek(0)
    agent.serve(stream, answers)
    answers.seek(0)
    messages = []
    while (message := read_message(answers)) is not None:
        messages.append(message)
    return messages


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "bool"])
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3, 4)])
def test_arrays_arrive_as_they_were_sent(dtype, shape):
    array = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    stream = io.BytesIO()
    write_message(stream, {"op": "run"}, (array, array.T))
    stream.seek(0)
    message = read_message(stream)
    assert message.header == {"op": "run"}
    for sent, got in zip((array, array.T), message.arrays, strict=True):
        np.testing.assert_array_equal(got, sent)
        assert got.dtype == sent.dtype
    assert read_message(stream) is None


@pytest.mark.parametrize(
    ("data", "detail"),
    [
        (b"EC", "within a prefix"),
        (packed({"arrays": []}, mark=b"HTTP"), "b'HTTP'"),
        (packed({"arrays": []}, header_bytes=MAX_HEADER_BYTES + 1), "beyond the limits"),
        (packed({"arrays": []}, body_bytes=2**40), "beyond the limits"),
        (packed({"arrays": []}, header_bytes=500), "ends after"),
        (packed(b"not json"), "header is wrong"),
        (packed(b"\xff\xfe"), "header is wrong"),
        (packed([]), "header is wrong"),
        (packed({}), "header is wrong"),
        (packed({"arrays": [{"dtype": "object", "shape": [1]}]}, b"12345678"), "unknown dtype"),
        (packed({"arrays": [{"dtype": "int8", "shape": [-1]}]}), "negative size"),
        (packed({"arrays": [{"dtype": "int8", "shape": [2**62, 2**62]}]}), "its arrays take"),
        (packed({"arrays": [{"dtype": "int8", "shape": [3]}]}, b"1234"), "its arrays take 3 bytes, its body 4"),
        (packed({"arrays": [{"dtype": "int8", "shape": [9]}]}, b"1234", body_bytes=9), "ends after 4 of 9"),
    ],
)
def test_a_broken_message_is_refused_before_it_is_used(data, detail):
    with pytest.raises(DeviceUnavailableError, match="broken message") as error:
        read_message(io.BytesIO(data))
    assert detail in str(error.value)


def test_python_objects_are_not_sent():
    stream = io.BytesIO()
    with pytest.raises(DeviceUnavailableError, match="object"):
        write_message(stream, {}, (np.array([{}]),))
    assert stream.getvalue() == b""


def test_the_agent_runs_times_and_forgets_a_graph(monkeypatch):
    opened = []
    monkeypatch.setattr(agent, "open_runtime", lambda *a, **k: opened.append((a, k)) or Doubler())
    data = np.frombuffer(b"TFL3 file", np.uint8)
    rows = np.array([[1, 2, 3]], np.int8)
    greeting, first, output, latencies, memory, closed, gone = conversation(
        ({"op": "open", "name": "m.tflite", "format": "tflite", "runtime": None, "threads": 2}, (data,)),
        ({"op": "run", "id": 0}, (rows,)),
        ({"op": "time", "id": 0, "warmup": 1, "repeats": 7}, (rows,)),
        ({"op": "memory"}, ()),
        ({"op": "close", "id": 0}, ()),
        ({"op": "run", "id": 0}, (rows,)),
    )
    assert greeting.header["edge_cnn"] == edge_cnn.__version__
    assert greeting.header["imports_ms"] > 0
    assert greeting.header["cores"] >= 1
    assert isinstance(greeting.header["features"], list)
    ((artifact, runtime), options), *_ = opened
    assert (artifact.name, artifact.format, artifact.data) == ("m.tflite", "tflite", b"TFL3 file")
    assert (runtime, options) == (None, {"threads": 2})
    assert first.header["kernels"] == {"family": "xnnpack", "shares": {"XNNPACK": 1.0}, "arena_bytes": None}
    assert first.header["inputs"] == [TensorSpec("x", (1, 3), "int8").to_json()]
    assert first.header["import_ms"] >= 0
    assert first.header["load_ms"] >= 0
    np.testing.assert_array_equal(output.arrays[0], [[2, 4, 6]])
    assert output.header["us"] > 0
    assert latencies.arrays[0].shape == (7,)
    assert (latencies.arrays[0] > 0).all()
    assert 1 < memory.header["peak_memory_mb"] < 1e5
    assert "error" not in closed.header
    assert gone.header["kind"] == "InputError"


def test_a_failed_request_leaves_the_agent_usable(monkeypatch):
    monkeypatch.setattr(agent, "open_runtime", lambda *_, **__: Doubler())
    opening = {"op": "open", "name": "m.tflite", "format": "tflite", "threads": 1}
    _, *answers, last = conversation(
        ({"op": "dance"}, ()),
        ({"op": "open"}, ()),
        ({"op": "open"}, (np.zeros(3, np.uint8),)),
        ({**opening, "threads": "two"}, (np.zeros(3, np.uint8),)),
        ({"op": "run", "id": 5}, ()),
        ({"op": "run", "id": None}, ()),
        (opening, (np.zeros(3, np.uint8),)),
        ({"op": "time", "id": 0, "warmup": 0, "repeats": 0}, ()),
        ({"op": "run", "id": 0}, (np.zeros((1, 4), np.int8),)),
        ({"op": "run", "id": 0}, (np.zeros((1, 3), np.int8),)),
    )
    kinds = [answer.header.get("kind") for answer in answers]
    assert kinds == ["InputError", "InputError", "DataError", *["InputError"] * 3, None, "InputError", "DataError"]
    assert "three columns" in answers[-1].header["error"]
    assert last.arrays[0].shape == (1, 3)


def test_a_run_is_timed_without_the_pipe(monkeypatch):
    """A clock that only the graph moves: what else the agent does takes no time."""
    now = [0]

    class Slow(Doubler):
        def run(self, inputs):
            now[0] += 5_000_000
            return super().run(inputs)

    monkeypatch.setattr(agent, "open_runtime", lambda *_, **__: Slow())
    monkeypatch.setattr(agent.time, "perf_counter_ns", lambda: now[0])
    rows = np.zeros((1, 3), np.int8)
    _, opened, first, latencies = conversation(
        ({"op": "open", "name": "m.tflite", "format": "tflite", "threads": 1}, (np.zeros(3, np.uint8),)),
        ({"op": "run", "id": 0}, (rows,)),
        ({"op": "time", "id": 0, "warmup": 2, "repeats": 3}, (rows,)),
    )
    assert opened.header["load_ms"] == 0
    assert first.header["us"] == 5000
    np.testing.assert_array_equal(latencies.arrays[0], [5000] * 3)
    assert now[0] == 6 * 5_000_000


def test_importing_a_runtime_is_told_apart_from_loading_a_graph(monkeypatch):
    now = [0]

    def take(milliseconds, answer=None):
        now[0] += milliseconds * 1_000_000
        return answer

    monkeypatch.setattr(agent.time, "perf_counter_ns", lambda: now[0])
    monkeypatch.setattr(agent, "import_runtime", lambda _: take(120))
    monkeypatch.setattr(agent, "open_runtime", lambda *_, **__: take(7, Doubler()))
    opening = {"op": "open", "name": "m.tflite", "format": "tflite", "runtime": "litert", "threads": 1}
    _, opened = conversation((opening, (np.zeros(3, np.uint8),)))
    assert (opened.header["import_ms"], opened.header["load_ms"]) == (120, 7)


@pytest.mark.parametrize(("runtime", "module"), [("litert", "ai_edge_litert.interpreter"), ("onnxruntime",) * 2])
def test_importing_a_runtime_leaves_nothing_of_it_to_be_imported_later(runtime, module):
    code = (
        "import sys; from edge_cnn.device import agent\n"
        f"agent.import_runtime({runtime!r}); print({module!r} in sys.modules)\n"
        "agent.import_runtime(None); agent.import_runtime('no such runtime')\n"
    )
    assert start(code).stdout.strip() == b"True"


def test_a_runtime_that_is_broken_is_told_and_the_agent_goes_on(monkeypatch):
    def broken(*_, **__):
        raise ImportError("libgomp.so.1: cannot open shared object file")

    monkeypatch.setattr(agent, "open_runtime", broken)
    opening = {"op": "open", "name": "m.tflite", "format": "tflite", "runtime": "nothing known", "threads": 1}
    _, answer, memory = conversation((opening, (np.zeros(3, np.uint8),)), ({"op": "memory"}, ()))
    assert answer.header["kind"] == "RuntimeUnavailableError"
    assert "libgomp.so.1" in answer.header["error"]
    assert memory.header["peak_memory_mb"] > 0


def test_the_start_of_a_python_is_timed_on_the_device():
    """Against the clock of this process, which the child's start lies between."""
    before = time.monotonic()
    _, starts = conversation(({"op": "start", "repeats": 2}, ()))
    took_ms = (time.monotonic() - before) * 1e3
    times = starts.arrays[0]
    assert times.shape == (2,)
    assert (times > 0).all()
    assert times.sum() < took_ms


def test_a_device_that_starts_no_second_python_says_so(monkeypatch):
    monkeypatch.setattr(agent.sys, "executable", "/nowhere/python")
    _, answer = conversation(({"op": "start", "repeats": 1}, ()))
    assert answer.header["kind"] == "DeviceFailedError"
    assert "cannot start a second Python" in answer.header["error"]


def test_temperatures_and_frequencies_are_told_as_far_as_they_are_known():
    _, answer = conversation(({"op": "throttle"}, ()))
    assert set(answer.header) == {"temperature_c", "frequency_mhz", "max_frequency_mhz", "events", "firmware"}


def test_a_runtime_without_a_profiler_is_an_answer_of_its_own():
    asked = {"name": "m.tflite", "format": "tflite", "runtime": "litert", "threads": 1, "warmup": 0, "repeats": 1}
    _, answer, refused = conversation(
        ({"op": "profile", **asked}, (np.zeros(3, np.uint8),)),
        ({"op": "profile", **asked, "repeats": 10**9}, (np.zeros(3, np.uint8),)),
    )
    assert answer.header["kind"] == "RuntimeUnavailableError"
    assert "litert tells no times of operators" in answer.header["error"]
    assert refused.header["kind"] == "InputError"


def test_a_broken_request_ends_the_agent():
    with pytest.raises(DeviceUnavailableError):
        agent.serve(io.BytesIO(b"GET / HTTP/1.1\r\n\r\n"), io.BytesIO())


def start(code, **options):
    root = str(Path(edge_cnn.__file__).parents[1])
    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        timeout=60,
        check=False,
        env=os.environ | {"PYTHONPATH": root},
        **options,
    )


def test_what_libraries_print_does_not_reach_the_pipe():
    code = (
        "import os, sys\n"
        "from edge_cnn.device import agent\n"
        "def noisy(*_, **__):\n"
        "    print('INFO: delegate created', flush=True); os.write(1, b'from C'); os.system('echo from a child')\n"
        "    raise agent.InputError('seen')\n"
        "agent.open_runtime = noisy\n"
        "sys.exit(agent.main())\n"
    )
    stream = io.BytesIO()
    request = {"op": "open", "name": "m.tflite", "format": "tflite", "threads": 1}
    write_message(stream, request, (np.zeros(1, np.uint8),))
    child = start(code, input=stream.getvalue())
    answers = io.BytesIO(child.stdout)
    assert read_message(answers).header["protocol"] == PROTOCOL_VERSION
    assert read_message(answers).header["error"] == "seen"
    assert read_message(answers) is None
    assert child.returncode == 0
    for noise in (b"INFO: delegate created", b"from C", b"from a child"):
        assert noise in child.stderr


def test_a_person_who_types_into_the_agent_gets_one_line():
    child = start(
        "import sys; from edge_cnn.device import agent; sys.exit(agent.main())", input=b"hello, are you there?\n"
    )
    assert child.returncode == 3
    assert child.stderr.decode().count("\n") == 1
    assert child.stderr.startswith(b"error: ")


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
def test_peak_memory_is_the_agents_own_and_not_that_of_a_large_parent():
    code = (
        "import subprocess, sys\n"
        "large = b'x' * (400 << 20)\n"
        "print(subprocess.run([sys.executable, '-c', "
        "'from edge_cnn.device import agent; print(agent.peak_memory_mb())'], capture_output=True).stdout.decode())\n"
    )
    assert float(start(code).stdout) < 150


def test_the_agent_starts_without_frameworks_or_the_command_lines_packages():
    code = (
        "import sys; from edge_cnn.device import agent; agent.greeting()\n"
        "print([m for m in ('tensorflow', 'keras', 'scipy', 'sklearn', 'onnx', 'click', 'PIL', 'ai_edge_litert', "
        "'onnxruntime') if m in sys.modules])\n"
    )
    assert start(code).stdout.strip() == b"[]"
