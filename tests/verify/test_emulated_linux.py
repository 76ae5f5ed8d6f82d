"""What of the emulated machines needs none: names, command lines, and a set-up with programs that play apt and QEMU."""

import json
import os
import re
from pathlib import Path

import pytest

from edge_cnn.core.errors import DeviceUnavailableError, InputError, RuntimeUnavailableError
from edge_cnn.device.runtimes.table import RUNTIMES
from edge_cnn.verify.devices import emulated_linux_setup
from edge_cnn.verify.devices.device_command import edge_cnn_command
from edge_cnn.verify.devices.device_side import device_side_folder
from edge_cnn.verify.devices.emulated_guests import AARCH64, ARMHF
from edge_cnn.verify.devices.emulated_linux_setup import EmulatedLinux
from edge_cnn.verify.devices.table import find_kind, parse_device, ready_devices

ROOT = Path(__file__).resolve().parents[2]

APT_GET = """
folder=$(dirname "$APT_CONFIG")
echo "$@" >> "$FAKES/apt.log"
cp "$APT_CONFIG" "$FAKES/apt.conf"
case "$*" in
*update*) printf '%s' "$FAKE_UPDATE_SAYS" >&2; exit "${FAKE_UPDATE:-0}";;
esac
[ -z "$FAKE_INSTALL_SAYS" ] || { echo "$FAKE_INSTALL_SAYS" >&2; exit 100; }
touch "$folder/archives/python3.11-minimal_3.11.2_arm64.deb"
"""
DPKG = """
case "$1" in
--print-architecture) echo amd64;;
-x) [ -z "$FAKE_DPKG_SAYS" ] || { echo "$FAKE_DPKG_SAYS" >&2; exit 2; }
    mkdir -p "$3/usr/bin"; touch "$3/usr/bin/python3.11" "$3/usr/lib";;
esac
"""
QEMU = """
[ -z "$FAKE_GUEST_SAYS" ] || { echo "$FAKE_GUEST_SAYS" >&2; exit 139; }
case "$PYTHONPATH" in
*sites/tflite-runtime:*) echo tflite-runtime tflite-runtime-ref;;
*) echo litert litert-ref onnxruntime;;
esac
"""


@pytest.fixture
def fakes(tmp_path, monkeypatch):
    """A cache folder, and a folder first on PATH whose programs play apt-get, dpkg and QEMU."""
    folder = tmp_path / "fakes"
    folder.mkdir()
    for name, text in {"apt-get": APT_GET, "dpkg": DPKG, "qemu-aarch64-static": QEMU}.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("FAKES", str(folder))
    monkeypatch.setenv("EDGE_CNN_CACHE", str(tmp_path / "cache, of mine"))
    monkeypatch.delenv("EDGE_CNN_APT_SOURCES", raising=False)
    return folder


@pytest.fixture
def wheels(monkeypatch):
    """Takes pip's place and remembers what it was asked for."""
    asked = []

    def install(pins, platforms, folder):
        del platforms
        asked.append(pins)
        folder.mkdir(parents=True)

    monkeypatch.setattr(emulated_linux_setup, "install_wheels", install)
    return asked


@pytest.fixture
def ready(fakes, wheels):
    """A set-up qemu-aarch64, played."""
    del wheels
    EmulatedLinux(AARCH64).setup(lambda *_: None)
    return fakes


def silent(*_):
    """Nobody listens to the steps."""


def variables(command):
    return dict(word.split("=", 1) for word in command if "=" in word)


def test_a_machine_that_is_not_set_up_comes_with_the_command(fakes):
    del fakes
    with pytest.raises(DeviceUnavailableError, match="make it ready with 'edge-cnn devices setup qemu-aarch64'"):
        parse_device("qemu-aarch64")
    assert "qemu-aarch64" not in ready_devices()


def test_a_machine_that_is_set_up_is_one_of_all(ready):
    del ready
    assert ready_devices().count("qemu-aarch64") == 1
    assert parse_device("qemu-aarch64").emulated


def test_the_emulator_starts_the_guests_own_python_and_packages(ready, monkeypatch):
    monkeypatch.setenv("LD_PRELOAD", "libhost.so")
    cache = Path(os.environ["EDGE_CNN_CACHE"])
    command = parse_device("qemu-aarch64").python
    machine = cache / "devices" / "qemu-aarch64"
    assert command[-2:] == (str(ready / "qemu-aarch64-static"), str(machine / "root/usr/bin/python3.11"))
    given = variables(command)
    assert given["QEMU_CPU"] == "cortex-a72"
    assert given["QEMU_LD_PREFIX"] == str(machine / "root")
    assert given["PYTHONPATH"] == f"{machine}/sites/litert-onnxruntime:{device_side_folder()}"
    assert command[command.index("LD_PRELOAD") - 1] == "-u"


