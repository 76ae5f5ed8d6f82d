"""`qemu-aarch64`, `qemu-armhf`: Linux on ARM by QEMU's user mode, which emulates the processor and not the machine.

qemu-aarch64                            LiteRT and ONNX Runtime
qemu-aarch64:tflite-runtime             its own site folder, for numpy<2; likewise tflite-runtime-ref
qemu-armhf                              tflite-runtime
qemu-aarch64:litert:cpu=max             another processor model, for diagnosis: its answers may be wrong
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_cnn.core.errors import DeviceUnavailableError, InputError
from edge_cnn.device.runtimes.table import find_runtime
from edge_cnn.verify.devices.agent_device import AgentDevice
from edge_cnn.verify.devices.device_side import device_side_folder
from edge_cnn.verify.devices.emulated_guests import AARCH64, ARMHF, PYTHON, Guest, Site
from edge_cnn.verify.devices.preparation import cache_folder

_UNSET = ("LD_PRELOAD", "LD_LIBRARY_PATH", "PYTHONHOME", "PYTHONDONTWRITEBYTECODE")
"""Of the host's variables: its libraries are for another processor, and bytecode must be kept, since making it anew
costs an emulated start most of its time."""

_CPU_MODEL = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True)
class GuestFolder:
    """Where a guest lives in the cache folder."""

    guest: Guest

    @property
    def path(self) -> Path:
        return cache_folder() / "devices" / self.guest.name

    @property
    def root(self) -> Path:
        """The guest's file system."""
        return self.path / "root"

    @property
    def python(self) -> Path:
        """Its Python, a program for ARM."""
        return self.root / "usr" / "bin" / PYTHON

    @property
    def launcher(self) -> Path:
        """A script for this machine that starts `python` in the emulator with the variables that it finds."""
        return self.path / "python"

    @property
    def stamp(self) -> Path:
        """What was set up, written when all of it works."""
        return self.path / "ready.json"

    def site(self, site: Site) -> Path:
        return self.path / "sites" / site.name

    def read_stamp(self) -> dict[str, Any] | None:
        """What was set up and works, None where nothing does."""
        try:
            stamp: dict[str, Any] = json.loads(self.stamp.read_text())
        except (OSError, ValueError):
            return None
        return stamp


def python_command(guest: Guest, site: Site, emulator: Path, cpu: str) -> tuple[str, ...]:
    """What starts the guest's Python with a site and this edge_cnn; arguments of Python may follow.

    Raises:
        OSError: the cache folder cannot be written.
    """
    folder = GuestFolder(guest)
    # The emulator reads its options from variables too. Unlike options, variables reach the guest's own children.
    return (
        "env",
        *(word for name in _UNSET for word in ("-u", name)),
        f"QEMU_LD_PREFIX={folder.root}",
        f"QEMU_CPU={cpu}",
        f"PYTHONPATH={folder.site(site)}:{device_side_folder()}",
        # The user's own packages are for the host's Python of the same version.
        "PYTHONNOUSERSITE=1",
        str(emulator),
        str(folder.python),
    )


def parse_aarch64(text: str, rest: str, limit_s: float) -> AgentDevice:
    """`qemu-aarch64[:RUNTIME][:cpu=MODEL]`. Raises: as `parse_guest`."""
    return parse_guest(AARCH64, text, rest, limit_s)


def parse_armhf(text: str, rest: str, limit_s: float) -> AgentDevice:
    """`qemu-armhf[:RUNTIME][:cpu=MODEL]`. Raises: as `parse_guest`."""
    return parse_guest(ARMHF, text, rest, limit_s)


def parse_guest(guest: Guest, text: str, rest: str, limit_s: float) -> AgentDevice:
    """DEVICE -> a device that an emulator runs.

    Args:
        guest: a row of the table of guests.
        text: DEVICE as the user typed it.
        rest: what stands behind the first colon.
        limit_s: seconds that one request may take.

    Raises:
        InputError: unknown runtime, or no such form.
        RuntimeUnavailableError: the guest has not that runtime.
        DeviceUnavailableError: it is not set up.
    """
    runtime, cpu = _read_options(guest, text, rest)
    site = guest.site_of(runtime)
    stamp = GuestFolder(guest).read_stamp()
    if stamp is None:
        raise DeviceUnavailableError(f"device {text!r} is not set up; run 'edge-cnn devices setup {guest.name}'")
    emulator = Path(str(stamp["emulator"]))
    advice = f"make it anew with 'edge-cnn devices setup {guest.name}'"
    if cpu is not None:
        advice = f"see '{emulator} -cpu help' for MODEL in cpu=MODEL"
    try:
        python = python_command(guest, site, emulator, cpu or guest.cpu)
    except OSError as error:
        raise DeviceUnavailableError(
            f"device {text!r}: cannot write {error.filename or cache_folder()}: {error.strerror}; "
            "set EDGE_CNN_CACHE to a folder that can be written"
        ) from error
    return AgentDevice(text, python, advice, runtime, limit_s, emulated=True)


def _read_options(guest: Guest, text: str, rest: str) -> tuple[str | None, str | None]:
    runtime = cpu = None
    for word in rest.split(":") if ":" in text else []:
        key, equals, value = word.partition("=")
        if equals:
            if key != "cpu" or cpu is not None or not _CPU_MODEL.fullmatch(value):
                raise _no_such_form(guest, text)
            cpu = value
        elif runtime is not None or cpu is not None:
            raise _no_such_form(guest, text)
        else:
            runtime = find_runtime(word).name
    return runtime, cpu


def form(guest: Guest) -> str:
    """How users type it."""
    return f"{guest.name}[:RUNTIME][:cpu=MODEL]"


def _no_such_form(guest: Guest, text: str) -> InputError:
    return InputError(f"device {text!r} cannot be read; the known form is {form(guest)}")
