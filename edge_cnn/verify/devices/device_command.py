"""The command line `edge-cnn` on a device that shares this machine's files: an environment, an emulated machine."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from edge_cnn.core.errors import DeviceFailedError, DeviceUnavailableError
from edge_cnn.verify.devices.agent_device import AgentDevice


def edge_cnn_command(device: AgentDevice, words: Sequence[str | Path]) -> tuple[str, ...]:
    """The argument list that runs `edge-cnn WORDS` there; paths are this machine's."""
    # As for the agent: files of the current folder are none of the device's.
    return (*device.python, "-P", "-m", "edge_cnn", *map(str, words))


def run_edge_cnn(
    device: AgentDevice, words: Sequence[str | Path], *, limit_s: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `edge-cnn WORDS` there and wait; its exit status is in the result, whatever it is.

    Args:
        device: that shares this machine's files.
        words: arguments of the command line.
        limit_s: seconds that it may take, by default those of a request to the device.

    Raises:
        DeviceUnavailableError: the device's Python cannot be started.
        DeviceFailedError: it took too long and was stopped.
    """
    limit = device.limit_s if limit_s is None else limit_s
    try:
        return subprocess.run(
            edge_cnn_command(device, words),
            env=device.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    except OSError as error:
        raise DeviceUnavailableError(
            f"device {device.name!r}: cannot start {device.python[0]}: {error.strerror}; {device.advice}"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise DeviceFailedError(
            f"edge-cnn {words[0]} took more than {limit:g} s on {device.name!r} and was stopped; give it more time"
        ) from error
