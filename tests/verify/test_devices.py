import os
import platform
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import edge_cnn
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import (
    DataError,
    DeviceFailedError,
    DeviceUnavailableError,
    InputError,
    ModelError,
    RuntimeUnavailableError,
)
from edge_cnn.verify.agent_client import runtimes_of
from edge_cnn.verify.devices.agent_device import AgentDevice
from edge_cnn.verify.devices.device import check_runtime, choose_runtime
from edge_cnn.verify.devices.local import LocalDevice
from edge_cnn.verify.devices.table import parse_device

ROOT = str(Path(edge_cnn.__file__).parents[1])
ARTIFACT = Artifact("model.tflite", "tflite", b"\0\0\0\0TFL3")

FAKE_AGENT = """
import os, signal, sys, time
import numpy as np
from edge_cnn.core.protocols import Kernels
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device import agent

class Graph:
    name, version = "litert", "1"
    inputs = outputs = (TensorSpec("x", (1, 3), "int8"),)
    def kernels(self):
        return Kernels("xnnpack", {"XNNPACK": 1.0})
    def run(self, inputs):
        match int(inputs[0][0, 0]):
            case 1: os.kill(os.getpid(), signal.SIGSEGV)
            case 2: time.sleep(60)
            case 3: sys.stderr.write("out of memory\\n"); sys.stderr.flush(); os._exit(7)
            case 4: raise ValueError("no such operator")
            case 5: raise MemoryError
            case 6: sys.stderr.write("qemu: uncaught target signal 4\\n"); os.kill(os.getpid(), signal.SIGILL)
            case 7: os.kill(os.getpid(), signal.SIGKILL)
        return [inputs[0] + np.int8(1)]

agent.open_runtime = lambda *_, **__: Graph()
agent.greeting = lambda greet=agent.greeting: {**greet(), "runtimes": ["litert", "unheard-of"]}
sys.exit(agent.main())
"""


def python(code, **options):
    return AgentDevice("board", (sys.executable, "-c", code), "look at the board", **options)


@pytest.fixture
def board(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ROOT)
    device = python(FAKE_AGENT)
    yield device
    device.close()


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """A virtual environment that imports this project and the packages of this one."""
    import site

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([ROOT, *site.getsitepackages()]))
    return bare_environment(tmp_path / "env")


def bare_environment(path):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(path)], check=True, timeout=60)
    return path


def row(first):
    return (np.array([[first, 0, 0]], np.int8),)


def test_local_is_this_process():
    local = parse_device("local")
    assert isinstance(local, LocalDevice)
    assert (local.name, local.wanted_runtime, local.python) == ("local", None, (sys.executable,))
    assert parse_device("local:litert-ref").wanted_runtime == "litert-ref"


def test_an_environment_is_given_by_its_path(tmp_path):
    path = tmp_path / "with:colon"
    (path / "bin").mkdir(parents=True)
    (path / "bin" / "python").touch()
    device = parse_device(f"venv:{path}")
    assert device.python[0] == str(path / "bin" / "python")
    assert device.wanted_runtime is None
    device = parse_device(f"venv:{path}:litert-ref")
    assert device.python[0] == str(path / "bin" / "python")
    assert device.wanted_runtime == "litert-ref"


@pytest.mark.parametrize("text", ["", "board", "venv", "venv:", "locale", "local:", "local:tensorflow", "ssh"])
def test_an_unknown_device_is_refused_with_what_is_known(text):
    with pytest.raises(InputError, match=r"known"):
        parse_device(text)


def test_an_environment_that_is_not_there_comes_with_the_command_that_makes_it(tmp_path):
    with pytest.raises(DeviceUnavailableError, match="python3 -m venv") as error:
        parse_device(f"venv:{tmp_path}/none")
    assert error.value.exit_status == 3


