"""What each runtime made of each scheme's file: measured, and written here by `make schemes`."""

from __future__ import annotations

RESULTS: dict[tuple[str, str], dict[str, str]] = {}
"""(format, scheme) -> runtime -> "runs", "refuses: why" or "known wrong: why"."""

RELEASES: dict[str, str] = {}
"""Runtime -> the release that was measured."""
