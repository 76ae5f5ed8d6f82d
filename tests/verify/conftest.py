"""A device and a bundle made of plain functions, so that most tests need no runtime and no model."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from edge_cnn.core.artifact import Artifact
from edge_cnn.core.bundle import Bundle
from edge_cnn.core.manifest import ArtifactEntry, Manifest
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.core.protocols import Kernels
from edge_cnn.core.quantization import QuantizationParams
from edge_cnn.core.samples import GoldenSamples
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.core.tolerance import default_tolerances
from edge_cnn.device.runtimes.table import installed_runtimes, open_runtime

GRID = QuantizationParams((0.1,), (5,))
INPUT = TensorSpec("pixels", (1, 2, 5, 1), "int8", QuantizationParams((1 / 255,), (-128,)))
OUTPUT = TensorSpec("scores", (1, 10), "int8", GRID)


@dataclass
class FakeRuntime:
    """A graph that is a function from input codes (n, 2, 5, 1) to output codes (n, 10)."""

    function: object
    family: str = "xnnpack"
    inputs: tuple = (INPUT,)
    outputs: tuple = (OUTPUT,)
    name: str = "litert"
    version: str = "0"

    def run(self, inputs):
        (codes,) = inputs
        return [self.function(codes)]

    def kernels(self):
        return Kernels(self.family, {self.family: 1.0})


@dataclass
class FakeDevice:
    """Runs artifacts by their names."""

    graphs: dict
    name: str = "fake"
    wanted_runtime: str | None = None
    formats: tuple = ("tflite",)
    emulated: bool = False
    opened: list = field(default_factory=list)

    def runtimes(self, format):
        return ("litert",) if format in self.formats else ()

    def open(self, artifact, runtime, *, threads=1):
        del threads
        self.opened.append((artifact.name, runtime))
        graph = self.graphs[artifact.name]
        if isinstance(graph, Exception):
            raise graph
        return graph

    def close(self):
        self.opened.append("closed")


@dataclass
class InProcessDevice:
    """This process, but every file is changed by `damage` before it is loaded, the view of the logits as well, and
    every runtime by `lie` afterwards.
    """

    damage: object = lambda artifact: artifact
    lie: object = lambda runtime, artifact: runtime  # noqa: ARG005
    name: str = "local"
    wanted_runtime: str | None = None
    emulated: bool = False

    def runtimes(self, format):
        return installed_runtimes(format)

    def open(self, artifact, runtime, *, threads=1):
        return self.lie(open_runtime(self.damage(artifact), runtime, threads=threads), artifact)

    def close(self):
        """Nothing was started."""


def scores(codes):
    """The host's graph: every pixel is the score of a class."""
    return codes.reshape(len(codes), 10)


@pytest.fixture
def fakes():
    """Classes and the host's graph, for tests that make variants."""

    class Fakes:
        Device, Runtime, graph = FakeDevice, FakeRuntime, staticmethod(scores)
        output, grid = OUTPUT, GRID

    return Fakes


@pytest.fixture(scope="session")
def in_process():
    """The class of devices that run in this process, with something wrong in them if one likes."""
    return InProcessDevice


@pytest.fixture(scope="session")
def edits():
    """The module beside this file: one thing wrong in a model file."""
    spec = importlib.util.spec_from_file_location("graph_edits", Path(__file__).with_name("graph_edits.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def fake_bundle():
    """64 images whose brightest pixel is their class, with two equal artifacts of the graph `scores`."""
    rng = np.random.default_rng(1)
    images = rng.integers(0, 200, (64, 2, 5, 1), np.uint8)
    labels = np.arange(64) % 10
    images.reshape(64, 10)[np.arange(64), labels] = 240
    outputs = scores((images.astype(np.int16) - 128).astype(np.int8))
    names = ("model.tflite", "model-second.tflite")
    artifacts = tuple(Artifact(name, "tflite", name.encode()) for name in names)
    tolerances = default_tolerances("tflite", quantized=True, recorded_by="litert-ref")
    entries = tuple(
        ArtifactEntry(a.name, a.format, "int8", ("rpi5",), a.sha256, INPUT, OUTPUT, tolerances, 1.0) for a in artifacts
    )
    golden = GoldenSamples(images, labels, outputs.astype(np.float32), dict.fromkeys(names, outputs))
    manifest = Manifest(tuple("0123456789"), Preprocessing(2, 5, 1), entries)
    return Bundle(manifest, artifacts, golden)


@pytest.fixture
def this_environment(monkeypatch):
    """DEVICE of the environment that the tests run in, with this checkout on its import path."""
    import sys
    from pathlib import Path

    import edge_cnn

    monkeypatch.setenv("PYTHONPATH", str(Path(edge_cnn.__file__).parents[1]))
    return f"venv:{sys.prefix}"
