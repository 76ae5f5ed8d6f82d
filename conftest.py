"""How tests are shared out where pytest-xdist runs them in several processes (`pytest -n 2 --dist loadgroup`).

The tests of a file stay together, as they share what its fixtures make; so do those of a folder that share a board.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

# Hypothesis gives an example 200 ms else, which a busy machine exceeds.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

ROOT = Path(__file__).resolve().parent
TOGETHER = ("firmware_tests", "tests/verify/ssh")
"""Folders whose tests share a board, which its first use makes ready; firmware_tests share a tuned emulator too."""


def pytest_configure(config: pytest.Config) -> None:
    if config.pluginmanager.hasplugin("xdist"):
        # Else the files with the most tests come first, which are not those that take longest.
        config.option.loadscopereorder = False


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the groups
def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # the order of a run in one process stays
        return
    slow = {_group(item) for item in items if item.get_closest_marker("slow")}
    # What takes longest goes first, so that no worker is left alone with it in the end.
    items.sort(key=lambda item: (_group(item) not in TOGETHER, _group(item) not in slow))
    for item in items:
        item.add_marker(pytest.mark.xdist_group(_group(item)))


def _group(item: pytest.Item) -> str:
    path = item.path.relative_to(ROOT).as_posix() if item.path.is_relative_to(ROOT) else str(item.path)
    return next((folder for folder in TOGETHER if path.startswith(f"{folder}/")), path)
