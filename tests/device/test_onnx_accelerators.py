"""Accelerators: an ONNX Runtime made of plain functions for what no machine here has, and two real simulators."""

import json
import os
import sys
import warnings
from dataclasses import dataclass, field

import numpy as np
import pytest

from edge_cnn.cli.main import main
from edge_cnn.core.artifact import Artifact
from edge_cnn.core.errors import AcceleratorUnavailableError, ModelError, UnavailableError
from edge_cnn.device.runtimes.onnx_accelerators import CUDA, QNN, open_profiled, open_session
from edge_cnn.device.runtimes.onnx_residency import node_shares
from edge_cnn.device.runtimes.table import RUNTIMES, RuntimeRow, open_runtime
from edge_cnn.verify.replay import verify

ARTIFACT = Artifact("m.onnx", "onnx", b"a graph")
CPU = "CPUExecutionProvider"


@dataclass
class FakeOptions:
    entries: dict = field(default_factory=dict)
    enable_profiling: bool = False
    profile_file_prefix: str = ""

    def add_session_config_entry(self, key, value):
        self.entries[key] = value


class FakeSession:
    def __init__(self, providers, options=None, ran=()):
        self._providers, self._options, self._ran = providers, options, ran

    def get_providers(self):
        return self._providers

    def get_inputs(self):
        return []

    def run(self, names, feeds):
        assert (names, feeds) == (None, {})

    def end_profiling(self):
        events = [
            {"cat": "Node", "name": f"n{i}_kernel_time", "args": {"provider": provider}}
            for i, provider in enumerate(self._ran)
        ]
        path = self._options.profile_file_prefix + ".json"
        with open(path, "w") as file:
            json.dump([{"cat": "Session", "name": "model_run"}, *events], file)
        return path


@dataclass
class FakeRuntime:
    """ONNX Runtime as it behaves: what it was built with, what works on this machine, what the provider takes."""

    built_with: tuple = (CUDA.provider, CPU)
    works: bool = True
    takes_all: bool = True
    is_model: bool = True
    quiet: bool = False
    ran: tuple = (CUDA.provider, CUDA.provider)

    def get_available_providers(self):
        return list(self.built_with)

    def InferenceSession(self, data, options, providers, enable_fallback=1):  # noqa: N802  # the library's own name
        assert data == b"a graph"
        strict = options.entries.get("session.disable_cpu_ep_fallback") == "1"
        assert strict <= (enable_fallback == 0)
        if not self.is_model:
            raise RuntimeError("INVALID_PROTOBUF")
        if providers == [CPU]:
            return FakeSession([CPU])
        if not self.works:
            if strict and not self.quiet:
                # As the real one: the reason goes to stderr, from C++.
                os.write(2, b"[E] libcublasLt.so.13: cannot open shared object file: No such file\n")
                raise RuntimeError("nodes are assigned to the default CPU EP")
            return FakeSession([CPU])
        if strict and not self.takes_all:
            raise RuntimeError("nodes are assigned to the default CPU EP")
        return FakeSession([CUDA.provider, CPU], options, self.ran)


def opened(**behaviour):
    return open_profiled(FakeRuntime(**behaviour), ARTIFACT, CUDA, FakeOptions)


def test_an_accelerator_that_runs_all_nodes_tells_so():
    session, shares = opened()
    assert session.get_providers()[0] == CUDA.provider
    assert shares == {CUDA.provider: 1.0}


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ({"built_with": (CPU,)}, "was built with CPUExecutionProvider only; it needs an NVIDIA GPU"),
        ({"works": False}, "cannot run here: libcublasLt.so.13 is not installed; it needs an NVIDIA GPU"),
        ({"works": False, "quiet": True}, "the session runs on CPUExecutionProvider; it needs an NVIDIA GPU"),
        ({"takes_all": False}, "takes not all operators of m.onnx"),
        ({"ran": (CUDA.provider, CPU)}, "it ran 50% on CPUExecutionProvider, 50% on CUDAExecutionProvider"),
        ({"ran": ()}, "no node ran"),
    ],
)
def test_an_accelerator_that_does_not_run_the_graph_is_no_answer(behaviour, said):
    with pytest.raises(AcceleratorUnavailableError) as caught:
        opened(**behaviour)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_status == 3
    assert isinstance(caught.value, UnavailableError)


def test_a_file_that_is_no_model_is_not_the_accelerators_fault():
    with pytest.raises(ModelError, match=r"onnxruntime-cuda refuses m\.onnx: INVALID_PROTOBUF"):
        open_session(FakeRuntime(is_model=False), ARTIFACT, CUDA, FakeOptions)


