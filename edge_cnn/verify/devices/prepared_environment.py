"""Devices that are a virtual environment with one runtime in it, made in the cache folder: one row each."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from edge_cnn.core.errors import DeviceUnavailableError, InputError
from edge_cnn.device.runtimes.table import RUNTIMES
from edge_cnn.verify.devices.agent_device import AgentDevice
from edge_cnn.verify.devices.device_side import device_side_folder
from edge_cnn.verify.devices.preparation import OnStep, cache_folder
from edge_cnn.verify.devices.virtual_environment import VirtualEnvironment, python_of


@dataclass(frozen=True)
class PreparedEnvironment:
    """A virtual environment in the cache folder: a `Preparation`, and the parser of its DEVICE.

    Attributes:
        name: DEVICE, and the name of its folder.
        runtime: RUNTIME that it is there for.
        requirements: for pip, with exact versions, so that two machines compute the same.
        pythons: minor versions of Python 3 that there are wheels for.
        machines: (sys.platform, platform.machine()) that there are wheels for.
        megabytes: what it takes on the disk, about.
        emulated: it stands in for hardware, so its times say nothing.
        variables: environment variables of the agent, beside this process's own; {folder} stands for its folder.
        addition: what beside Python packages goes into its folder, in words, and the function that puts it there.
    """

    name: str
    runtime: str
    requirements: tuple[str, ...]
    pythons: tuple[int, ...]
    machines: tuple[tuple[str, str], ...]
    megabytes: int
    emulated: bool = False
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    addition: tuple[str, Callable[[Path], None]] | None = None

    @property
    def folder(self) -> Path:
        return cache_folder() / "devices" / self.name

    @property
    def environment(self) -> VirtualEnvironment:
        """What makes its folder."""
        return VirtualEnvironment(
            f"device {self.name!r}",
            self.folder,
            self.requirements,
            self.pythons,
            self.machines,
            self.megabytes,
            (f"does {self.runtime} load?", self._check_runtime),
            self.addition,
        )

    def missing(self) -> str | None:
        """As `Preparation.missing`."""
        return self.environment.missing()

    def setup(self, on_step: OnStep) -> None:
        """As `Preparation.setup`. Raises: DeviceUnavailableError: as `VirtualEnvironment.setup`."""
        self.environment.setup(on_step)

    def parse(self, text: str, rest: str, limit_s: float) -> AgentDevice:
        """DEVICE -> a device.

        Raises:
            InputError: something stands behind the name.
        """
        if rest or ":" in text:
            raise InputError(f"device {text!r}: there is one runtime in it, {self.runtime}; type {self.name}")
        return self._device(self.folder, limit_s)

    def _device(self, folder: Path, limit_s: float) -> AgentDevice:
        # Not this process's own PYTHONPATH: what is on it was installed for another environment.
        own = {"PYTHONPATH": str(device_side_folder()), "PYTHONNOUSERSITE": "1"}
        return AgentDevice(
            self.name,
            (str(python_of(folder)),),
            f"delete {self.folder} and make it again with 'edge-cnn devices setup {self.name}'",
            self.runtime,
            limit_s,
            self.emulated,
            os.environ | own | {name: value.replace("{folder}", str(folder)) for name, value in self.variables.items()},
        )

    def _check_runtime(self, folder: Path) -> None:
        device = self._device(folder, 120.0)
        try:
            held = device.runtimes(RUNTIMES[self.runtime].format)
        except DeviceUnavailableError as error:
            raise self.environment.failed(f"the agent does not start there: {error}", "is the disk full?") from error
        finally:
            device.close()
        if self.runtime not in held:
            raise self.environment.failed(
                f"{', '.join(self.requirements)} brought no {self.runtime}", "update edge_cnn"
            )
