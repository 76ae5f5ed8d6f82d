"""The page of an export, read back from its text."""

from __future__ import annotations

import re

import numpy as np
import pytest

from converters.report.attempt import Attempt
from converters.report.export_page import export_page
from converters.report.export_record import ExportRecord, Search, attempts_of
from converters.report.layer_noise import layer_sqnr_db
from edge_cnn.core.bundle import Bundle, read_bundle


@pytest.fixture(scope="module")
def bundle(exported):
    return read_bundle(exported / "model.edgecnn")


def test_the_page_holds_every_file_its_figures_and_what_was_tried_on_the_way(bundle):
    tries = (
        Attempt("plain", "tflite", "int8", 90_000, 0.5, kept=False),
        Attempt("equalized", "tflite", "int8", 91_000, 0.9),
    )
    search = Search("model.tflite", 77, tries, "equalized")
    layers = {"model.tflite": {"conv": 40.0, "<dense>": 12.5}}
    page = export_page(bundle, ExportRecord(attempts_of(bundle), 1000, layers, [search]))
    for entry, artifact in zip(bundle.manifest.artifacts, bundle.artifacts, strict=True):
        assert f"<td>{entry.name}</td><td>{entry.scheme}</td><td>{len(artifact.data):,}</td>" in page
    assert page.count("<svg") == 4
    assert "<td>plain</td><td>90,000</td><td>50.00 %</td>" in page
    assert "on 77 training samples" in page
    assert "Chosen: equalized." in page
    assert "&lt;dense&gt;" in page
    assert "<dense>" not in page
    assert bundle.manifest.provenance["calibration"]["fingerprint"] in page
    assert "{&#39;" not in page, "no Python values"
    assert not re.search(r"(?:src|href)=\"https?:", page), "nothing from elsewhere"


def test_times_are_measured_for_each_file_by_its_own_kernels(bundle):
    attempts = attempts_of(bundle)
    assert all(attempt.latency_us > 0 for attempt in attempts)
    assert {attempt.kernels for attempt in attempts} == {"xnnpack", "ort-cpu"}


def test_without_golden_samples_there_is_no_picture_of_times(bundle):
    bare = Bundle(bundle.manifest, bundle.artifacts)
    page = export_page(bare, ExportRecord(attempts_of(bare), 1000))
    assert page.count("<svg") == 1


def test_an_equalized_file_is_compared_with_the_float_model_scaled_likewise(depthwise_graph, digits_split):
    from converters.calibration.ranges import ranges_of
    from converters.calibration.samples import Calibration
    from converters.improvement.equalization import equalize
    from converters.schemes.integer_quantizer import quantize_to_int8
    from tests.converters.skewed_nets import digits16

    inputs = digits16(digits_split[0]).images[:40] / np.float32(255)
    files = [
        quantize_to_int8(g, ranges_of(g, Calibration(inputs)))
        for g in (depthwise_graph, equalize(depthwise_graph).graph)
    ]
    plain, equalized = (layer_sqnr_db(depthwise_graph, file, inputs[:8]) for file in files)
    assert plain.keys() == equalized.keys()
    assert min(plain.values()) > 10
    assert all(equalized[name] > plain[name] - 6 for name in plain), (plain, equalized)
