"""Virtual environments that compilers live in, as compilers speak of them."""

from __future__ import annotations

import os

from edge_cnn.core.errors import CompilerMissingError, DeviceUnavailableError
from edge_cnn.verify.devices.preparation import OnStep
from edge_cnn.verify.devices.virtual_environment import VirtualEnvironment

_ADVICE = "or leave the compiler out with --no-compile"


def check_environment(environment: VirtualEnvironment) -> None:
    """Raises: CompilerMissingError: it is not there, and there are no wheels for this Python or machine."""
    if environment.missing() is None:
        return
    try:
        environment.check_wheels()
    except DeviceUnavailableError as error:
        raise CompilerMissingError(f"{error}, {_ADVICE}") from error


def make_ready(environment: VirtualEnvironment, on_step: OnStep) -> None:
    """Make it at the first use. Raises: CompilerMissingError: it cannot be made here."""
    try:
        environment.setup(on_step)
    except DeviceUnavailableError as error:
        raise CompilerMissingError(f"{error}, {_ADVICE}") from error


def variables() -> dict[str, str]:
    """For a process there: not this one's own PYTHONPATH, since what is on it was installed for another Python."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"PYTHONNOUSERSITE": "1"}
