"""With a program that plays Vela, and (slow) with Vela itself."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from converters.compilers.vela import Vela, vela_environment
from edge_cnn.core.artifact import Artifact, read_artifact
from edge_cnn.core.bundle import Bundle
from edge_cnn.core.errors import CompilerError, CompilerMissingError, DeviceUnavailableError
from edge_cnn.device.tflite.file import read_tflite
from edge_cnn.verify.devices.virtual_environment import STAMP
from tests.converters.compilers.conftest import MLPERF, needs_mlperf, no_step, target

ACCELERATORS = {"ethos-u55-128": 128, "ethos-u65-256": 256, "ethos-u85-256": 256}
"""Accelerator -> multiplications with additions in one cycle, which its name tells."""

COLUMNS = {
    "accelerator_configuration": "Ethos_U55_128",
    "system_config": "Ethos_U55_High_End_Embedded",
    "memory_mode": "Shared_Sram",
    "core_clock": "500000000.0",
    "inferences_per_second": "nan",
    "sram_memory_used": "50.625",
    "dram_memory_used": "0.0",
    "on_chip_flash_memory_used": "0.0",
    "off_chip_flash_memory_used": "77.390625",
    "cycles_npu": "185542",
    "cycles_sram_access": "69955",
    "cycles_dram_access": "0",
    "cycles_on_chip_flash_access": "0",
    "cycles_off_chip_flash_access": "62304",
    "cycles_total": "201747",
    "nn_macs": "12505748",
}


def csv_of(columns: dict[str, str]) -> str:
    return f"{','.join(columns)}\n{','.join(columns.values())}\n"


PLAY = 'source=$4; out=$6; stem=$(basename "$source" .tflite)\n[ -n "$out" ] && mkdir -p "$out"\n'
WRITE = 'cp "$source" "$out/${stem}_vela.tflite"; cp "$0.csv" "$out/${stem}_summary_x.csv"\n'


@pytest.fixture
def fake(program: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes an environment whose Python says `said`, keeps its words and does `then`."""

    def play(said: str = "", then: str = WRITE, summary: str = csv_of(COLUMNS)) -> None:
        monkeypatch.setenv("EDGE_CNN_CACHE", str(tmp_path / "cache"))
        environment = vela_environment()
        python = program(f'echo "$@" > "$0.words"\ncat "$0.said"\n{PLAY}{then}', "python", environment.folder / "bin")
        Path(f"{python}.csv").write_text(summary)
        Path(f"{python}.said").write_text(said)
        (environment.folder / STAMP).write_text(json.dumps({"requirements": environment.requirements}))

    return play


@pytest.fixture
def int8(artifacts: dict[str, Artifact]) -> Artifact:
    return artifacts["int8.tflite"]


def compiled(artifact: Artifact, folder: Path, *options: str) -> Any:
    return Vela().compile(artifact, target("vela", *options), folder, no_step)


def test_figures_come_from_the_summary_and_operators_from_the_file(fake: Any, int8: Artifact, tmp_path: Path) -> None:
    last = [op for op in read_tflite(int8).main.operators if op.name == "SOFTMAX"][-1]
    name = read_tflite(int8).main.tensors[last.outputs[0]].spec.name
    fake(f"Warning (supported operators) operator: SOFTMAX, ofm: '{name}'\nReason: Too soft\nBe harder\n\n")
    made = compiled(int8, tmp_path, "--accelerator-config", "ethos-u55-128")
    report = made.report.to_json()
    assert made.files == ("model_vela.tflite",)
    assert report["cycles"] == {"total": 201747, "npu": 185542, "sram": 69955, "off_chip_flash": 62304}
    assert report["memory_bytes"] == {"sram": 51840, "off_chip_flash": 79248}
    assert report["estimated_ms"] == pytest.approx(0.403494)
    assert report["clock_hz"] == 500_000_000
    # The program gave back what it got, so every operator stays on the CPU.
    operators = read_tflite(int8).main.operators
    assert [row["op"] for row in report["cpu_operators"]] == [op.name for op in operators]
    assert report["operators"] == len(operators)
    assert [row["reason"] for row in report["cpu_operators"] if row["op"] == "SOFTMAX"] == ["Too soft; Be harder"]
    assert {row["reason"] for row in report["cpu_operators"] if row["op"] != "SOFTMAX"} == {"Vela gives no reason"}
    words = Path(f"{vela_environment().python}.words").read_text().split()
    assert words[:3] == ["-P", "-m", "ethosu.vela"]
    assert words[6:] == ["--show-cpu-operations", "--accelerator-config", "ethos-u55-128"]


