"""The plugin as a user's own suite sees it: pytest in a process of its own, in a folder of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

SUITE = """
import pytest

@pytest.mark.edge_cnn_bundle("copy.edgecnn")
def test_parity(edge_device):
    edge_device.verify().check()

@pytest.mark.edge_cnn_bundle("copy.edgecnn")
def test_my_own_images(edge_device):
    golden = edge_device.bundle.golden
    answers = edge_device.classifier().predict(golden.inputs).indices
    assert (answers == golden.labels).mean() > 0.9
"""


@pytest.fixture
def suite(tmp_path, bundle_path):
    """Runs pytest on SUITE, or another file, beside a copy of the bundle."""
    (tmp_path / "copy.edgecnn").write_bytes(bundle_path.read_bytes())

    def run(*arguments, source=SUITE):
        (tmp_path / "test_board.py").write_text(source)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--strict-markers", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)

    return run


@pytest.mark.slow  # starts pytest, and a device
def test_a_suite_runs_on_every_device_that_is_given(suite):
    child = suite("--edge-device", "local", "--edge-device", "local:litert-ref", "-rA")
    assert child.returncode == 0, child.stdout
    for name in ("test_parity[local]", "test_parity[local:litert-ref]", "test_my_own_images[local:litert-ref]"):
        assert f"PASSED test_board.py::{name}" in child.stdout


@pytest.mark.slow  # as above
def test_a_bundle_that_computes_something_else_fails_with_the_gates_words(suite, bundle, tmp_path):
    from dataclasses import replace

    from edge_cnn.core.bundle import Bundle

    outputs = {name: codes[::-1] for name, codes in bundle.golden.outputs.items()}
    child_bundle = Bundle(bundle.manifest, bundle.artifacts, replace(bundle.golden, outputs=outputs))
    child_bundle.write(tmp_path / "other.edgecnn")
    child = suite("-k", "parity", source=SUITE.replace("copy.edgecnn", "other.edgecnn"))
    assert child.returncode == 1
    assert "ToleranceError: model" in child.stdout


def test_a_device_that_is_not_there_is_an_error_and_no_skip(suite):
    child = suite("--edge-device", "venv:nowhere", "-k", "parity")
    assert child.returncode == 1
    assert "no Python at" in child.stdout
    assert "skipped" not in child.stdout


def test_a_test_without_a_bundle_is_told_how_to_name_one(suite):
    child = suite(source="def test_parity(edge_device):\n    pass\n")
    assert child.returncode == 1
    assert "@pytest.mark.edge_cnn_bundle('model.edgecnn') or give --edge-bundle" in child.stdout


def test_the_command_line_names_the_bundle_of_all_tests(suite):
    source = "def test_bundle(edge_cnn_bundle):\n    assert edge_cnn_bundle.name == 'copy.edgecnn'\n"
    child = suite("--edge-bundle", "copy.edgecnn", source=source)
    assert child.returncode == 0, child.stdout


def test_loading_the_plugin_imports_nothing_of_weight():
    code = (
        "import sys, edge_cnn.verify.pytest_plugin; print([m for m in ('numpy', 'click', 'PIL') if m in sys.modules])"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert child.stdout.strip() == "[]"
