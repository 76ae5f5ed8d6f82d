"""The arena of TFLite Micro: the search with a runtime that plays it, and (slow) with TFLite Micro itself."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from converters.compilers.arena_search import smallest_arena
from converters.compilers.tflm import TflmCompiler, measure_arena
from edge_cnn.core.artifact import Artifact, read_artifact
from edge_cnn.core.errors import CompilerError, ConstraintError, DeviceUnavailableError
from edge_cnn.core.targets import Memory
from edge_cnn.verify.devices.environments import TFLM
from edge_cnn.verify.devices.virtual_environment import STAMP
from tests.converters.compilers.conftest import MLPERF, needs_mlperf, no_step, target


@pytest.fixture
def int8(artifacts: dict[str, Artifact]) -> Artifact:
    return artifacts["int8.tflite"]


@pytest.mark.parametrize("needed", [1, 16, 17, 4096, 4097, 55984, 2**28])
def test_the_search_finds_the_least_multiple_of_16_that_runs(needed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interpreter:
        @staticmethod
        def from_bytes(model: bytes, arena_size: int) -> Any:
            assert model == b"model"
            assert arena_size % 16 == 0
            if arena_size < needed:
                raise RuntimeError("Failed to allocate tensors")
            details = {"shape": np.array([1, 3]), "dtype": np.int8}
            return SimpleNamespace(
                get_input_details=lambda index: [details, details][index],
                set_input=lambda *_: None,
                invoke=lambda: 0,
            )

    module = SimpleNamespace(Interpreter=Interpreter)
    monkeypatch.setitem(sys.modules, "tflite_micro.python.tflite_micro.runtime", module)
    found = smallest_arena(b"model", 2)
    assert found == max(16, -(-needed // 16) * 16)


def test_what_never_runs_is_told_by_the_runtimes_own_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(model: bytes, **_: int) -> Any:
        raise RuntimeError(f"no kernel for {model!r}")

    module = SimpleNamespace(Interpreter=SimpleNamespace(from_bytes=refuse))
    monkeypatch.setitem(sys.modules, "tflite_micro.python.tflite_micro.runtime", module)
    with pytest.raises(RuntimeError, match="no kernel for b'model'"):
        smallest_arena(b"model", 1)


@pytest.fixture
def fake(program: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes an environment whose Python is a shell script."""

    def play(text: str) -> None:
        monkeypatch.setenv("EDGE_CNN_CACHE", str(tmp_path / "cache"))
        program(text, "python", TFLM.folder / "bin")
        (TFLM.folder / STAMP).write_text(json.dumps({"requirements": TFLM.requirements}))

    return play


TELL = """echo '{"arena_bytes": 5600}'; echo '[RecordingMicroAllocator] Arena allocation head 4800 bytes' >&2"""


def test_the_report_holds_what_the_search_tells(fake: Any, int8: Artifact) -> None:
    fake(TELL)
    report = measure_arena(int8, no_step)
    assert (report.arena_bytes, report.activation_bytes, report.model_bytes) == (5600, 4800, len(int8.data))
    assert report.cpu_operators == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("kill -SEGV $$", "TFLite Micro ended with SIGSEGV"),
        ("echo 'RuntimeError: no kernel' >&2; exit 1", "exit status 1, saying 'RuntimeError: no kernel'"),
        ("echo none", "told no size of an arena"),
        ("echo '[]'", "told no size of an arena"),
        ("""echo '{"arena_bytes": 5600}'""", "told nothing of its allocations"),
    ],
)
def test_whatever_goes_wrong_is_one_line(fake: Any, int8: Artifact, text: str, told: str) -> None:
    fake(text)
    with pytest.raises(CompilerError) as caught:
        measure_arena(int8, no_step)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_chip_with_enough_memory_gets_source_files(fake: Any, int8: Artifact, tmp_path: Path) -> None:
    fake(TELL)
    memory = Memory(flash=len(int8.data), ram=5600)
    made = TflmCompiler().compile(int8, target("tflm", memory=memory), tmp_path, no_step)
    assert made.files == ("model.h", "model.cc")
    assert "kArenaBytes = 5600;" in (tmp_path / "model.h").read_text()
    assert made.report.notes() == ()
    assert made.report.to_json()["ram_bytes"] == 5600