def test_an_environment_without_edge_cnn_comes_with_the_command_that_installs_it(tmp_path, monkeypatch):
    monkeypatch.delenv("PYTHONPATH", raising=False)
    path = bare_environment(tmp_path / "bare")
    # The current folder is no part of the device, even where it holds the sources.
    monkeypatch.chdir(ROOT)
    device = parse_device(f"venv:{path}")
    with pytest.raises(DeviceUnavailableError, match="No module named") as error:
        check_runtime(device)
    assert f"{path}/bin/pip install" in str(error.value)


def test_a_file_that_cannot_be_started_is_named(tmp_path):
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text("not a program")
    with pytest.raises(DeviceUnavailableError, match="cannot start"):
        check_runtime(parse_device(f"venv:{tmp_path}"))


def test_an_environment_runs_what_is_installed_in_it(environment):
    device = parse_device(f"venv:{environment}")
    try:
        check_runtime(device)
        with pytest.raises(ModelError, match=r"refuses model\.tflite"):
            device.open(ARTIFACT, "litert")
        with pytest.raises(InputError, match="onnxruntime"):
            device.open(ARTIFACT, "onnxruntime")
    finally:
        device.close()


def test_outputs_come_back_over_the_pipe(board):
    assert board.runtimes("tflite") == ("litert",)
    assert board.runtimes("onnx") == ()
    runtime = board.open(ARTIFACT, "litert")
    assert (runtime.name, runtime.version, runtime.kernels().family) == ("litert", "1", "xnnpack")
    assert runtime.outputs[0].shape == (1, 3)
    np.testing.assert_array_equal(runtime.run(row(9))[0], [[10, 1, 1]])
    assert runtime.time(row(9), warmup=1, repeats=3).shape == (3,)


def test_a_crash_names_the_artifact_and_the_signal_and_the_device_goes_on(board):
    runtime = board.open(ARTIFACT, "litert")
    with pytest.raises(DeviceFailedError, match=r"model\.tflite ended the agent on 'board' with SIGSEGV: "):
        runtime.run(row(1))
    again = board.open(ARTIFACT, "litert")
    np.testing.assert_array_equal(again.run(row(9))[0], [[10, 1, 1]])


@pytest.mark.parametrize(
    ("first", "words"),
    [
        (6, "with SIGILL: the CPU lacks an instruction the runtime was built for"),
        (7, "with SIGKILL: killed, most likely out of memory"),
    ],
)
def test_a_signal_is_told_with_what_it_means(board, first, words):
    runtime = board.open(ARTIFACT, "litert")
    with pytest.raises(DeviceFailedError, match=rf"model\.tflite ended the agent on 'board' {words}"):
        runtime.run(row(first))


def test_an_allocation_that_fails_is_told_and_the_agent_goes_on(board):
    runtime = board.open(ARTIFACT, "litert")
    with pytest.raises(DeviceFailedError, match="out of memory"):
        runtime.run(row(5))
    np.testing.assert_array_equal(runtime.run(row(9))[0], [[10, 1, 1]])


def test_an_agent_that_memory_runs_out_under_is_killed_and_told_so(board):
    """What the kernel's out-of-memory killer does, done by hand while the agent works."""
    runtime = board.open(ARTIFACT, "litert")
    process = runtime._agent._process
    killer = threading.Timer(0.3, process.kill)
    killer.start()
    try:
        with pytest.raises(DeviceFailedError, match=r"model\.tflite .* SIGKILL: killed, most likely out of memory"):
            runtime.run(row(2))
    finally:
        killer.cancel()
    np.testing.assert_array_equal(board.open(ARTIFACT, "litert").run(row(9))[0], [[10, 1, 1]])


def test_a_crash_while_loading_names_the_artifact(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ROOT)
    code = FAKE_AGENT.replace("lambda *_, **__: Graph()", "lambda *_, **__: os.kill(os.getpid(), signal.SIGBUS)")
    device = python(code)
    with pytest.raises(DeviceFailedError, match=r"model\.tflite ended the agent on 'board' with SIGBUS"):
        device.open(ARTIFACT, "litert")
    device.close()


def test_the_agent_describes_the_machine_it_runs_on(board):
    with board.start_agent() as agent:
        facts = agent.facts
    assert facts.machine == platform.machine()
    assert facts.python == platform.python_version()
    assert 1 <= facts.cores <= os.cpu_count()
    assert facts.imports_ms > 0
    assert facts.memory_mb == pytest.approx(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**20)
    assert set(facts.kernel_features) <= set(facts.features)


