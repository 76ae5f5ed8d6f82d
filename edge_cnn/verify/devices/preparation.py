"""How a device is made ready on this machine, and the folder where prepared devices live."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

OnStep = Callable[[int, int, str], None]
"""Told of each step as it begins: steps done, steps in all, the step in words."""


class Preparation(Protocol):
    """One kind of device that can be made ready here."""

    def missing(self) -> str | None:
        """None where it is ready, else what is missing, for a person. Cheap: looks, starts nothing."""
        ...

    def setup(self, on_step: OnStep) -> None:
        """Make it ready; goes on where an interrupted one stopped, and leaves a half-made one not ready.

        Raises:
            DeviceUnavailableError: it cannot be made ready here; the message says what to do.
        """
        ...


def cache_folder() -> Path:
    """Where prepared devices live: EDGE_CNN_CACHE, else the user's cache folder (XDG Base Directory Specification)."""
    given = os.environ.get("EDGE_CNN_CACHE")
    if given:
        return Path(given).expanduser().absolute()
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "edge_cnn"
