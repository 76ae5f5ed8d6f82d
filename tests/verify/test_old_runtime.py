"""A runtime too old for a file: it loads what it miscomputes, or dies of it."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest

import edge_cnn
from edge_cnn.core.artifact import TFLITE, Artifact
from edge_cnn.core.bundle import Bundle
from edge_cnn.core.manifest import ArtifactEntry, Manifest
from edge_cnn.core.preprocessing import input_range
from edge_cnn.core.samples import GoldenSamples
from edge_cnn.core.tolerance import default_tolerances
from edge_cnn.device.model_input import InputEncoder
from edge_cnn.device.runtimes.table import open_runtime
from edge_cnn.verify import replay as replay_module
from edge_cnn.verify.devices.agent_device import AgentDevice
from edge_cnn.verify.replay import verify

ROOT = Path(edge_cnn.__file__).parents[1]


@pytest.fixture(scope="session")
def old_environment():
    """DEVICE with tflite-runtime 2.14, of the year 2023."""
    path = Path(os.environ.get("EDGE_CNN_TFLITE_VENV") or ROOT / ".venv-tflite")
    if not (path / "bin" / "python").exists():
        pytest.skip(f"no environment with tflite-runtime at {path}; make it with: make device-envs")
    return f"venv:{path}:tflite-runtime"


@pytest.fixture(scope="session")
def hybrid_path(tmp_path_factory):
    """A bundle with a dynamic-range file that hides its scales a class from old runtimes, as AI Edge Quantizer does."""
    import keras
    import tensorflow as tf
    from ai_edge_litert import schema_py_generated as schema

    layers = keras.layers
    keras.utils.set_random_seed(3)
    image = layers.Input((12, 12, 1))
    hidden = layers.Flatten()(layers.Conv2D(8, 3, strides=2, activation="relu")(image))
    model = keras.Model(image, layers.Softmax()(layers.Dense(10)(hidden)))
    # Scales that differ much between the classes, as in a trained network.
    weights, bias = model.layers[-2].get_weights()
    model.layers[-2].set_weights([weights * np.geomspace(0.5, 20, 10), bias])
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    data = bytearray(converter.convert())
    codes = schema.Model.GetRootAs(data, 0)
    for i in range(codes.OperatorCodesLength()):
        code = codes.OperatorCodes(i)
        offset = code._tab.Offset(8)  # the field `version`
        if offset:
            place = code._tab.Pos + offset
            data[place : place + 4] = (1).to_bytes(4, "little")
    artifact = Artifact("model.tflite", TFLITE, bytes(data))
    images = np.random.default_rng(3).integers(0, 256, (64, 12, 12, 1), np.uint8)
    preprocessing = input_range(0.0, 1.0, (12, 12, 1))
    runtime = open_runtime(artifact, "litert")
    (outputs,) = runtime.run((InputEncoder(preprocessing, runtime.inputs[0]).encode(images),))
    tolerances = default_tolerances(TFLITE, quantized=False, recorded_by="litert-ref")
    entry = ArtifactEntry(
        artifact.name, TFLITE, "dynamic", ("rpi4",), artifact.sha256, runtime.inputs[0], runtime.outputs[0], tolerances
    )
    manifest = Manifest(tuple("0123456789"), preprocessing, (entry,))
    golden = GoldenSamples(images, outputs.argmax(1), outputs, {artifact.name: outputs})
    path = tmp_path_factory.mktemp("hybrid") / "hybrid.edgecnn"
    Bundle(manifest, (artifact,), golden).write(path)
    return path


def test_a_runtime_of_today_computes_the_file_right(hybrid_path):
    (result,) = verify(hybrid_path, "local:litert").results
    assert result.passed, result.reason


def test_a_file_that_an_old_runtime_is_known_to_miscompute_is_told_in_one_line_and_not_run(
    hybrid_path, old_environment
):
    (result,) = verify(hybrid_path, old_environment).results
    assert not result.passed
    assert result.parity is None
    assert result.reason.startswith("tflite-runtime is known wrong: FULLY_CONNECTED with float input and per-channel")
    assert "\n" not in result.reason


def test_an_old_runtimes_garbage_is_caught_where_nobody_knew_of_it(hybrid_path, old_environment, monkeypatch):
    monkeypatch.setattr(replay_module, "known_wrong", lambda *_: None)
    (result,) = verify(hybrid_path, old_environment).results
    assert not result.passed
    assert result.parity is not None
    assert "outputs differ by up to" in result.reason
    assert result.parity.top1_agreement < 0.9


DYING_AGENT = """
import os, signal, sys, time
import numpy as np
from edge_cnn.core.errors import ModelError
from edge_cnn.core.protocols import Kernels
from edge_cnn.core.quantization import QuantizationParams
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device import agent

class Graph:
    name, version = "litert", "1"
    inputs = (TensorSpec("pixels", (1, 2, 5, 1), "int8", QuantizationParams((1 / 255,), (-128,))),)
    outputs = (TensorSpec("scores", (1, 10), "int8", QuantizationParams((0.1,), (5,))),)
    def __init__(self, way):
        self.way = way
    def kernels(self):
        return Kernels("xnnpack", {"XNNPACK": 1.0})
    def run(self, inputs):
        match self.way:
            case "hang": time.sleep(60)
            case "out of memory":
                sys.stderr.write("std::bad_alloc\\n"); sys.stderr.flush(); os._exit(134)
            case str(name): os.kill(os.getpid(), getattr(signal, name))
        return [inputs[0].reshape(-1, 10)]

def open_runtime(artifact, *_, **__):
    return Graph(sys.argv[1] if artifact.name == "model.tflite" else None)

agent.open_runtime = open_runtime
agent.greeting = lambda greet=agent.greeting: {**greet(), "runtimes": ["litert"]}
sys.exit(agent.main())
"""


@pytest.mark.parametrize(
    ("way", "words"),
    [
        ("SIGSEGV", "ended the agent on 'board' with SIGSEGV: "),
        ("SIGILL", "ended the agent on 'board' with SIGILL: the CPU lacks an instruction"),
        ("out of memory", "with SIGABRT: the runtime's native code gave up (std::bad_alloc)"),
        ("hang", "hung on 'board' for more than 3 s and was stopped"),
    ],
)
def test_what_ends_the_agent_is_a_row_with_the_files_name_and_the_run_goes_on(
    fake_bundle, tmp_path, monkeypatch, way, words
):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    path = tmp_path / "fake.edgecnn"
    fake_bundle.write(path)
    device = AgentDevice("board", (sys.executable, "-c", DYING_AGENT, way), "look at the board", limit_s=3.0)
    monkeypatch.setattr(replay_module, "parse_device", lambda *_, **__: device)
    died, fine = verify(path, "board").results
    assert (died.artifact, died.passed, died.parity) == ("model.tflite", False, None)
    assert died.reason.startswith("model.tflite ")
    assert words in died.reason
    assert fine.passed, fine.reason


def test_a_file_that_crashes_this_python_costs_a_child_and_not_this_process(fake_bundle, tmp_path, monkeypatch):
    """`local` as well: the artifact runs in a child."""
    path = tmp_path / "fake.edgecnn"
    fake_bundle.write(path)
    parse = replay_module.parse_device

    def parse_dying(name, **options):
        device = parse(name, **options)
        device.python = (*device.python, "-c", DYING_AGENT, "SIGSEGV")
        return device

    monkeypatch.setattr(replay_module, "parse_device", parse_dying)
    died, fine = verify(path, "local:litert").results
    assert "ended the agent on 'local:litert' with SIGSEGV: " in died.reason
    assert fine.passed, fine.reason
