"""Make an emulated Linux machine ready: Debian's Python, wheels and an emulator in the cache folder, without root."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import subprocess
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_cnn.core.atomic_file import write_atomically
from edge_cnn.core.errors import DeviceUnavailableError
from edge_cnn.verify.devices.debian_packages import missing_tools, unpack_packages
from edge_cnn.verify.devices.emulated_guests import RECIPE, Guest, Site
from edge_cnn.verify.devices.emulated_linux import GuestFolder, python_command
from edge_cnn.verify.devices.guest_wheels import install_wheels
from edge_cnn.verify.devices.preparation import OnStep
from edge_cnn.verify.devices.qemu_user import fetch_emulator, find_emulator

START_LIMIT_S = 300

_SITECUSTOMIZE = """\
# Python runs this at its start.
import resource
import sys

# When a guest crashes, the emulator writes a core file beside the kernel's; some 170 MB in the current folder.
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
# Children are started with this, and the host's kernel cannot run the guest's own Python.
sys.executable = {launcher!r}
"""

_CHECK = """\
import importlib, subprocess, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
from edge_cnn.device.runtimes.table import RUNTIMES
print(*(row.name for row in RUNTIMES.values() if row.is_installed()))
subprocess.run([sys.executable, "-c", ""], check=True)
"""


@dataclass(frozen=True)
class EmulatedLinux:
    """The preparation of one guest; its parts are made one after the other, and each is marked when it is whole."""

    guest: Guest

    def missing(self) -> str | None:
        folder = GuestFolder(self.guest)
        stamp = folder.read_stamp()
        if stamp is None:
            return missing_tools() or "it is not set up"
        if stamp.get("wanted") != self._wanted():
            return missing_tools() or "it was set up for other versions, or in another place"
        emulator = Path(str(stamp["emulator"]))
        parts = [emulator, folder.python, folder.launcher, *(folder.site(site) for site in self.guest.sites)]
        absent = [str(path) for path in parts if not path.exists()]
        return f"{absent[0]} is gone" if absent else None

    def setup(self, on_step: OnStep) -> None:
        folder = GuestFolder(self.guest)
        try:
            folder.path.mkdir(parents=True, exist_ok=True)
            with _alone(folder.path / ".lock"):
                self._make(folder, on_step)
        except OSError as error:
            raise DeviceUnavailableError(
                f"cannot make {self.guest.name} in {folder.path}: {error.strerror or error}; make room there, or set "
                "EDGE_CNN_CACHE to another folder"
            ) from error

    def _make(self, folder: GuestFolder, on_step: OnStep) -> None:
        guest = self.guest
        if self.missing() is not None:
            # From here on it is half made, whatever it was.
            folder.stamp.unlink(missing_ok=True)
        steps: list[tuple[str, Callable[[], None]]] = []
        if find_emulator(guest.emulator) is None:
            steps.append(("fetching QEMU", lambda: fetch_emulator(guest.emulator)))
        root_recipe = {
            "recipe": RECIPE,
            "architecture": guest.architecture,
            "packages": guest.packages,
            "links": guest.links,
            "cpuinfo": guest.cpuinfo,
        }
        if not _is_made(folder.root, root_recipe):
            text = f"fetching Debian's Python for {guest.architecture}"
            steps.append((text, lambda: _make_part(folder.root, root_recipe, self._make_root)))
        for site in guest.sites:
            recipe = {"recipe": RECIPE, "wheels": site.wheels, "platforms": guest.platforms}
            place = folder.site(site)
            if not _is_made(place, recipe):

                def install(place: Path = place, recipe: dict[str, Any] = recipe, site: Site = site) -> None:
                    _make_part(place, recipe, lambda path: install_wheels(site.wheels, guest.platforms, path))

                steps.append((f"fetching {', '.join(site.wheels)}", install))
        steps.append(("starting it", lambda: self._start(folder)))
        for done, (text, step) in enumerate(steps):
            on_step(done, len(steps), text)
            step()

    def _make_root(self, root: Path) -> None:
        guest = self.guest
        root.mkdir()
        unpack_packages(guest.packages, guest.architecture, root)
        for place, target in guest.links:
            (root / place).unlink(missing_ok=True)
            (root / place).symlink_to(target)
        # The emulator looks for every file below its root first.
        (root / "proc").mkdir(exist_ok=True)
        (root / "proc" / "cpuinfo").write_text(guest.cpuinfo + "\n")

    def _start(self, folder: GuestFolder) -> None:
        """Start each site once, which also makes the bytecode, then say that all is ready."""
        guest = self.guest
        emulator = find_emulator(guest.emulator)
        if emulator is None:
            raise DeviceUnavailableError(f"{guest.emulator} has gone; set {guest.name} up again")
        launch = f'#!/bin/sh\nexec {shlex.quote(str(emulator))} {shlex.quote(str(folder.python))} "$@"\n'
        write_atomically(folder.launcher, launch.encode())
        folder.launcher.chmod(0o755)
        for site in guest.sites:
            place = folder.site(site)
            text = _SITECUSTOMIZE.format(launcher=str(folder.launcher))
            write_atomically(place / "sitecustomize.py", text.encode())
            fault = _fault(guest, site, emulator)
            if fault:
                # What is broken is not known, so the next set-up makes both anew.
                for part in (folder.root, place):
                    _mark(part).unlink(missing_ok=True)
                folder.stamp.unlink(missing_ok=True)
                raise DeviceUnavailableError(
                    f"{guest.name} was made and does not work, {emulator.name} with {', '.join(site.wheels)}: {fault}; "
                    "run the set-up again"
                )
        stamp = {"wanted": self._wanted(), "emulator": str(emulator)}
        write_atomically(folder.stamp, json.dumps(stamp, indent=1).encode())

    def _wanted(self) -> dict[str, Any]:
        wanted = {**self.guest.to_json(), "path": str(GuestFolder(self.guest).path)}
        return json.loads(json.dumps(wanted))


def _fault(guest: Guest, site: Site, emulator: Path) -> str | None:
    """What goes wrong when a site is started, if anything."""
    modules = (*site.modules, "edge_cnn.device.agent", "edge_cnn.verify.replay", "edge_cnn.cli.main")
    command = [*python_command(guest, site, emulator, guest.cpu), "-P", "-c", _CHECK, *modules]
    try:
        result = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=START_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it did not start within {START_LIMIT_S} s"
    if result.returncode != 0:
        said = [line.strip() for line in result.stderr.splitlines() if line.strip()]
        return said[-1] if said else f"it ended with status {result.returncode}"
    found = result.stdout.split()
    if sorted(found) != sorted(site.runtimes):
        return f"it has the runtimes {', '.join(found) or 'none'}, not {', '.join(site.runtimes)}"
    return None


def _mark(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _is_made(part: Path, recipe: dict[str, Any]) -> bool:
    try:
        return part.is_dir() and json.loads(_mark(part).read_text()) == json.loads(json.dumps(recipe))
    except (OSError, ValueError):
        return False


def _make_part(part: Path, recipe: dict[str, Any], make: Callable[[Path], None]) -> None:
    """Make a folder anew, and mark it when it is whole."""
    _mark(part).unlink(missing_ok=True)
    if part.exists():
        shutil.rmtree(part)
    part.parent.mkdir(parents=True, exist_ok=True)
    make(part)
    write_atomically(_mark(part), json.dumps(recipe).encode())


@contextlib.contextmanager
def _alone(lock: Path) -> Generator[None]:
    """Wait for another set-up of the same device; the kernel frees the lock of one that died."""
    import fcntl

    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