def test_many_operators_on_the_cpu_are_some_lines_and_a_number(fake: Any, int8: Artifact, tmp_path: Path) -> None:
    fake()
    report = compiled(int8, tmp_path).report
    count = len(read_tflite(int8).main.operators)
    assert len(report.notes()) == 6
    assert report.notes()[-1] == f"and {count - 5} more on the CPU"


@pytest.mark.parametrize(
    ("play", "told"),
    [
        ({"then": "kill -FPE $$"}, "Vela ended with SIGFPE without a word"),
        ({"said": "RuntimeError: no networks\n", "then": "exit 1"}, "exit status 1, saying 'RuntimeError: no networ"),
        ({"then": ""}, "wrote no model_vela.tflite"),
        ({"then": WRITE + 'echo xxxxTFL3xxxxxxxx > "$out/${stem}_vela.tflite"'}, "its file cannot be read"),
        ({"then": 'cp "$source" "$out/${stem}_vela.tflite"'}, "wrote 0 summaries, not one"),
        ({"summary": ""}, "its summary cannot be read"),
        ({"summary": "\x00\x01,\n,,,"}, "its summary cannot be read"),
        ({"summary": csv_of({**COLUMNS, "cycles_total": "many"})}, "its summary cannot be read"),
        ({"summary": csv_of({k: v for k, v in COLUMNS.items() if k != "nn_macs"})}, "KeyError: 'nn_macs'"),
    ],
)
def test_whatever_goes_wrong_is_one_line_and_leaves_no_file(
    fake: Any, int8: Artifact, tmp_path: Path, play: dict[str, str], told: str
) -> None:
    fake(**play)
    with pytest.raises(CompilerError) as caught:
        compiled(int8, tmp_path)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.glob("*.tflite")) == []


