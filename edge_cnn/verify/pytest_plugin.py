"""pytest plugin: a test suite of your own that runs your bundle on your devices.

    @pytest.mark.edge_cnn_bundle("model.edgecnn")     # from the folder of the test file; or --edge-bundle FILE
    def test_parity(edge_device):
        edge_device.verify().check()

`pytest --edge-device local --edge-device ssh://pi@raspberrypi` runs it on both. The default is `local`.
"""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Imported late, by the fixtures: pytest loads this module in every test run on a machine that has edge_cnn.
if TYPE_CHECKING:
    from edge_cnn.verify.bundle_on_device import BundleOnDevice
    from edge_cnn.verify.devices.device import Device

DEFAULT_DEVICE = "local"


def pytest_addoption(parser: pytest.Parser) -> None:
    """--edge-device and --edge-bundle."""
    group = parser.getgroup("edge_cnn")
    group.addoption(
        "--edge-device",
        action="append",
        default=[],
        dest="edge_devices",
        metavar="DEVICE",
        help="where edge_device runs the bundle, as 'edge-cnn devices' lists them; may be repeated; default: local",
    )
    group.addoption(
        "--edge-bundle", dest="edge_bundle", metavar="FILE", help="the bundle of tests without an edge_cnn_bundle mark"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark."""
    config.addinivalue_line(
        "markers", "edge_cnn_bundle(path): the .edgecnn file of edge_device, from the folder of the test file"
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One run of the test a device."""
    if "edge_device_name" in metafunc.fixturenames:
        from edge_cnn.verify.devices.table import device_names

        given: list[str] = metafunc.config.getoption("edge_devices") or [DEFAULT_DEVICE]
        metafunc.parametrize("edge_device_name", device_names(tuple(given)), scope="session")


@pytest.fixture(scope="session")
def edge_opened_device(edge_device_name: str) -> Generator[Device]:
    """One device, open for the whole session: starting one takes seconds, and under an emulator more."""
    from edge_cnn.core.errors import EdgeCnnError
    from edge_cnn.verify.devices.device import check_runtime
    from edge_cnn.verify.devices.table import parse_device

    try:
        device = parse_device(edge_device_name)
    except EdgeCnnError as error:
        pytest.fail(str(error), pytrace=False)
    try:
        try:
            check_runtime(device)
        except EdgeCnnError as error:
            pytest.fail(str(error), pytrace=False)
        yield device
    finally:
        device.close()


@pytest.fixture
def edge_cnn_bundle(request: pytest.FixtureRequest) -> Path:
    """Path of the bundle that the mark, or else --edge-bundle, names."""
    mark = request.node.get_closest_marker("edge_cnn_bundle")
    if mark is not None:
        if len(mark.args) != 1 or mark.kwargs:
            pytest.fail("edge_cnn_bundle takes one path, for example @pytest.mark.edge_cnn_bundle('model.edgecnn')")
        return request.path.parent / mark.args[0]
    given: str | None = request.config.getoption("edge_bundle")
    if given is None:
        pytest.fail("no bundle: mark the test with @pytest.mark.edge_cnn_bundle('model.edgecnn') or give --edge-bundle")
    return Path(given)


@pytest.fixture
def edge_device(edge_opened_device: Device, edge_cnn_bundle: Path) -> BundleOnDevice:
    """The bundle on the device: `.verify()`, `.classifier()`, `.device`, `.bundle`."""
    from edge_cnn.verify.bundle_on_device import BundleOnDevice

    return BundleOnDevice(edge_cnn_bundle, edge_opened_device)
