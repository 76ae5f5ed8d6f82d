"""Small bundles that need no runtime: what a slot does with a bundle does not depend on what its model computes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_cnn.core.artifact import TFLITE, Artifact
from edge_cnn.core.bundle import Bundle, read_bundle
from edge_cnn.core.errors import ToleranceError
from edge_cnn.core.manifest import ArtifactEntry, Manifest
from edge_cnn.core.preprocessing import Preprocessing
from edge_cnn.core.tensor_spec import TensorSpec
from edge_cnn.device.slots.start import Started, start
from edge_cnn.device.slots.update import Change, open_for_change


def make_bundle(answer: str, base: str | None = None) -> bytes:
    """A bundle whose only artifact holds `answer`; `base` is the answer of the bundle that it is tuned from."""
    artifact = _artifact(answer)
    entry = ArtifactEntry(
        artifact.name,
        artifact.format,
        "float32",
        ("rpi5",),
        artifact.sha256,
        TensorSpec("in", (1, 2, 2, 1), "float32"),
        TensorSpec("out", (1, 2), "float32"),
        {},
    )
    preprocessing = Preprocessing(2, 2, 1, (0.0,), (255.0,))
    provenance = {} if base is None else {"finetuned": {"base_sha256": _artifact(base).sha256}}
    return Bundle(Manifest(("a", "b"), preprocessing, (entry,), provenance=provenance), (artifact,)).to_bytes()


def _artifact(answer: str) -> Artifact:
    return Artifact("model.tflite", TFLITE, answer.encode() * 500)


def answer_of(bundle: Bundle) -> str:
    """What `make_bundle` put in."""
    data = bundle.artifacts[0].data
    return data[: len(data) // 500].decode()


def check_fit(path: Path) -> None:
    """A check that every answer passes which does not start with 'bad'."""
    if answer_of(read_bundle(path)).startswith("bad"):
        raise ToleranceError("the golden answers are wrong")


class Slot:
    """A slot in tests: what its commands do, with `check_fit` as the check."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notes: list[str] = []

    def install(self, answer: str, base: str | None = None, check=check_fit, *, force: bool = False) -> Change:
        with open_for_change(self.folder, self.notes.append, create=True) as writer:
            return writer.install(make_bundle(answer, base), "new.edgecnn", check, force=force)

    def roll_back(self, to: int | None = None, check=check_fit) -> Change:
        with open_for_change(self.folder, self.notes.append) as writer:
            return writer.roll_back(check, to)

    def start(self, check=check_fit) -> Started:
        return start(self.folder, check, self.notes.append)

    def answer(self, check=check_fit) -> str:
        return answer_of(self.start(check).bundle)

    @staticmethod
    def bundle(answer: str, base: str | None = None) -> bytes:
        return make_bundle(answer, base)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())


@pytest.fixture
def slot_at() -> type[Slot]:
    """Makes a `Slot` of a folder."""
    return Slot


@pytest.fixture
def slot(tmp_path: Path) -> Slot:
    return Slot(tmp_path / "slot")


@pytest.fixture
def work(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a killed process loses nothing there, and no disk waits for a sync."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    folder = memory / f"edge-cnn-kills-{os.getpid()}"
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder)
