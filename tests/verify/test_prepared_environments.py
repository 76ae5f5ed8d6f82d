import dataclasses
import json
import os
import platform
import sys
import venv
from collections import namedtuple

import pytest

from edge_cnn.core.errors import DeviceUnavailableError, InputError
from edge_cnn.device.runtimes.table import RUNTIMES
from edge_cnn.verify.devices import environments
from edge_cnn.verify.devices.device_side import device_side_folder
from edge_cnn.verify.devices.prepared_environment import PreparedEnvironment
from edge_cnn.verify.devices.swiftshader import FILES, add_swiftshader
from edge_cnn.verify.devices.table import DEVICE_KINDS, parse_device, ready_devices
from edge_cnn.verify.devices.virtual_environment import STAMP

HERE = (sys.platform, platform.machine())
ROWS = [value for value in vars(environments).values() if isinstance(value, PreparedEnvironment)]


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """An empty cache folder."""
    monkeypatch.setenv("EDGE_CNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def row():
    """An environment for this very Python and machine, of a package that no index has."""
    return PreparedEnvironment("tflm", "tflm", ("edge-cnn-nothing==1.0",), (sys.version_info[1],), (HERE,), megabytes=1)


def made(row, requirements=None):
    """The folder as `setup` leaves it, with an environment in which nothing is installed."""
    venv.create(row.folder, symlinks=True)
    (row.folder / STAMP).write_text(json.dumps({"requirements": requirements or list(row.requirements)}))


def setup_error(row):
    """The one line that a setup fails with, once it has left nothing behind."""
    steps = []
    with pytest.raises(DeviceUnavailableError) as caught:
        row.setup(lambda *step: steps.append(step))
    assert row.missing() is not None
    assert not row.folder.exists()
    assert not row.folder.parent.exists() or list(row.folder.parent.iterdir()) == []
    message = str(caught.value)
    assert message.startswith(f"device {row.name!r} cannot be made ready: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_pins_its_versions_and_names_a_runtime_that_there_is(row):
    assert DEVICE_KINDS[row.name].preparation is row
    assert row.runtime in RUNTIMES
    assert all("==" in requirement for requirement in row.requirements)
    assert row.emulated


def test_what_is_not_made_is_not_ready_and_says_what_it_would_take(row):
    assert row.missing() == "an environment with edge-cnn-nothing==1.0, about 1 MB"
    with pytest.raises(DeviceUnavailableError, match=r"edge-cnn devices setup tosa") as caught:
        parse_device("tosa")
    assert "\n" not in str(caught.value)
    assert ready_devices() == ["local"]


def test_an_environment_is_ready_by_its_stamp_alone(row):
    made(row)
    assert row.missing() is None
    (row.folder / STAMP).unlink()
    assert row.missing() is not None


@pytest.mark.parametrize("stamp", ["", "[]", "{}", '{"requirements": 1}', "\x00"])
def test_a_stamp_that_is_damaged_is_none(row, stamp):
    made(row)
    (row.folder / STAMP).write_text(stamp)
    assert row.missing() is not None


def test_an_environment_of_other_versions_is_not_ready(row):
    made(row, ["edge-cnn-nothing==0.9"])
    assert "edge-cnn-nothing==1.0" in row.missing()


def test_an_environment_whose_python_went_away_is_not_ready(row):
    made(row)
    for link in (row.folder / "bin").glob("python*"):
        link.unlink()
    assert "Python that its environment was made with is gone" in row.missing()


def test_setting_up_what_is_ready_starts_nothing(row):
    made(row)
    steps = []
    row.setup(lambda *step: steps.append(step))
    assert steps == []


def test_a_python_without_wheels_is_told_which_ones_have_them(row, monkeypatch):
    version = namedtuple("version", "major minor")
    monkeypatch.setattr(sys, "version_info", version(3, 15))
    message = setup_error(dataclasses.replace(row, pythons=(11, 12, 13)))
    assert "no wheels for Python 3.15; run edge-cnn with Python 3.11, 3.12, 3.13" in message


def test_a_machine_without_wheels_is_told_which_ones_have_them(row, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    assert "no wheels for linux on riscv64; it needs linux on x86_64" in setup_error(
        dataclasses.replace(row, machines=(("linux", "x86_64"),))
    ).replace(sys.platform, "linux")


@pytest.mark.slow
def test_a_package_index_that_lacks_the_wheel_is_told_in_one_line(row, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    assert "there is no wheel here, pip says 'ERROR: No matching distribution found for edge-cnn-nothing==1.0'" in (
        setup_error(row)
    )


@pytest.mark.slow
def test_a_package_index_that_cannot_be_reached_is_told_in_one_line(row, monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_RETRIES", "1")
    assert "the package index cannot be reached; connect to the network" in setup_error(row)


@pytest.mark.slow
def test_an_environment_without_its_runtime_is_not_ready(row):
    # Nothing to install: the agent cannot even import numpy there.
    assert "the agent does not start there" in setup_error(dataclasses.replace(row, requirements=("pip",)))


def test_a_cache_that_cannot_be_written_is_told_in_one_line(row, cache):
    cache.write_text("a file, not a folder")
    with pytest.raises(DeviceUnavailableError, match=r"cannot be made ready: .*cache"):
        row.setup(lambda *_: None)


def test_what_others_left_half_made_is_removed_once_it_is_old(row):
    old, new = (row.folder.parent / f".tflm-{name}" for name in ("old", "new"))
    for folder in (old, new):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    row.environment._forget_half_made()
    assert not old.exists()
    assert new.exists()


def test_the_agent_gets_this_edge_cnn_and_nothing_of_this_environment(row, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "/somewhere/site-packages")
    with_variable = dataclasses.replace(row, variables={"LIBRARIES": "{folder}/vulkan"})
    device = with_variable.parse("tflm", "", 5.0)
    assert device.python == (str(row.folder / "bin" / "python"),)
    assert device.environment["PYTHONPATH"] == str(device_side_folder())
    assert device.environment["LIBRARIES"] == f"{row.folder}/vulkan"
    assert device.wanted_runtime == "tflm"
    assert device.name == "tflm"


@pytest.mark.parametrize("text", ["tflm:", "tflm:litert"])
def test_nothing_stands_behind_the_name(row, text):
    with pytest.raises(InputError, match="type tflm"):
        row.parse(text, text.partition(":")[2], 5.0)


def test_swiftshader_says_that_it_needs_debian(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeviceUnavailableError, match="apt-get and dpkg not found"):
        add_swiftshader(tmp_path)


APT_GET = """#!/bin/sh
case "$*" in
  *update*) ;;
  *"download chromium-common") {download} ;;
  *) echo "E: nobody asked for $*" >&2; exit 100 ;;
esac
"""
DPKG = """#!/bin/sh
mkdir -p "$3/usr/lib/chromium"
for file in {files}; do echo "$file" > "$3/usr/lib/chromium/$file"; done
"""


@pytest.fixture
def debian(tmp_path, monkeypatch):
    """Programs that play apt-get and dpkg: what `download` does, and which files the package holds."""

    def play(*, download="touch chromium-common_1_amd64.deb", files=FILES):
        folder = tmp_path / "bin"
        folder.mkdir()
        scripts = {"apt-get": APT_GET.format(download=download), "dpkg": DPKG.format(files=" ".join(files))}
        for name, text in scripts.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        target = tmp_path / "environment"
        target.mkdir()
        return target

    return play


def test_swiftshader_is_three_files_of_one_package(debian):
    target = debian(files=(*FILES, "chrome-sandbox"))
    add_swiftshader(target)
    assert [path.name for path in target.iterdir()] == ["vulkan"]
    assert sorted(path.name for path in (target / "vulkan").iterdir()) == sorted(FILES)


@pytest.mark.parametrize(
    ("play", "detail"),
    [
        ({"download": "echo 'E: Unable to locate package chromium-common' >&2; exit 100"}, "have no chromium-common"),
        ({"download": "true"}, "fetched none of chromium-common"),
        ({"files": FILES[1:]}, "chromium-common holds no libvk_swiftshader.so"),
    ],
)
def test_a_machine_whose_chromium_lacks_swiftshader_is_told(debian, play, detail):
    target = debian(**play)
    with pytest.raises(DeviceUnavailableError, match=detail):
        add_swiftshader(target)
    assert list(target.iterdir()) == []


@pytest.mark.slow
def test_tflm_is_made_ready_in_an_empty_cache_and_runs(cache, bundle_path):
    """The whole of it; what pip downloaded before comes from its own cache."""
    from edge_cnn.verify.replay import verify

    steps = []
    try:
        environments.TFLM.setup(lambda done, total, what: steps.append((done, total, what)))
    except DeviceUnavailableError as error:
        if "no wheels" in str(error) or "cannot be reached" in str(error):
            pytest.skip(str(error))
        raise
    assert [step[:2] for step in steps] == [(0, 3), (1, 3), (2, 3)]
    assert environments.TFLM.missing() is None
    assert [path.name for path in (cache / "devices").iterdir()] == ["tflm"]
    assert "tflm" in ready_devices()
    assert verify(bundle_path, "tflm").passed
