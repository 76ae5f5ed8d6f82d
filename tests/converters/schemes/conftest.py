"""Every scheme's file of one small network, each made once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from converters.calibration.samples import Calibration
from converters.schemes.table import RECIPES
from converters.sources.source_model import SourceModel
from edge_cnn.core.artifact import Artifact
from tests.benchmarks.schemes import small_model


@pytest.fixture(scope="session")
def small() -> tuple[SourceModel, np.ndarray]:
    """A network of every kind of layer that has weights, and inputs float32 (200, 12, 10, 3)."""
    return small_model()


@pytest.fixture(scope="session")
def make(small) -> Callable[..., Artifact]:
    """(format, scheme, in_float) -> the file."""
    source, inputs = small
    calibration = Calibration(inputs[:100], "min-max")
    made: dict[tuple, Artifact] = {}

    def make(format: str, scheme: str, in_float: tuple[str, ...] = ()) -> Artifact:
        key = (format, scheme, in_float)
        if key not in made:
            data = RECIPES[format, scheme].convert(source, calibration, in_float)
            made[key] = Artifact(f"{scheme}.{format}", format, data)
        return made[key]

    return make
