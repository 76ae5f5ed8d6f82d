"""Targets and programs that stand in for compilers."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edge_cnn.core.targets import Memory, Target

MLPERF = Path(os.environ.get("EDGE_CNN_DATA", "")) / "mlperf_tiny" / "models"
needs_mlperf = pytest.mark.skipif(
    not os.environ.get("EDGE_CNN_DATA") or not MLPERF.is_dir(), reason="set EDGE_CNN_DATA to a folder with mlperf_tiny"
)


def target(compiler: str, *options: str, memory: Memory | None = None, name: str = "chip") -> Target:
    """A row as the table of targets has them."""
    return Target(name, "a chip", "tflite", ("int8",), (), memory=memory, compiler=compiler, compiler_options=options)


def no_step(*_: Any) -> None:
    """Whoever is not interested in progress."""


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Path]:
    """Makes an executable file of the text of a shell script."""

    def make(text: str, name: str = "program", folder: Path | None = None) -> Path:
        path = (folder or tmp_path) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    return make
