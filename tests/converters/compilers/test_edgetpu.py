"""With a program that plays `edgetpu_compiler`; its words are those of version 16 in public logs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converters.compilers.edgetpu import EdgeTpuCompiler
from edge_cnn.core.artifact import Artifact, read_artifact
from edge_cnn.core.errors import CompilerError, CompilerMissingError
from edge_cnn.device.tflite.file import read_tflite
from tests.converters.compilers.conftest import MLPERF, needs_mlperf, no_step, target

HEAD = """Edge TPU Compiler version 16.0.384591198
Started a compilation timeout timer of 600 seconds.

Model compiled successfully in 113 ms.

Input model: model.tflite
Input size: 97.04KiB
Output model: model_edgetpu.tflite
Output size: 128.70KiB
On-chip memory used for caching model parameters: 91.25KiB
On-chip memory remaining for caching model parameters: 7.96MiB
Off-chip memory used for streaming uncached model parameters: 1.50KiB
Number of Edge TPU subgraphs: 1
Total number of operations: 16
Operation log: out/model_edgetpu.log
"""
PARTLY = """
Model successfully compiled but not all operations are supported by the Edge TPU. A percentage of the model will instead
run on the CPU, which is slower.
Number of operations that will run on Edge TPU: 13
Number of operations that will run on CPU: 3
"""
MAPPED = """
Operator                       Count      Status

CONV_2D                        9          Mapped to Edge TPU
ADD                            3          Mapped to Edge TPU
AVERAGE_POOL_2D                1          Mapped to Edge TPU
"""
REST = """RESHAPE                        1          Mapped to Edge TPU
FULLY_CONNECTED                1          Mapped to Edge TPU
SOFTMAX                        1          Mapped to Edge TPU
"""
REST_ON_CPU = """RESHAPE                        2          More than one subgraph is not supported
SOFTMAX                        1          Operation is working on an unsupported data type
"""
TAIL = "Compilation child process completed within timeout period.\nCompilation succeeded!\n"

PLAY = """
for word; do source=$word; done
while [ "$1" != -o ]; do shift; done
stem=$(basename "$source" .tflite)
"""
WRITE = 'cp "$source" "$2/${stem}_edgetpu.tflite"\n'


@pytest.fixture
def compiler(program: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts on PATH a program that says `said` and does `then`."""

    def play(said: str, then: str = WRITE) -> None:
        (tmp_path / "said").write_text(said)
        text = f'echo "$@" > {tmp_path}/words{PLAY}cat {tmp_path}/said\n{then}'
        path = program(text, "edgetpu_compiler", tmp_path / "bin")
        monkeypatch.setenv("PATH", f"{path.parent}{os.pathsep}{os.environ['PATH']}")

    return play


@pytest.fixture
def int8(artifacts: dict[str, Artifact]) -> Artifact:
    return artifacts["int8.tflite"]


def compiled(artifact: Artifact, folder: Path, *options: str) -> Any:
    return EdgeTpuCompiler().compile(artifact, target("edgetpu", *options), folder, no_step)


def test_all_that_is_mapped_is_counted(compiler: Any, int8: Artifact, tmp_path: Path) -> None:
    compiler(HEAD + MAPPED + REST + TAIL)
    made = compiled(int8, tmp_path)
    assert made.files == ("model_edgetpu.tflite",)
    assert made.report.to_json() == {
        "version": "16.0.384591198",
        "mapped": {
            "CONV_2D": 9,
            "ADD": 3,
            "AVERAGE_POOL_2D": 1,
            "RESHAPE": 1,
            "FULLY_CONNECTED": 1,
            "SOFTMAX": 1,
        },
        "cpu_operators": [],
        "subgraphs": 1,
        "on_chip_bytes": 93440,
        "off_chip_bytes": 1536,
    }
    assert made.report.notes() == ()
    assert made.report.summary() == (
        "Edge TPU Compiler 16.0.384591198: 16 of 16 operators on the Edge TPU, 91.2 KiB of weights on the chip, "
        "1.5 KiB of weights sent for every inference"
    )


def test_what_stays_on_the_cpu_is_named_with_the_reason(compiler: Any, int8: Artifact, tmp_path: Path) -> None:
    compiler(HEAD + PARTLY + MAPPED + REST_ON_CPU + TAIL)
    report = compiled(int8, tmp_path).report
    assert sum(report.mapped.values()) == 13
    assert report.notes() == (
        "on the CPU: RESHAPE (2 of them): More than one subgraph is not supported",
        "on the CPU: SOFTMAX: Operation is working on an unsupported data type",
    )


@needs_mlperf
def test_the_program_gets_its_options_and_a_file_without_dynamic_shapes(compiler: Any, tmp_path: Path) -> None:
    compiler(HEAD + MAPPED + REST + TAIL)
    resnet8 = replace(read_artifact(MLPERF / "pretrainedResnet_quant.tflite"), name="model.tflite")
    assert read_tflite(resnet8).inputs[0].shape[0] == -1  # Else this would prove nothing.
    compiled(resnet8, tmp_path, "-m", "13")
    words = (tmp_path / "words").read_text().split()
    assert words[:4] == ["-s", "-t", "600", "-o"]
    assert words[5:7] == ["-m", "13"]
    made = Artifact("m", "tflite", (tmp_path / "model_edgetpu.tflite").read_bytes())
    assert read_tflite(made).inputs[0].shape[0] == 1
    assert not Path(words[-1]).exists()


def test_without_the_program_the_error_says_where_it_comes_from(
    int8: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CompilerMissingError, match=r"edgetpu_compiler is not on PATH; install .* edgetpu-compiler"):
        compiled(int8, tmp_path)


@pytest.mark.parametrize(
    ("said", "then", "told"),
    [
        ("Internal compiler error. Aborting!\n", "exit 1", "exit status 1, saying 'Internal compiler error. Abort"),
        ("Compilation failed!\n", "", "wrote no model_edgetpu.tflite, saying 'Compilation failed!'"),
        ("Searching\n", "kill -SEGV $$", "ended with SIGSEGV, saying 'Searching'"),
        ("\x1b[1m%&$\n", WRITE, "told nothing of operators"),
        (HEAD + MAPPED + TAIL, WRITE, "told of 13 operators where it counts 16"),
    ],
)
def test_whatever_goes_wrong_is_one_line_and_leaves_no_file(
    compiler: Any, int8: Artifact, tmp_path: Path, said: str, then: str, told: str
) -> None:
    compiler(said, then)
    with pytest.raises(CompilerError) as caught:
        compiled(int8, tmp_path)
    assert told in str(caught.value)
    assert "--no-compile" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.glob("*.tflite")) == []
