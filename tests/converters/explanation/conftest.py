"""Data for explanations."""

from __future__ import annotations

import pytest

from tests.converters.explanation.explaining import Digits
from tests.converters.skewed_nets import digits16


@pytest.fixture(scope="session")
def digits(digits_split) -> Digits:
    return Digits(*(digits16(part) for part in digits_split))