def test_the_runtime_chooses_the_site(ready):
    del ready
    for runtime, site in (("onnxruntime", "litert-onnxruntime"), ("tflite-runtime", "tflite-runtime")):
        device = parse_device(f"qemu-aarch64:{runtime}")
        assert device.wanted_runtime == runtime
        assert f"/sites/{site}:" in variables(device.python)["PYTHONPATH"]


def test_another_processor_model_is_only_taken_when_it_is_named(ready):
    del ready
    for name, runtime in (("qemu-aarch64:cpu=max", None), ("qemu-aarch64:litert:cpu=max", "litert")):
        device = parse_device(name)
        assert (device.name, device.wanted_runtime) == (name, runtime)
        assert variables(device.python)["QEMU_CPU"] == "max"
    assert "max" not in {AARCH64.cpu, ARMHF.cpu}


@pytest.mark.parametrize("rest", ["litert:litert", "cpu=max:litert", "cpu=", "cpu=a b", "cpu=a:cpu=b", "model=max"])
def test_a_form_that_cannot_be_read_is_refused_with_the_one_that_can(ready, rest):
    del ready
    with pytest.raises(InputError, match=r"known form is qemu-aarch64\[:RUNTIME\]\[:cpu=MODEL\]"):
        parse_device(f"qemu-aarch64:{rest}")


@pytest.mark.parametrize("rest", ["", "tensorflow"])
def test_an_unknown_runtime_is_refused(ready, rest):
    del ready
    with pytest.raises(InputError, match="unknown runtime"):
        parse_device(f"qemu-aarch64:{rest}")


def test_a_runtime_that_has_no_wheels_there_is_not_installed_there():
    with pytest.raises(RuntimeUnavailableError, match=r"no runtime 'litert'; it runs tflite-runtime, tflite-runtime-r"):
        ARMHF.site_of("litert")


def test_the_command_line_runs_there_too(ready):
    del ready
    device = parse_device("qemu-aarch64")
    assert edge_cnn_command(device, ("inspect", Path("a.tflite"))) == (
        *device.python,
        *("-P", "-m", "edge_cnn", "inspect", "a.tflite"),
    )


def test_the_names_of_the_data_sets_travel_with_the_device_side(fakes):
    del fakes
    # `finetune --data` may get one, so the command imports them wherever it runs.
    assert (device_side_folder() / "edge_cnn/host/datasets/__init__.py").is_file()


@pytest.mark.parametrize("guest", [AARCH64, ARMHF], ids=lambda guest: guest.name)
def test_wheels_are_the_versions_that_were_tested_together(guest):
    tested = dict(
        re.fullmatch(r"([\w.-]+)==(\S+)", line).groups()
        for line in (ROOT / "constraints.txt").read_text().lower().splitlines()
        if line and not line.startswith("#")
    )
    for site in guest.sites:
        for pin in site.wheels:
            name, version = pin.split("==")
            # tflite-runtime 2.14 is older than numpy 2, and this is the last numpy before that.
            assert version == tested[name] or (site.name, pin) == ("tflite-runtime", "numpy==1.26.4")


@pytest.mark.parametrize("guest", [AARCH64, ARMHF], ids=lambda guest: guest.name)
def test_sites_hold_runtimes_that_exist_and_every_kind_has_its_preparation(guest):
    assert {name for site in guest.sites for name in site.runtimes} <= set(RUNTIMES)
    kind = find_kind(guest.name)
    assert kind.preparation == EmulatedLinux(guest)
    assert not kind.opt_in


def test_a_set_up_tells_its_steps_and_leaves_the_host_alone(fakes, wheels):
    told = []
    EmulatedLinux(AARCH64).setup(lambda *step: told.append(step))
    assert [done for done, _, _ in told] == list(range(len(told)))
    assert {total for _, total, _ in told} == {len(told)}
    assert "arm64" in told[0][2]
    assert wheels == [site.wheels for site in AARCH64.sites]
    config = (fakes / "apt.conf").read_text()
    folder = re.search(r'Dir::State "(.+)";', config)[1]
    assert folder.startswith(os.environ["EDGE_CNN_CACHE"])
    assert 'APT::Architecture "arm64";' in config
    assert "--download-only" in (fakes / "apt.log").read_text()
    root = Path(os.environ["EDGE_CNN_CACHE"]) / "devices/qemu-aarch64/root"
    assert "CPU part\t: 0xd08" in (root / "proc/cpuinfo").read_text()
    assert not Path(folder).exists(), "packages are not kept once they are unpacked"


