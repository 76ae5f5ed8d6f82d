"""One line on stderr that is written over again and again, for work whose end nobody knows."""

from __future__ import annotations

import shutil
import sys
import time

import click

from edge_cnn.cli.console import SECONDS_BETWEEN_LINES, Console

ERASE = "\r\x1b[K"


class LiveLine:
    """On a terminal a line that changes in its place, elsewhere a plain line now and then; neither with --quiet."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._terminal = sys.stderr.isatty()
        self._shown = ""
        self._last = -SECONDS_BETWEEN_LINES

    def show(self, text: str, *, keep: bool = False) -> None:
        """Tell where the work is; `keep` leaves this line standing."""
        if self._console.quiet:
            return
        now = time.monotonic()
        if self._terminal:
            self._shown = "" if keep else text
            # A line that wraps could not be written over.
            cut = text if keep else text[: shutil.get_terminal_size().columns - 1]
            click.echo(f"{ERASE}{cut}", err=True, nl=keep)
        elif keep or now - self._last >= SECONDS_BETWEEN_LINES:
            self._last = now
            click.echo(text, err=True)

    def note(self, text: str) -> None:
        """A remark, above the line."""
        if not self._shown:
            self._console.note(text)
            return
        shown = self._shown
        self.clear()
        self._console.note(text)
        self.show(shown)

    def clear(self) -> None:
        """Take the line away."""
        if self._shown:
            click.echo(ERASE, err=True, nl=False)
            self._shown = ""
