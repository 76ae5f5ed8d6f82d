import json
import xml.etree.ElementTree as ET
from dataclasses import replace

import numpy as np
import pytest

from edge_cnn.cli.main import main
from edge_cnn.core.bundle import Bundle

FIELDS = {
    "artifact", "device", "runtime", "kernels", "max_lsb", "top1_agreement", "host_accuracy", "device_accuracy",
    "passed", "reason",
}  # fmt: skip


@pytest.fixture
def wrong_path(bundle, tmp_path):
    """A bundle whose golden logits and outputs of the int8 TFLite file are another's."""
    golden = bundle.golden
    name = next(e.name for e in bundle.manifest.artifacts if (e.scheme, e.format) == ("int8", "tflite"))
    outputs = golden.outputs | {name: np.roll(golden.outputs[name], 1, axis=1)}
    path = tmp_path / "wrong.edgecnn"
    Bundle(bundle.manifest, bundle.artifacts, replace(golden, outputs=outputs), bundle.replay).write(path)
    return path


def one_line(capsys, status):
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return status, err


def test_a_good_bundle_passes_with_every_field(bundle_path, capsys):
    assert main(["verify", str(bundle_path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["passed"] is True
    assert len(document["results"]) == 4
    for result in document["results"]:
        assert set(result) >= FIELDS
        assert result["device"] == "local"
        assert 0.9 < result["host_accuracy"] <= 1
    lsb = {r["artifact"]: r["max_lsb"] for r in document["results"]}
    assert sorted(value is None for value in lsb.values()) == [False, False, True, True]


def test_the_table_names_artifact_verdict_and_reason(bundle_path, capsys):
    assert main(["verify", str(bundle_path), "--on", "local:litert-ref", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    header, _, *rows = captured.out.splitlines()
    for word in ("artifact", "device", "runtime", "kernels", "max LSB", "top-1", "verdict", "reason"):
        assert word in header
    assert len(rows) == 2
    assert all("passed" in row for row in rows)
    assert "bit for bit those of the host" in captured.out


def test_artifacts_of_another_format_are_left_out_and_said_so(bundle_path, capsys):
    assert main(["verify", str(bundle_path), "--on", "local:litert-ref"]) == 0
    notes = capsys.readouterr().err
    assert notes.count("not run, litert-ref loads no .onnx files") == 2


def test_a_wrong_artifact_fails_and_reports_are_written_all_the_same(wrong_path, tmp_path, capsys):
    html, xml = tmp_path / "report.html", tmp_path / "report.xml"
    status = main(["verify", str(wrong_path), "--on", "local", "--report", str(html), "--junit", str(xml)])
    assert status == 1
    out = capsys.readouterr().out
    assert out.count("FAILED") == 1
    assert "Failed: 1 of 4 out of tolerance." in html.read_text()
    root = ET.fromstring(xml.read_bytes())
    assert len(list(root.iter("testcase"))) == 4
    assert len(list(root.iter("failure"))) == 1


@pytest.mark.parametrize("suffix", ["tflite", "onnx"])
def test_a_bare_model_is_refused(suffix, artifacts, tmp_path, capsys):
    path = tmp_path / f"model.{suffix}"
    path.write_bytes(artifacts[f"int8.{suffix}"].data)
    status, err = one_line(capsys, main(["verify", str(path)]))
    assert status == 2
    assert "edge-cnn export" in err


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--on", "board"], 2, "known forms: local"),
        (["--on", "local:tensorflow"], 2, "unknown runtime"),
        (["--on", "venv:/nowhere/at/all"], 3, "python3 -m venv"),
        (["--on", "local:tflite-runtime"], 3, "pip install"),
        (["--timeout", "0"], 2, "--timeout"),
        (["--report", "/nowhere/at/all/report.html"], 2, "there is no folder"),
        (["--junit", "/nowhere/at/all/junit.xml"], 2, "there is no folder"),
    ],
)
def test_bad_usage_is_one_line(bundle_path, capsys, arguments, status, words):
    got, err = one_line(capsys, main(["verify", str(bundle_path), *arguments]))
    assert got == status
    assert words in err


def test_damaged_and_missing_bundles_are_one_line_and_write_nothing(bundle_path, tmp_path, capsys):
    report = tmp_path / "report.html"
    status, err = one_line(capsys, main(["verify", str(tmp_path / "none.edgecnn"), "--report", str(report)]))
    assert (status, "no bundle at" in err) == (2, True)
    cut = tmp_path / "cut.edgecnn"
    cut.write_bytes(bundle_path.read_bytes()[:5000])
    status, err = one_line(capsys, main(["verify", str(cut), "--report", str(report)]))
    assert (status, "not a readable bundle" in err) == (2, True)
    assert not report.exists()
