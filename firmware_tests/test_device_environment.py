"""The device side must need no training framework: the default environment has none to fall back on."""

import subprocess
from pathlib import Path

import pytest

FRAMEWORKS = ("tensorflow", "keras", "scipy", "sklearn", "onnx", "matplotlib")

IMPORT_EVERYTHING = f"""
import importlib, pkgutil, sys
import edge_cnn.core, edge_cnn.device
for package in (edge_cnn.core, edge_cnn.device):
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(package.__name__ + "." + module.name)
print([name for name in {FRAMEWORKS!r} if name in sys.modules])
print([name for name in {FRAMEWORKS!r} if importlib.util.find_spec(name)])
"""


@pytest.fixture
def python(device):
    """The device's interpreter."""
    command = getattr(device, "python", None)
    if not device.name.startswith("venv:") or command is None:
        pytest.skip("only an environment on this machine has an interpreter to ask")
    return command[0]


def run(python, *arguments):
    return subprocess.run([python, "-P", *arguments], capture_output=True, text=True, timeout=120, check=False)


def test_the_device_side_imports_no_framework(python):
    child = run(python, "-c", IMPORT_EVERYTHING)
    assert child.returncode == 0, child.stderr
    assert child.stdout.splitlines()[0] == "[]"


def test_the_default_environment_has_no_framework(python, request):
    if request.config.getoption("edge_devices"):
        pytest.skip("an environment of one's own may hold what it likes")
    child = run(python, "-c", IMPORT_EVERYTHING)
    assert child.stdout.splitlines()[1] == "[]", child.stderr


def test_the_command_line_runs_there(python, firmware_path):
    child = run(python, "-m", "edge_cnn", "verify", str(Path(firmware_path)), "--quiet")
    assert child.returncode == 0, child.stderr
    assert "passed" in child.stdout
