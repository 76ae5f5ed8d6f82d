"""A folder that looks like /sys of a board."""

import os

import pytest

from edge_cnn.device.throttle_state import parse_get_throttled, read_throttle_state


def put(folder, path, text):
    file = folder / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.fixture
def no_programs(monkeypatch):
    monkeypatch.setenv("PATH", "")


@pytest.mark.usefixtures("no_programs")
def test_a_board_tells_temperatures_in_degrees_and_clocks_in_mhz(tmp_path):
    put(tmp_path, "class/thermal/thermal_zone0/type", "cpu-thermal\n")
    put(tmp_path, "class/thermal/thermal_zone0/temp", "48686\n")
    put(tmp_path, "class/thermal/thermal_zone1/temp", "-2000\n")
    put(tmp_path, "class/thermal/cooling_device0/cur_state", "0\n")
    for core, khz in (("cpu0", 1_500_000), ("cpu1", 600_000), ("cpu10", 1_800_000)):
        put(tmp_path, f"devices/system/cpu/{core}/cpufreq/scaling_cur_freq", f"{khz}\n")
        put(tmp_path, f"devices/system/cpu/{core}/cpufreq/cpuinfo_max_freq", "1800000\n")
        put(tmp_path, f"devices/system/cpu/{core}/thermal_throttle/core_throttle_count", "2\n")
    put(tmp_path, "devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "1\n")
    assert read_throttle_state(tmp_path) == {
        "temperature_c": {"cpu-thermal 0": 48.686, "zone 1": -2.0},
        "frequency_mhz": {"cpu0": 1500.0, "cpu1": 600.0, "cpu10": 1800.0},
        "max_frequency_mhz": 1800.0,
        "events": 6,
        "firmware": None,
    }


@pytest.mark.usefixtures("no_programs")
def test_a_system_without_sensors_tells_nothing(tmp_path):
    put(tmp_path, "class/thermal/thermal_zone0/temp", "")
    put(tmp_path, "class/thermal/thermal_zone1/temp", "asleep")
    assert read_throttle_state(tmp_path) == {
        "temperature_c": {},
        "frequency_mhz": {},
        "max_frequency_mhz": None,
        "events": None,
        "firmware": None,
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("throttled=0x0\n", []),
        ("throttled=0x1", ["under-voltage"]),
        ("throttled=0x50005", ["under-voltage", "throttled"]),
        # What once was, since the start of the board, is not now.
        ("throttled=0x70000", []),
        ("throttled=0xe", ["frequency capped", "throttled", "soft temperature limit"]),
        ("VCHI initialization failed", None),
        ("throttled=hot", None),
        ("", None),
    ],
)
def test_the_firmware_of_a_raspberry_pi_is_read_by_its_bits(text, words):
    assert parse_get_throttled(text) == words


def test_the_firmware_is_asked_where_its_program_is_there(tmp_path, monkeypatch):
    program = tmp_path / "bin" / "vcgencmd"
    put(tmp_path, "bin/vcgencmd", '#!/bin/sh\n[ "$1" = get_throttled ] && echo throttled=0x4\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}/bin{os.pathsep}/usr/bin")
    assert read_throttle_state(tmp_path)["firmware"] == ["throttled"]


def test_a_firmware_that_does_not_answer_is_no_failure(tmp_path, monkeypatch):
    put(tmp_path, "bin/vcgencmd", "not a program")
    (tmp_path / "bin" / "vcgencmd").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    assert read_throttle_state(tmp_path)["firmware"] is None