def test_an_arena_that_only_pointers_make_too_large_is_a_remark(fake: Any, int8: Artifact, tmp_path: Path) -> None:
    fake(TELL)
    memory = Memory(flash=len(int8.data), ram=4800)
    made = TflmCompiler().compile(int8, target("tflm", memory=memory), tmp_path, no_step)
    assert made.report.notes() == ("the arena of 5,600 bytes may be too large for 4,800 bytes of RAM",)


def test_activations_that_do_not_fit_the_chip_are_an_error(fake: Any, int8: Artifact, tmp_path: Path) -> None:
    fake(TELL)
    memory = Memory(flash=len(int8.data), ram=4799)
    with pytest.raises(ConstraintError, match=r"takes 4,800 bytes of RAM for activations .*, chip has 4,799; use a"):
        TflmCompiler().compile(int8, target("tflm", memory=memory), tmp_path, no_step)
    assert list(tmp_path.glob("model.*")) == []


def with_tflm(test: Any) -> Any:
    """A test with TFLite Micro itself."""
    return pytest.mark.slow(pytest.mark.usefixtures("ready_tflm")(test))


@pytest.fixture(scope="session")
def ready_tflm() -> None:
    """TFLite Micro's environment in the user's cache folder, made at the first use."""
    try:
        TFLM.setup(no_step)
    except DeviceUnavailableError as error:
        pytest.skip(str(error))


def runs(artifact: Artifact, arena: int, folder: Path) -> bool:
    """Whether TFLite Micro starts and runs the file three times with an arena, tried in its own environment."""
    path = folder / "tried.tflite"
    path.write_bytes(artifact.data)
    code = (
        "from tflite_micro.python.tflite_micro import runtime\n"
        f"interpreter = runtime.Interpreter.from_file({str(path)!r}, arena_size={arena})\n"
        "for _ in range(3): interpreter.invoke()\n"
    )
    child = subprocess.run([TFLM.environment.python, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert child.returncode == 0 or "RuntimeError" in child.stderr
    return child.returncode == 0


def check_arena(artifact: Artifact, folder: Path) -> int:
    report = measure_arena(artifact, no_step)
    assert report.arena_bytes % 16 == 0
    assert 0 < report.activation_bytes < report.arena_bytes
    assert runs(artifact, report.arena_bytes, folder)
    assert not runs(artifact, report.arena_bytes - 16, folder)
    return report.arena_bytes


@with_tflm
@needs_mlperf
@pytest.mark.parametrize("name", ["pretrainedResnet_quant", "kws_ref_model", "ad01_int8"])
def test_sixteen_bytes_less_than_the_arena_are_too_few_for_mlperf_tinys_networks(tmp_path: Path, name: str) -> None:
    check_arena(read_artifact(MLPERF / f"{name}.tflite"), tmp_path)


@with_tflm
@needs_mlperf
def test_what_tflite_micro_adds_up_is_too_little_for_a_small_network(tmp_path: Path) -> None:
    """Why the arena is searched for."""
    artifact = read_artifact(MLPERF / "ad01_int8.tflite")
    device = TFLM.parse("tflm", "", 60.0)
    try:
        summed_up = device.open(artifact, "tflm").kernels().arena_bytes
    finally:
        device.close()
    assert summed_up is not None
    assert not runs(artifact, summed_up, tmp_path)
    assert measure_arena(artifact, no_step).arena_bytes > summed_up


@with_tflm
def test_sixteen_bytes_less_than_the_arena_are_too_few_for_an_export(int8: Artifact, tmp_path: Path) -> None:
    from edge_cnn.device.tflite.file import read_tflite

    arena = check_arena(int8, tmp_path)
    # The input and the output of an operator exist at the same time.
    graph = read_tflite(int8).main
    sizes = [
        sum(
            int(np.prod(graph.tensors[i].spec.shape[1:]))
            for i in {op.inputs[0], *op.outputs}
            if op.name not in ("RESHAPE",)
        )
        for op in graph.operators
    ]
    assert arena >= max(sizes)


@with_tflm
def test_tflite_micro_says_what_it_refuses(int8: Artifact) -> None:
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(int8.data, 0))
    code = model.operatorCodes[0]
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.SKIP_GRAM
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(CompilerError, match=r"TFLite Micro ended with exit status 1, saying '.*SKIP_GRAM"):
        measure_arena(replace(int8, data=bytes(builder.Output())), no_step)