def test_a_second_set_up_fetches_nothing(ready, wheels):
    before = (ready / "apt.log").read_text()
    wheels.clear()
    EmulatedLinux(AARCH64).setup(silent)
    assert (ready / "apt.log").read_text() == before
    assert wheels == []


def test_an_interrupted_set_up_is_not_ready_and_goes_on_where_it_stopped(fakes, wheels, monkeypatch):
    machine = EmulatedLinux(AARCH64)
    working = emulated_linux_setup.install_wheels

    def interrupted(pins, platforms, folder):
        if "tflite-runtime==2.14.0" in pins:
            folder.mkdir()
            (folder / "half").touch()
            raise KeyboardInterrupt
        working(pins, platforms, folder)

    monkeypatch.setattr(emulated_linux_setup, "install_wheels", interrupted)
    with pytest.raises(KeyboardInterrupt):
        machine.setup(silent)
    assert machine.missing() == "it is not set up"
    monkeypatch.setattr(emulated_linux_setup, "install_wheels", working)
    fetched = (fakes / "apt.log").read_text()
    machine.setup(silent)
    assert machine.missing() is None
    assert (fakes / "apt.log").read_text() == fetched
    assert wheels == [site.wheels for site in AARCH64.sites], "each once, though the second one twice"
    assert not (Path(os.environ["EDGE_CNN_CACHE"]) / "devices/qemu-aarch64/sites/tflite-runtime/half").exists()


def test_a_machine_of_other_versions_is_not_ready(ready):
    del ready
    stamp = Path(os.environ["EDGE_CNN_CACHE"]) / "devices/qemu-aarch64/ready.json"
    stamp.write_text(json.dumps(json.loads(stamp.read_text().replace("numpy==2.4.6", "numpy==2.4.5"))))
    assert EmulatedLinux(AARCH64).missing() == "it was set up for other versions, or in another place"
    stamp.write_text("{")
    assert EmulatedLinux(AARCH64).missing() == "it is not set up"


def test_a_machine_of_which_a_part_is_gone_is_not_ready(ready):
    (ready / "qemu-aarch64-static").unlink()
    assert EmulatedLinux(AARCH64).missing() == f"{ready / 'qemu-aarch64-static'} is gone"


def test_a_guest_that_does_not_start_is_not_ready_and_is_made_anew(fakes, wheels, monkeypatch):
    machine = EmulatedLinux(AARCH64)
    monkeypatch.setenv("FAKE_GUEST_SAYS", "qemu: uncaught target signal 11")
    with pytest.raises(DeviceUnavailableError, match=r"does not work, .*: qemu: uncaught target signal 11; run"):
        machine.setup(silent)
    assert machine.missing() == "it is not set up"
    monkeypatch.delenv("FAKE_GUEST_SAYS")
    fetched = (fakes / "apt.log").read_text()
    machine.setup(silent)
    assert machine.missing() is None
    assert (fakes / "apt.log").read_text() != fetched
    assert len(wheels) > len(AARCH64.sites)


def test_a_site_without_its_runtime_does_not_work(fakes, wheels):
    del wheels
    (fakes / "qemu-aarch64-static").write_text("#!/bin/sh\necho litert litert-ref\n")
    with pytest.raises(DeviceUnavailableError, match="it has the runtimes litert, litert-ref, not litert, litert-ref"):
        EmulatedLinux(AARCH64).setup(silent)


@pytest.mark.parametrize(
    ("update", "install", "told"),
    [
        (
            "",
            "E: Unable to locate package python3.11-minimal",
            "have no python3.11-minimal for arm64, Debian 12's have",
        ),
        ("", "E: Package 'libgomp1' has no installation candidate", "have no libgomp1 for arm64"),
        (
            "W: Failed to fetch http://host/InRelease  Temporary failure resolving 'host'",
            "E: Unable to locate package python3.11-minimal",
            "cannot fetch packages for arm64: Temporary failure resolving 'host'; check the network",
        ),
        ("", "E: You don't have enough free space in /x.", "You don't have enough free space in /x.; mend it"),
    ],
    ids=["no package", "no candidate", "no network", "no room"],
)
def test_what_apt_cannot_do_is_told_in_one_line(fakes, wheels, monkeypatch, update, install, told):
    del fakes, wheels
    monkeypatch.setenv("FAKE_UPDATE_SAYS", update)
    monkeypatch.setenv("FAKE_INSTALL_SAYS", install)
    with pytest.raises(DeviceUnavailableError) as error:
        EmulatedLinux(AARCH64).setup(silent)
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert error.value.exit_status == 3


