import os
import subprocess
import sys
from pathlib import Path

import pytest

import edge_cnn
from edge_cnn.core.tolerance import KERNEL_FAMILIES, default_tolerances
from edge_cnn.verify.tolerance_page import page

ROOT = Path(edge_cnn.__file__).parents[1]


def test_the_page_in_the_documentation_says_what_the_code_does():
    written = (ROOT / "docs" / "tolerances.md").read_text()
    assert written == page(), "make it anew: python -m edge_cnn.verify.tolerance_page docs/tolerances.md"


@pytest.mark.parametrize("format", ["tflite", "onnx"])
@pytest.mark.parametrize("quantized", [True, False])
def test_every_bound_has_its_reason_on_the_page(format, quantized):
    recorded_by = {"tflite": "litert-ref", "onnx": "ort-cpu"}[format]
    rows = page().splitlines()
    for family, tolerance in default_tolerances(format, quantized=quantized, recorded_by=recorded_by).items():
        assert tolerance.reason
        found = [r for r in rows if r.startswith(f"| {family} |") and r.endswith(f"| {tolerance.reason} |")]
        assert found, family
        bound = f"| {tolerance.max_lsb} LSB |" if quantized else f"| {tolerance.max_abs:g} of the peak |"
        assert any(bound in row for row in found)


def test_every_kernel_family_is_on_the_page():
    text = page()
    assert all(f"| {family} |" in text for family in KERNEL_FAMILIES)


def test_the_page_is_made_by_the_command_that_it_names(tmp_path):
    command = page().split("`")[3].split()
    assert command[:2] == ["python", "-m"]
    target = tmp_path / "tolerances.md"
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, *command[1:-1], str(target)], check=True, env=environment, timeout=60)
    assert target.read_text() == page()