@pytest.mark.slow  # makes a virtual environment and lets pip try
def test_without_a_network_the_error_says_so_and_what_to_do(
    int8: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"PIP_CONFIG_FILE": "/dev/null", "PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1"}
    for name, value in {**settings, "EDGE_CNN_CACHE": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(name, value)
    for name in ("PIP_FIND_LINKS", "PIP_EXTRA_INDEX_URL", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(CompilerMissingError) as caught:
        compiled(int8, tmp_path)
    assert str(caught.value) == (
        "Vela cannot be made ready: the package index cannot be reached; connect to the network, or set pip's proxy, "
        "or leave the compiler out with --no-compile"
    )
    assert list((tmp_path / "cache" / "compilers").iterdir()) == []


def with_vela(test: Any) -> Any:
    """A test with Vela itself."""
    return pytest.mark.slow(pytest.mark.usefixtures("ready_vela")(test))


@pytest.fixture(scope="session")
def ready_vela() -> None:
    """Vela's environment in the user's cache folder, made at the first use."""
    try:
        vela_environment().setup(no_step)
    except DeviceUnavailableError as error:
        pytest.skip(str(error))


def multiplications(artifact: Artifact) -> int:
    """Of convolutions and fully-connected layers, counted on their shapes."""
    graph = read_tflite(artifact).main
    total = 0
    for op in graph.operators:
        if op.name in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
            weights, out = graph.tensors[op.inputs[1]].spec.shape, graph.tensors[op.outputs[0]].spec.shape
            a_value = math.prod(weights[1:3]) if op.name.startswith("DEPTH") else math.prod(weights[1:])
            total += a_value * math.prod(out[1:])
    return total


def check_all_on_the_accelerator(artifact: Artifact, folder: Path, accelerator: str) -> None:
    from ai_edge_litert import schema_py_generated as schema

    made = compiled(artifact, folder, "--accelerator-config", accelerator)
    report, data = made.report, (folder / made.files[0]).read_bytes()
    assert report.cpu_operators == ()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    assert [code.customCode for code in model.operatorCodes] == [b"ethos-u"]
    assert len(model.subgraphs[0].operators) == 1
    assert report.accelerator.lower().replace("_", "-") == accelerator
    assert report.operators == len(read_tflite(artifact).main.operators)
    # Vela adds those of softmax and pooling, and counts some less where a U85 packs a layer of one channel.
    assert multiplications(artifact) == pytest.approx(report.macs, rel=0.07)
    # A cycle does what the name of the accelerator tells, or less.
    assert report.cycles["npu"] * ACCELERATORS[accelerator] >= multiplications(artifact)
    assert report.cycles["total"] >= report.cycles["npu"]
    before, after = read_tflite(artifact), read_tflite(Artifact("made", "tflite", data))
    assert [s.quantization for s in before.inputs + before.outputs] == [
        s.quantization for s in after.inputs + after.outputs
    ]


@with_vela
@needs_mlperf
@pytest.mark.parametrize("accelerator", ACCELERATORS)
@pytest.mark.parametrize("name", ["pretrainedResnet_quant", "kws_ref_model", "ad01_int8"])
def test_no_operator_of_mlperf_tinys_networks_stays_on_the_cpu(tmp_path: Path, name: str, accelerator: str) -> None:
    check_all_on_the_accelerator(read_artifact(MLPERF / f"{name}.tflite"), tmp_path, accelerator)


@with_vela
@pytest.mark.parametrize("accelerator", ACCELERATORS)
def test_no_operator_of_an_exported_resnet8_stays_on_the_cpu(resnet8: Bundle, tmp_path: Path, accelerator: str) -> None:
    check_all_on_the_accelerator(resnet8.artifact("model.tflite"), tmp_path, accelerator)


@with_vela
def test_the_same_file_compiles_to_the_same_bytes_and_report(int8: Artifact, tmp_path: Path) -> None:
    made = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        report = compiled(int8, tmp_path / name).report.to_json()
        made.append((report, (tmp_path / name / "model_vela.tflite").read_bytes()))
    assert made[0] == made[1]


@with_vela
def test_vela_names_the_operators_of_a_float_model_and_why(artifacts: dict[str, Artifact], tmp_path: Path) -> None:
    artifact = artifacts["float32.tflite"]
    report = compiled(artifact, tmp_path).report
    assert [op.op for op in report.cpu_operators] == [op.name for op in read_tflite(artifact).main.operators]
    assert all("unsupported DataType Float32" in op.reason for op in report.cpu_operators)
    assert report.cycles["total"] == 0


@with_vela
def test_vela_may_leave_one_kind_to_the_cpu(int8: Artifact, tmp_path: Path) -> None:
    report = compiled(int8, tmp_path, "--ignore-ops", "SOFTMAX").report
    assert [op.op for op in report.cpu_operators] == ["SOFTMAX"]
    assert "on the CPU: SOFTMAX" in report.notes()[0]


@with_vela
def test_vela_refuses_an_accelerator_that_there_is_not(int8: Artifact, tmp_path: Path) -> None:
    with pytest.raises(CompilerError, match=r"ended with exit status 2, saying '.*invalid choice: 'ethos-u99'"):
        compiled(int8, tmp_path, "--accelerator-config", "ethos-u99")
