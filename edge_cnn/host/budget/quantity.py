"""Counts and sizes as people write them: 200k, 1.5M, 64 KiB."""

from __future__ import annotations

import re
from decimal import Decimal

from edge_cnn.core.errors import InputError

_DECIMAL = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
_BINARY = {"ki": 2**10, "mi": 2**20, "gi": 2**30}
_NUMBER = re.compile(r"([0-9][0-9_,]*(?:\.[0-9]+)?)\s*([a-z]*)", re.IGNORECASE)


def parse_count(text: str) -> int:
    """A positive count: a number, perhaps with k, M or G for thousands, millions and thousands of millions.

    Raises:
        InputError: anything else.
    """
    return _parse(text, _DECIMAL, "a count, for example 200000, 200k or 1.5M")


def parse_bytes(text: str) -> int:
    """A positive size: bytes, or with kB, MB and GB for powers of 1000, KiB, MiB and GiB for powers of 1024.

    The B may be left out: k is 1000, Ki is 1024. Upper and lower case are one.

    Raises:
        InputError: anything else.
    """
    sizes = _DECIMAL | _BINARY
    units = sizes | {f"{prefix}b": size for prefix, size in sizes.items()}
    return _parse(text, units, "a size in bytes, for example 100000, 100kB (1000 bytes each) or 96KiB (1024 each)")


def _parse(text: str, units: dict[str, int], wanted: str) -> int:
    found = _NUMBER.fullmatch(text.strip())
    if found is None or found[2].lower() not in units:
        raise InputError(f"{text!r} is not a number of the kind that is needed; give {wanted}")
    value = Decimal(re.sub("[_,]", "", found[1])) * units[found[2].lower()]
    if value < 1:
        raise InputError(f"{text!r} leaves room for nothing; give {wanted}")
    if value != int(value):
        raise InputError(f"{text!r} is no whole number; give {wanted}")
    return int(value)
