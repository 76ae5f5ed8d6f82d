"""Many names in one line."""

from __future__ import annotations

from collections.abc import Sequence

MOST_NAMED = 5


def some(names: Sequence[str], most: int = MOST_NAMED) -> str:
    """Up to `most` of them, and how many more there are."""
    rest = len(names) - most
    return f"{', '.join(names[:most])}{f' and {rest} more' if rest > 0 else ''}"
