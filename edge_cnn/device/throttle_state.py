"""Temperatures, clock frequencies and throttle events, as far as the system tells them.

Sources: the kernel's documentation of /sys/class/thermal and of cpufreq; the documentation of Raspberry Pi OS for the
bits of `vcgencmd get_throttled`.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

SYS = Path("/sys")

FIRMWARE_BITS = {
    0: "under-voltage",
    1: "frequency capped",
    2: "throttled",
    3: "soft temperature limit",
}
"""Bits of `vcgencmd get_throttled` that hold now; the same plus 16 hold since the start of the board."""


def read_throttle_state(sys_folder: Path = SYS) -> dict[str, Any]:
    """JSON values of this moment, for a comparison of before and after.

    Returns:
        temperature_c: sensor -> degrees Celsius; frequency_mhz: core -> MHz of its clock now; max_frequency_mhz: of the
        fastest core, or None; events: throttle events that the kernel counted since it started, or None; firmware: what
        a Raspberry Pi's firmware reports to hold now, or None where it is not asked.
    """
    cores = sorted((sys_folder / "devices/system/cpu").glob("cpu[0-9]*"))
    limits = [khz for core in cores if (khz := _integer(core / "cpufreq/cpuinfo_max_freq")) is not None]
    events = [n for core in cores if (n := _integer(core / "thermal_throttle/core_throttle_count")) is not None]
    return {
        "temperature_c": _temperatures(sys_folder / "class/thermal"),
        "frequency_mhz": {
            core.name: khz / 1e3 for core in cores if (khz := _integer(core / "cpufreq/scaling_cur_freq")) is not None
        },
        "max_frequency_mhz": max(limits) / 1e3 if limits else None,
        "events": sum(events) if events else None,
        "firmware": _firmware(),
    }


def _temperatures(folder: Path) -> dict[str, float]:
    temperatures: dict[str, float] = {}
    for zone in sorted(folder.glob("thermal_zone*")):
        millidegrees = _integer(zone / "temp")
        if millidegrees is not None:
            # Several zones may be of one type, hence the number.
            temperatures[f"{_text(zone / 'type') or 'zone'} {zone.name.removeprefix('thermal_zone')}"] = (
                millidegrees / 1e3
            )
    return temperatures


def _firmware() -> list[str] | None:
    program = shutil.which("vcgencmd")
    if program is None:
        return None
    try:
        child = subprocess.run([program, "get_throttled"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return parse_get_throttled(child.stdout)


def parse_get_throttled(text: str) -> list[str] | None:
    """ "throttled=0x50005" -> what holds now; None where the text is something else."""
    _, equals, value = text.strip().partition("throttled=")
    try:
        bits = int(value, 16) if equals else None
    except ValueError:
        return None
    return None if bits is None else [words for bit, words in FIRMWARE_BITS.items() if bits >> bit & 1]


def _integer(path: Path) -> int | None:
    try:
        return int(_text(path))
    except ValueError:
        return None


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:  # Not there, or a sensor that answers with an error while it sleeps.
        return ""
