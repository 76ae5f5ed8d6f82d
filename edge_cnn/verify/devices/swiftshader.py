"""SwiftShader, a Vulkan driver that computes on the CPU, out of Debian's Chromium; nothing is installed on the host."""

from __future__ import annotations

import tempfile
from pathlib import Path

from edge_cnn.core.errors import DeviceUnavailableError
from edge_cnn.verify.devices.debian_packages import unpack_packages

PACKAGE = "chromium-common"
FILES = ("libvk_swiftshader.so", "vk_swiftshader_icd.json", "libvulkan.so.1")
"""The driver, its description and the loader that finds it by that."""

FOLDER = "vulkan"


def add_swiftshader(folder: Path) -> None:
    """Put `FILES` into `folder`/vulkan.

    Raises:
        DeviceUnavailableError: this is no Debian, or its package index cannot be reached or lacks the package.
        OSError: the folder cannot be written.
    """
    with tempfile.TemporaryDirectory(dir=folder, prefix=".chromium-") as name:
        # The browser's own dependencies are many, and the driver has none of them.
        unpack_packages([PACKAGE], "amd64", Path(name), dependencies=False)
        found = [next(Path(name).rglob(file), None) for file in FILES]
        absent = [file for file, path in zip(FILES, found, strict=True) if path is None]
        if absent:
            raise DeviceUnavailableError(f"{PACKAGE} holds no {', '.join(absent)}; it must be that of Debian 12")
        target = folder / FOLDER
        target.mkdir()
        for path in found:
            assert path is not None
            path.rename(target / path.name)