def test_lists_that_cannot_be_fetched_do_not_matter_where_the_packages_come_from_others(fakes, wheels, monkeypatch):
    del wheels
    monkeypatch.setenv("FAKE_UPDATE", "100")
    monkeypatch.setenv("FAKE_UPDATE_SAYS", "E: Failed to fetch http://host/Packages.xz  Mirror sync in progress?")
    EmulatedLinux(AARCH64).setup(silent)
    assert EmulatedLinux(AARCH64).missing() is None
    assert (fakes / "apt.log").read_text().count("update") == 2, "tried once more"


def test_a_package_that_cannot_be_unpacked_is_told(fakes, wheels, monkeypatch):
    del fakes, wheels
    monkeypatch.setenv("FAKE_DPKG_SAYS", "dpkg-deb: error: No space left on device")
    with pytest.raises(DeviceUnavailableError, match="dpkg -x failed: dpkg-deb: error: No space left on device; make"):
        EmulatedLinux(AARCH64).setup(silent)


def test_another_list_of_sources_can_be_named(fakes, wheels, monkeypatch, tmp_path):
    del wheels
    monkeypatch.setenv("EDGE_CNN_APT_SOURCES", str(tmp_path / "none.list"))
    with pytest.raises(DeviceUnavailableError, match=r"EDGE_CNN_APT_SOURCES names no file: .*none\.list"):
        EmulatedLinux(AARCH64).setup(silent)
    (tmp_path / "none.list").touch()
    EmulatedLinux(AARCH64).setup(silent)
    assert f'Dir::Etc::sourcelist "{tmp_path}/none.list";' in (fakes / "apt.conf").read_text()


def test_a_machine_without_apt_says_what_it_needs(fakes, monkeypatch):
    del fakes
    monkeypatch.setenv("PATH", "/nowhere")
    assert EmulatedLinux(AARCH64).missing() == "apt-get and dpkg not found, it needs a Debian or Ubuntu host"
    with pytest.raises(DeviceUnavailableError, match="it needs a Debian or Ubuntu host"):
        EmulatedLinux(AARCH64).setup(silent)


def test_without_an_emulator_on_path_debians_is_fetched_for_this_processor(fakes, wheels, monkeypatch):
    del wheels
    emulator = (fakes / "qemu-aarch64-static").read_text()
    (fakes / "qemu-aarch64-static").unlink()
    (fakes / "program").write_text(emulator)
    (fakes / "dpkg").write_text(
        f'#!/bin/sh\n{DPKG}\n[ "$1" = -x ] && cp "$FAKES/program" "$3/usr/bin/qemu-aarch64-static" '
        '&& chmod 755 "$3/usr/bin/qemu-aarch64-static"\nexit 0\n'
    )
    # Only what a shell needs, in case that QEMU is installed here.
    (fakes / "needed").mkdir()
    for name in ("env", "sh", "dirname", "cp", "mkdir", "touch", "chmod"):
        found = next(p / name for p in (Path("/bin"), Path("/usr/bin")) if (p / name).exists())
        (fakes / "needed" / name).symlink_to(found)
    monkeypatch.setenv("PATH", f"{fakes}{os.pathsep}{fakes / 'needed'}")
    machine, told = EmulatedLinux(AARCH64), []
    machine.setup(lambda *step: told.append(step[2]))
    assert told[0] == "fetching QEMU"
    assert "qemu-user-static" in (fakes / "apt.log").read_text().splitlines()[1]
    kept = Path(os.environ["EDGE_CNN_CACHE"]) / "devices/qemu-user/qemu-aarch64-static"
    assert str(kept) in parse_device("qemu-aarch64").python
    assert machine.missing() is None


def test_a_cache_folder_that_cannot_be_written_is_told(fakes, wheels, monkeypatch, tmp_path):
    del fakes, wheels
    (tmp_path / "file").touch()
    monkeypatch.setenv("EDGE_CNN_CACHE", str(tmp_path / "file"))
    with pytest.raises(DeviceUnavailableError, match="set EDGE_CNN_CACHE to another folder"):
        EmulatedLinux(AARCH64).setup(silent)
