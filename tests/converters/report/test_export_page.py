"""The page of an export, read back from its text."""

from __future__ import annotations

import re

import pytest

from converters.report.attempt import Attempt
from converters.report.export_page import export_page
from converters.report.export_record import ExportRecord, attempts_of
from edge_cnn.core.bundle import Bundle, read_bundle


@pytest.fixture(scope="module")
def bundle(exported):
    return read_bundle(exported / "model.edgecnn")


def test_the_page_holds_every_file_its_figures_and_what_was_tried_on_the_way(bundle):
    tried = Attempt("int8, entropy", "tflite", "int8", 90_000, 0.5, 50.0, kept=False)
    record = ExportRecord(
        [*attempts_of(bundle), tried], 1000, {"model.tflite": {"conv": 40.0, "<dense>": 12.5}}, ["int8: drop 1.2 %"]
    )
    page = export_page(bundle, record)
    for entry, artifact in zip(bundle.manifest.artifacts, bundle.artifacts, strict=True):
        assert f"<td>{entry.name}</td><td>{entry.scheme}</td><td>{len(artifact.data):,}</td>" in page
    assert page.count("<svg") == 3
    assert "tried, not kept" in page
    assert "<li>int8: drop 1.2 %</li>" in page
    assert "&lt;dense&gt;" in page
    assert "<dense>" not in page
    assert bundle.manifest.provenance["calibration"]["fingerprint"] in page
    assert not re.search(r"(?:src|href)=\"https?:", page), "nothing from elsewhere"


def test_times_are_measured_for_each_file_by_its_own_kernels(bundle):
    attempts = attempts_of(bundle)
    assert all(attempt.latency_us > 0 for attempt in attempts)
    assert {attempt.kernels for attempt in attempts} == {"xnnpack", "ort-cpu"}


def test_without_golden_samples_there_is_no_picture_of_times(bundle):
    bare = Bundle(bundle.manifest, bundle.artifacts)
    page = export_page(bare, ExportRecord(attempts_of(bare), 1000))
    assert page.count("<svg") == 1
