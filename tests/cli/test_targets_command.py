from __future__ import annotations

import json

import pytest

from edge_cnn.cli.main import main
from edge_cnn.core.targets import TARGETS


def test_every_target_is_a_row_with_its_format_and_schemes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets"]) == 0
    lines = capsys.readouterr().out.splitlines()
    for target in TARGETS.values():
        (row,) = [line for line in lines if line.split(" ")[0] == target.name]
        assert target.format in row
        assert ", ".join(target.schemes) in row


def test_one_target_is_shown_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "jetson-orin"]) == 0
    out = capsys.readouterr().out
    rule = "Quantization is symmetric int8, every zero point 0"
    assert rule in out.partition("constraints of int8")[2].partition("constraints of float32")[0]
    assert rule not in out.partition("constraints of float32")[2]
    assert "providers   TensorrtExecutionProvider, CUDAExecutionProvider, CPUExecutionProvider" in out


def test_memory_compiler_and_note_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    main(["targets", "cortex-m7"])
    assert "1,048,576 bytes of flash, 327,680 bytes of RAM" in capsys.readouterr().out
    main(["targets", "ethos-u85"])
    assert "vela --accelerator-config ethos-u85-256" in capsys.readouterr().out
    main(["targets", "rpi3-armhf"])
    assert "Python 3.11 at most" in capsys.readouterr().out


def test_an_unknown_target_lists_the_known_ones(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "rpi6"]) == 2
    assert "unknown target 'rpi6'; known: rpi-zero2, " in capsys.readouterr().err


def test_json_of_one_target_is_its_row_alone(capsys: pytest.CaptureFixture[str]) -> None:
    main(["targets", "cortex-m4", "--json"])
    row = json.loads(capsys.readouterr().out)
    assert (row["name"], row["memory"]) == ("cortex-m4", {"flash": 2097152, "ram": 655360})


def test_json_has_the_table_and_the_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["targets"]}
    assert set(rows) == set(TARGETS)
    jetson = rows["jetson-orin"]
    assert (jetson["format"], jetson["default_scheme"]) == ("onnx", "int8")
    assert (jetson["activations"], rows["rpi5-onnx"]["activations"]) == ("int8-symmetric", "uint8")
    assert {row["activations"] for row in rows.values() if row["format"] == "tflite"} == {None}
    assert "zero_points_are_zero" in {c["name"] for c in jetson["constraints"]["int8"]}
    assert "zero_points_are_zero" not in {c["name"] for c in jetson["constraints"]["float32"]}
