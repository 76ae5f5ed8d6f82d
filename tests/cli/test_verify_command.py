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


def test_the_table_names_artifact_verdict_and_reason(few_golden_path, capsys):
    assert main(["verify", str(few_golden_path), "--on", "local:litert-ref", "--quiet"]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    header, _, *rows = captured.out.splitlines()
    for word in ("artifact", "device", "runtime", "kernels", "max LSB", "top-1", "verdict", "reason"):
        assert word in header
    assert len(rows) == 2
    assert all("passed" in row for row in rows)
    assert "bit for bit those of the host" in captured.out


def test_artifacts_of_another_format_are_left_out_and_said_so(few_golden_path, capsys):
    assert main(["verify", str(few_golden_path), "--on", "local:litert-ref"]) == 0
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
        (["--update-baseline"], 2, "goes with --baseline FILE.json"),
        (["--baseline", "/nowhere/at/all/base.json"], 2, "write one with --update-baseline"),
        (["--baseline", "/nowhere/at/all/base.json", "--update-baseline"], 2, "there is no folder"),
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


def test_several_devices_make_a_matrix_of_a_terminals_width(bundle_path, capsys):
    assert main(["verify", str(bundle_path), "--on", "local", "--on", "local:onnxruntime", "--quiet"]) == 0
    header, rule, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["artifact", "local", "local:onnxruntime"]
    rows = {line.split()[0]: line for line in lines[:4]}
    assert rows["model.onnx"].split()[1:] == ["pass", "exact", "a"] * 2
    assert rows["model.tflite"].split()[-1] == "-"
    assert len(rule) <= 80


def test_a_failure_stands_below_the_matrix_in_one_line(wrong_path, capsys):
    assert main(["verify", str(wrong_path), "--on", "local", "--on", "local:litert", "--quiet"]) == 1
    out = capsys.readouterr().out
    assert out.count("FAIL ") == 2
    reasons = [line for line in out.splitlines() if line.startswith("FAILED model.tflite on ")]
    assert len(reasons) == 2


@pytest.fixture
def baseline(bundle_path, tmp_path, capsys):
    path = tmp_path / "baseline.json"
    options = ["verify", str(bundle_path), "--on", "local:onnxruntime", "--baseline", str(path)]
    assert main([*options, "--update-baseline"]) == 0
    assert f"baseline: {path}" in capsys.readouterr().err
    return path, options


def test_a_repeat_has_the_bits_of_its_baseline(baseline, capsys):
    _, options = baseline
    assert main([*options, "--quiet"]) == 0
    assert "Baseline: 2 of 2 with the same bits as then." in capsys.readouterr().out
    assert main([*options, "--json", "--quiet"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert {row["status"] for row in document["baseline"]} == {"same"}


def test_other_bits_from_the_same_file_version_and_kernels_are_a_regression(baseline, capsys):
    path, options = baseline
    document = json.loads(path.read_text())
    document["cells"][0]["output_sha256"] = "0" * 64
    path.write_text(json.dumps(document))
    assert main([*options, "--quiet"]) == 1
    out = capsys.readouterr().out
    assert out.count("REGRESSED") == 1
    assert "other bits than in the baseline from the same file, runtime version, kernels and CPU" in out


def test_a_failed_check_is_no_baseline(wrong_path, tmp_path, capsys):
    path = tmp_path / "baseline.json"
    assert main(["verify", str(wrong_path), "--baseline", str(path), "--update-baseline"]) == 1
    assert not path.exists()
    assert "not written: not every check passed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "not a readable baseline"),
        ("[]", "no baseline of edge_cnn"),
        ('{"name": "package"}', "no baseline of edge_cnn"),
        ('{"edge_cnn_baseline": 99}', "update edge_cnn"),
        ('{"edge_cnn_baseline": 1, "bundle": "x"}', "damaged baseline: KeyError"),
        ('{"edge_cnn_baseline": 1, "bundle": "x", "samples_sha256": "0", "cells": [7]}', "damaged baseline: TypeError"),
        ('{"edge_cnn_baseline": 1, "bundle": "x", "samples_sha256": "0", "cells": []}', "other golden samples"),
    ],
)
def test_what_is_no_baseline_of_this_bundle_is_one_line_and_left_alone(bundle_path, tmp_path, capsys, content, words):
    path = tmp_path / "baseline.json"
    path.write_text(content)
    status, err = one_line(capsys, main(["verify", str(bundle_path), "--baseline", str(path)]))
    assert status == 2
    assert words in err
    if "other golden samples" not in words:
        status, err = one_line(capsys, main(["verify", str(bundle_path), "--baseline", str(path), "--update-baseline"]))
        assert status == 2
    assert path.read_text() == content


def test_a_page_is_not_written_over_the_bundle(bundle_path, tmp_path, capsys):
    copy = tmp_path / "copy.edgecnn"
    copy.write_bytes(bundle_path.read_bytes())
    assert main(["verify", str(copy), "--report", str(copy)]) == 2
    assert "BUNDLE and --report are the same file" in capsys.readouterr().err
    assert copy.read_bytes() == bundle_path.read_bytes()


def test_all_names_what_is_not_ready(bundle_path, capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("EDGE_CNN_CACHE", str(tmp_path))
    assert main(["verify", str(bundle_path), "--on", "all", "--json"]) == 0
    captured = capsys.readouterr()
    document = json.loads(captured.out)
    assert {r["device"] for r in document["results"]} == {"local"}
    assert [row["device"] for row in document["not_ready"]] == ["qemu-aarch64", "qemu-armhf", "tflm", "tosa"]
    assert "tflm is left out: " in captured.err
    assert "make it ready with 'edge-cnn devices setup tflm'" in captured.err
