"""Devices and bundles of the firmware suite: `pytest firmware_tests --device DEVICE [--device DEVICE ...]`.

Without --device it runs on all that this machine can offer: an environment without TensorFlow beside this one (the
folder that EDGE_CNN_DEVICE_VENV names, else .venv-device in the project), a board over SSH whose sshd the suite starts
on loopback, and what 'edge-cnn devices setup' has made ready. What is not there is skipped with the command that makes
it. Files of one's own are tested too: `--bundle FILE.edgecnn`.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_cnn.core.bundle import Bundle, read_bundle
from edge_cnn.core.errors import UnavailableError
from edge_cnn.core.samples import GoldenSamples
from edge_cnn.verify.devices.device import Device, check_runtime
from edge_cnn.verify.devices.ssh_connection import CONFIG_VARIABLE
from edge_cnn.verify.devices.table import DEVICE_KINDS, device_names, parse_device
from edge_cnn.verify.replay import judge
from edge_cnn.verify.verify_result import VerifyResult

ROOT = Path(__file__).resolve().parents[1]
MAKE_ENVIRONMENTS = "make device-envs"

LOOPBACK = "ssh-loopback"
"""Stands for the ssh:// address of the sshd that the suite starts, whose port is free by chance."""


def _of_the_unit_tests(path: str) -> Any:
    """A file of tests/ as a module: both suites export the same bundle, and find it in the same cache."""
    spec = importlib.util.spec_from_file_location(f"unit_tests_{Path(path).stem}", ROOT / "tests" / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


_shared, _sshd = _of_the_unit_tests("conftest.py"), _of_the_unit_tests("verify/ssh/loopback_sshd.py")
digits_split, exported, bundle_path = _shared.digits_split, _shared.exported, _shared.bundle_path


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("firmware")
    group.addoption(
        "--device", action="append", default=[], dest="edge_devices", metavar="DEVICE", help="as --edge-device"
    )
    group.addoption("--bundle", action="append", default=[], metavar="FILE", help="bundles to test beside our own")


def default_devices() -> list[str]:
    """An environment without TensorFlow, a board over SSH, and all that 'edge-cnn devices setup' makes ready here."""
    prepared = [kind.name for kind in DEVICE_KINDS.values() if kind.preparation is not None and not kind.opt_in]
    environment = f"venv:{os.environ.get('EDGE_CNN_DEVICE_VENV') or ROOT / '.venv-device'}"
    return [environment, LOOPBACK, *prepared]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "device_name" in metafunc.fixturenames:
        given = metafunc.config.getoption("edge_devices")
        environment, *others = default_devices()
        slow = [pytest.param(name, marks=pytest.mark.slow) for name in others]
        names = device_names(tuple(given)) if given else [environment, *slow]
        metafunc.parametrize("device_name", names, scope="session")
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
        way = "" if "make it ready with" in str(error) else f"; make it with: {MAKE_ENVIRONMENTS}"
        pytest.skip(f"{error}{way}")
    return device


@pytest.fixture(scope="session")
def device(device_name: str, request: pytest.FixtureRequest) -> Any:
    """Each DEVICE of the command line, or the default ones."""
    name = request.getfixturevalue("loopback_board") if device_name == LOOPBACK else device_name
    opened = open_device(name, was_asked_for=bool(request.config.getoption("edge_devices")))
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def loopback_board(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """DEVICE of a board on this machine. What its first use installs there is kept in pytest's cache folder."""
    missing = _sshd.what_is_missing()
    if missing:
        pytest.skip(missing)
    kept = getattr(request.config, "cache", None)
    cache = kept.mkdir("edge_cnn_board") if kept else tmp_path_factory.mktemp("cache")
    board = _sshd.LoopbackSshd(tmp_path_factory.mktemp("ssh") / "board", environment={"EDGE_CNN_CACHE": str(cache)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(CONFIG_VARIABLE, str(board.config))
        yield board.device
    board.stop()


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


@pytest.fixture(scope="session")
def judged() -> Callable[[Bundle, str, Device, str], VerifyResult]:
    """`judge`, once a session for the same bundle, artifact, device and runtime, and thinned out under an emulator."""
    known: dict[tuple[str, ...], VerifyResult] = {}

    def once(bundle: Bundle, name: str, device: Device, runtime: str) -> VerifyResult:
        key = (bundle.artifact(name).sha256, name, device.name, runtime)
        if key not in known:
            known[key] = judge(thinned(bundle) if device.emulated else bundle, name, device, runtime)
        return known[key]

    return once


def thinned(bundle: Bundle) -> Bundle:
    """The bundle with every fourth golden sample: an emulated replay of all of them takes a minute an artifact."""
    golden = bundle.golden
    assert golden is not None
    fewer = {name: array[::4] for name, array in golden.to_arrays().items()}
    few = GoldenSamples.from_arrays(fewer, len(bundle.manifest.labels), bundle.manifest.preprocessing.image_shape)
    return Bundle(bundle.manifest, bundle.artifacts, few)