@pytest.mark.parametrize("runtime", ["onnxruntime-cuda", "onnxruntime-tensorrt", "onnxruntime-qnn"])
def test_on_a_machine_without_it_the_command_ends_with_3_and_one_line(bundle_path, capsys, runtime):
    if RUNTIMES[runtime].is_installed():
        pytest.skip(f"{runtime} is installed here; run this in an environment with onnxruntime alone")
    assert main(["verify", str(bundle_path), "--on", f"local:{runtime}"]) == 3
    out, error = capsys.readouterr()
    assert out == ""
    assert error.strip().count("\n") == 0
    assert f"runtime {runtime!r} is not installed there" in error


@pytest.mark.filterwarnings("ignore:Specified provider:UserWarning")  # ONNX Runtime's own, about what is tested
def test_the_real_library_without_cuda_is_not_taken_for_one_with_it(artifacts):
    onnxruntime = pytest.importorskip("onnxruntime")
    if CUDA.provider in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime was built with CUDA")
    with pytest.raises(AcceleratorUnavailableError, match="was built with"):
        open_session(onnxruntime, artifacts["float32.onnx"], CUDA, onnxruntime.SessionOptions)
    # What it does when nobody looks: it runs on the CPU.
    session = onnxruntime.InferenceSession(artifacts["float32.onnx"].data, providers=[CUDA.provider])
    assert session.get_providers() == [CPU]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("package_name = 'onnxruntime-gpu'\n__version__ = '1'\n", True),
        ("package_name = 'onnxruntime'\n", False),
        ("", False),
    ],
)
def test_builds_of_onnxruntime_are_told_apart_by_files_alone(tmp_path, monkeypatch, written, expected):
    package = tmp_path / "fake_onnxruntime"
    (package / "capi").mkdir(parents=True)
    (package / "__init__.py").write_text("raise ImportError('nobody may import this to look')")
    (package / "capi" / "build_and_package_info.py").write_text(written)
    monkeypatch.syspath_prepend(tmp_path)
    row = RuntimeRow("r", "onnx", "fake_onnxruntime", "cuda", lambda *_: None, build="onnxruntime-gpu")
    assert row.is_installed() == expected
    assert "fake_onnxruntime" not in sys.modules


def test_a_session_for_the_cpu_runs_every_node_there(artifacts, tmp_path):
    """The oracle is ONNX Runtime's own profile; `kernels()` tells the same without one."""
    onnxruntime = pytest.importorskip("onnxruntime")
    for name in ("int8.onnx", "float32.onnx"):
        options = onnxruntime.SessionOptions()
        options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / "profile")
        session = onnxruntime.InferenceSession(artifacts[name].data, options, providers=[CPU])
        assert node_shares(session) == {CPU: 1.0}
        assert open_runtime(artifacts[name], "onnxruntime").kernels().shares == {CPU: 1.0}


@pytest.mark.slow
def test_the_qualcomm_simulator_runs_all_of_an_int8_graph_with_codes_from_0_to_255(
    ready_device, exported, onnx_cpu_int8
):
    del onnx_cpu_int8  # It lies in the bundle.
    ready_device("qualcomm-htp-sim")
    report = verify(exported / "cpu.edgecnn", "qualcomm-htp-sim")
    report.check()
    (result,) = report.results
    assert result.kernels == "ort-qnn"
    assert result.parity.kernels.shares == {QNN.provider: 1.0}
    assert result.parity.compared.max_lsb <= 3


@pytest.mark.slow
def test_what_the_qualcomm_simulator_does_not_take_is_exit_3_and_not_run_on_the_cpu(ready_device, artifacts):
    device = ready_device("qualcomm-htp-sim")
    # A Relu with no pair of nodes between it and its layer, as TensorRT takes and Qualcomm's does not.
    with pytest.raises(AcceleratorUnavailableError, match="takes not all operators"):
        device.open(artifacts["int8.onnx"], "onnxruntime-qnn")


@pytest.mark.slow
def test_a_gpu_computes_the_float_graph_as_the_cpu_does(ready_device, artifacts):
    device = ready_device("swiftshader")
    artifact = artifacts["float32.onnx"]
    here, there = open_runtime(artifact, "onnxruntime"), device.open(artifact, "onnxruntime-webgpu")
    images = np.random.default_rng(4).random((16, *here.inputs[0].shape[1:]), np.float32)
    np.testing.assert_allclose(there.run([images])[0], here.run([images])[0], atol=1e-5)
    assert there.kernels().shares == {"WebGpuExecutionProvider": 1.0}
    assert there.kernels().family == "ort-webgpu"
    with pytest.raises(AcceleratorUnavailableError, match="takes not all operators"):
        device.open(artifacts["int8.onnx"], "onnxruntime-webgpu")


def test_warnings_of_the_library_do_not_hide_the_error(artifacts):
    onnxruntime = pytest.importorskip("onnxruntime")
    if CUDA.provider in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime was built with CUDA")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(AcceleratorUnavailableError):
            open_session(onnxruntime, artifacts["float32.onnx"], CUDA, onnxruntime.SessionOptions)
