"""SwiftShader, a Vulkan driver that computes on the CPU, out of Debian's Chromium; nothing is installed on the host."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from edge_cnn.core.errors import DeviceUnavailableError

PACKAGE = "chromium-common"
FILES = ("libvk_swiftshader.so", "vk_swiftshader_icd.json", "libvulkan.so.1")
"""The driver, its description and the loader that finds it by that."""

FOLDER = "vulkan"
LIMIT_S = 600


def add_swiftshader(folder: Path) -> None:
    """Put `FILES` into `folder`/vulkan.

    Raises:
        DeviceUnavailableError: this is no Debian, or its package index cannot be reached or lacks the package.
        OSError: the folder cannot be written.
    """
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = Path(name)
        # apt downloads as a user of its own where it can, and that one must get in.
        work.chmod(0o777)
        _run(["apt-get", "download", "--quiet", PACKAGE], work)
        packages = list(work.glob("*.deb"))
        if not packages:
            raise DeviceUnavailableError(f"apt-get brought no {PACKAGE}; see what 'apt-get download {PACKAGE}' says")
        _run(["dpkg", "-x", packages[0].name, "unpacked"], work)
        target = folder / FOLDER
        target.mkdir()
        for file in FILES:
            found = next((work / "unpacked").rglob(file), None)
            if found is None:
                raise DeviceUnavailableError(f"{packages[0].name} holds no {file}; it needs Debian's own {PACKAGE}")
            found.rename(target / file)


def _run(command: list[str], folder: Path) -> None:
    environment = os.environ | {"LC_ALL": "C"}
    try:
        child = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=LIMIT_S
        )
    except FileNotFoundError as error:
        raise DeviceUnavailableError(f"there is no {command[0]}; it needs Debian or one of its kin") from error
    except subprocess.TimeoutExpired as error:
        raise DeviceUnavailableError(f"{command[0]} took more than {LIMIT_S} s; look at the network") from error
    if child.returncode != 0:
        said = [line for line in child.stderr.splitlines() if line.startswith("E: ")] or ["it said nothing"]
        raise DeviceUnavailableError(
            f"'{' '.join(command[:2])} {PACKAGE}' failed: {said[-1].removeprefix('E: ')}; try 'apt-get update' as root"
        )
