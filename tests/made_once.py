"""What takes long to make and is the same in every session, kept in pytest's cache folder."""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.source_fingerprint import fingerprint_of

SECONDS_KEPT = 24 * 3600
"""Since it was last used."""


def made_once(
    request: pytest.FixtureRequest,
    factory: pytest.TempPathFactory,
    name: str,
    recipe: str,
    make: Callable[[Path], None],
) -> Path:
    """The folder that `make` fills, from the cache where the module `recipe` and all that it imports are the same.

    Of several sessions or workers that want it at once, one makes it and the others wait.
    """
    folder = _cache(request, factory) / f"edge_cnn_{name}" / fingerprint_of(recipe)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.is_dir():
            made = factory.mktemp("making")
            make(made)
            _keep(made, folder)
        os.utime(folder)
    return folder


def _cache(request: pytest.FixtureRequest, factory: pytest.TempPathFactory) -> Path:
    keeper = getattr(request.config, "cache", None)  # None with -p no:cacheprovider
    if keeper is not None:
        return keeper.mkdir("edge_cnn")
    base = factory.getbasetemp()
    # The workers of pytest-xdist have folders of their own in one that they share.
    return base.parent if "PYTEST_XDIST_WORKER" in os.environ else base


def _keep(made: Path, folder: Path) -> None:
    """Move `made` to `folder` at once, so that no part of it is ever taken for the whole; forget what is old."""
    for stale in folder.parent.iterdir():
        if stale.is_dir() and time.time() - stale.stat().st_mtime > SECONDS_KEPT:
            shutil.rmtree(stale, ignore_errors=True)
    beside = folder.with_name(f"{folder.name}-part")
    shutil.rmtree(beside, ignore_errors=True)
    shutil.copytree(made, beside)
    beside.rename(folder)
