"""Devices and bundles of the firmware suite: `pytest firmware_tests --device DEVICE [--device DEVICE ...]`.

Without --device it runs in an environment without TensorFlow, beside this one: the folder that EDGE_CNN_DEVICE_VENV
names, else .venv-device in the project. Files of our own are tested too: `--bundle FILE.edgecnn`.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from typing import Any

import pytest

from edge_cnn.core.bundle import Bundle, read_bundle
from edge_cnn.core.errors import UnavailableError
from edge_cnn.verify.devices.device import Device, check_runtime
from edge_cnn.verify.devices.table import parse_device

ROOT = Path(__file__).resolve().parents[1]
MAKE_ENVIRONMENTS = "make device-envs"


def _fixtures_of_the_unit_tests() -> Any:
    """tests/conftest.py as a module: both suites export the same bundle, and find it in the same cache."""
    spec = importlib.util.spec_from_file_location("unit_test_fixtures", ROOT / "tests" / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_shared = _fixtures_of_the_unit_tests()
digits_split, exported, bundle_path = _shared.digits_split, _shared.exported, _shared.bundle_path


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("firmware")
    group.addoption("--device", action="append", default=[], metavar="DEVICE", help="where to run; may be repeated")
    group.addoption("--bundle", action="append", default=[], metavar="FILE", help="bundles to test beside our own")


def default_device() -> str:
    return f"venv:{os.environ.get('EDGE_CNN_DEVICE_VENV') or ROOT / '.venv-device'}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "device_name" in metafunc.fixturenames:
        names = metafunc.config.getoption("--device") or [default_device()]
        metafunc.parametrize("device_name", list(dict.fromkeys(names)), scope="session")
    if "firmware_path" in metafunc.fixturenames:
        files = [Path(name) for name in metafunc.config.getoption("--bundle")]
        metafunc.parametrize("given_bundle", [None, *files], ids=lambda f: f.name if f else "ours", scope="session")


def open_device(name: str, *, was_asked_for: bool) -> Device:
    """The device, ready. A default one that is not there skips the test; one that was asked for fails it."""
    try:
        device = parse_device(name)
        check_runtime(device)
    except UnavailableError as error:
        if was_asked_for:
            raise
        pytest.skip(f"{str(error).split(';')[0]}; make it with: {MAKE_ENVIRONMENTS}")
    return device


@pytest.fixture(scope="session")
def device(device_name: str, request: pytest.FixtureRequest) -> Any:
    """Each DEVICE of the command line, or the default one."""
    opened = open_device(device_name, was_asked_for=bool(request.config.getoption("--device")))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def tflite_runtime_device() -> Any:
    """The environment with tflite-runtime 2.14, which needs numpy<2 and so cannot share the default one."""
    path = os.environ.get("EDGE_CNN_TFLITE_VENV") or ROOT / ".venv-tflite"
    opened = open_device(f"venv:{path}:tflite-runtime", was_asked_for=False)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def firmware_path(given_bundle: Path | None, request: pytest.FixtureRequest) -> Path:
    """Our own bundle with int8 and float artifacts for TFLite and ONNX, and those of --bundle."""
    return given_bundle or request.getfixturevalue("bundle_path")


@pytest.fixture(scope="session")
def firmware(firmware_path: Path) -> Bundle:
    """What `firmware_path` holds."""
    return read_bundle(firmware_path)
