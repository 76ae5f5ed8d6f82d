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


def test_each_rule_is_shown_with_whom_it_binds(capsys: pytest.CaptureFixture[str]) -> None:
    main(["targets"])
    out = capsys.readouterr().out
    rule = out.index("Quantization is symmetric int8, every zero point 0")
    assert out[rule:].splitlines()[1].strip() == "for jetson-orin (int8)"


def test_json_has_the_table_and_the_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)["targets"]}
    assert set(rows) == set(TARGETS)
    jetson = rows["jetson-orin"]
    assert (jetson["format"], jetson["default_scheme"]) == ("onnx", "int8")
    assert "zero_points_are_zero" in {c["name"] for c in jetson["constraints"]["int8"]}
    assert "zero_points_are_zero" not in {c["name"] for c in jetson["constraints"]["float32"]}