def test_opening_tells_what_importing_and_loading_took(board):
    runtime = board.open(ARTIFACT, "litert")
    assert runtime.import_ms >= 0
    assert runtime.load_ms >= 0
    assert runtime.time_once(row(9)) > 0


def test_the_last_words_of_an_agent_are_told(board):
    runtime = board.open(ARTIFACT, "litert")
    with pytest.raises(DeviceFailedError, match=r"exit status 7 \(out of memory\)"):
        runtime.run(row(3))


def test_an_error_on_the_device_is_the_same_error_here(board):
    runtime = board.open(ARTIFACT, "litert")
    with pytest.raises(DataError, match="no such operator"):
        runtime.run(row(4))
    np.testing.assert_array_equal(runtime.run(row(9))[0], [[10, 1, 1]])


def test_a_hang_ends_at_the_limit(board):
    runtime = board.open(ARTIFACT, "litert")
    runtime._agent._limit_s = 0.3  # after the start, which may take long on a busy machine
    with pytest.raises(DeviceFailedError, match=r"model\.tflite hung on 'board' for more than 0\.3 s"):
        runtime.run(row(2))


def test_an_agent_that_does_not_greet_ends_at_the_limit():
    with pytest.raises(DeviceUnavailableError, match=r"did not start within 0\.2 s"):
        python("import time; time.sleep(60)", limit_s=0.2).start_agent()


def test_something_else_than_an_agent_is_no_device():
    with pytest.raises(DeviceUnavailableError, match="broken message"):
        python("print('Welcome to the board! Enjoy your stay.')").start_agent()


def test_another_version_of_the_agent_is_refused(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ROOT)
    code = FAKE_AGENT.replace('"runtimes": [', '"protocol": 99, "runtimes": [')
    with pytest.raises(DeviceUnavailableError, match="version 99, not 2; install the same edge_cnn"):
        python(code).start_agent()


def test_an_agent_ends_when_its_host_is_done(board):
    agent = board.start_agent()
    process = agent._process
    agent.close()
    assert process.returncode == 0


@pytest.mark.parametrize("kind", ["KeyError", "Exception", "np", ""])
def test_an_error_of_unknown_kind_is_still_an_error_of_this_project(kind, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", ROOT)
    code = (
        "import sys; from edge_cnn.device import agent\n"
        f"agent.Agent.answer = lambda *_: agent.Message({{'error': 'odd', 'kind': {kind!r}}})\n"
        "sys.exit(agent.main())"
    )
    with python(code).start_agent() as agent, pytest.raises(DeviceFailedError, match="odd"):
        agent.peak_memory_mb()


def test_a_runtime_that_is_not_on_the_device_comes_with_the_command(board):
    board.wanted_runtime = "onnxruntime"
    with pytest.raises(
        RuntimeUnavailableError, match=r"it has litert; install it there: pip install 'edge-cnn\[onnx\]'"
    ):
        check_runtime(board)


def test_a_device_without_any_runtime_is_unavailable(fakes):
    with pytest.raises(RuntimeUnavailableError, match="has no runtime"):
        check_runtime(fakes.Device({}, formats=()))


def test_the_runtime_is_the_one_asked_for_or_the_preferred_one(fakes):
    onnx = Artifact("model.onnx", "onnx", b"\x08")
    device = fakes.Device({})
    assert choose_runtime(device, ARTIFACT) == "litert"
    assert choose_runtime(device, onnx) is None
    asked = fakes.Device({}, wanted_runtime="litert-ref")
    assert choose_runtime(asked, ARTIFACT) == "litert-ref"
    assert choose_runtime(asked, onnx) is None


def test_runtimes_come_in_the_order_of_preference():
    assert runtimes_of("tflite", ("tflite-runtime", "litert-ref", "litert")) == (
        "litert",
        "tflite-runtime",
        "litert-ref",
    )
