"""What every command shares: --json, --seed, --quiet, --debug, progress on stderr, results on stdout."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import click

SECONDS_BETWEEN_LINES = 5.0
"""How often progress prints a line where there is no terminal."""


_EMPTY = "it is empty; give a name"


class ReaderGoneError(Exception):
    """Whoever read stdout has closed it; no failure."""


class Progress(Protocol):
    """Told how far a long work has come."""

    def __call__(self, done: int, remark: str = "", /) -> None: ...


@dataclass(frozen=True)
class Console:
    """How a command talks.

    Attributes:
        json: results are one JSON document (or one object a line) on stdout.
        quiet: no progress and no remarks on stderr; errors still show.
        seed: what the command's random choices start from.
    """

    json: bool
    quiet: bool
    seed: int

    def note(self, text: str) -> None:
        """A remark for a person, on stderr."""
        if not self.quiet:
            click.echo(text, err=True)

    def result(self, document: Any, text: str) -> None:
        """The answer, on stdout: `document` as JSON with --json, else `text`."""
        # The status must be that of the work, also where the reader (head, less) has gone.
        with contextlib.suppress(ReaderGoneError):
            self.line(document, text)

    def line(self, document: Any, text: str) -> None:
        """One item of a stream, flushed, on stdout.

        Raises:
            ReaderGoneError: nobody reads any more, so further items are of no use.
        """
        try:
            click.echo(json.dumps(document, ensure_ascii=False, allow_nan=False) if self.json else text)
            if sys.stdout is not None:  # Python's value for a stdout that was closed before it began.
                sys.stdout.flush()
        except BrokenPipeError:
            # Point stdout elsewhere, so that the interpreter's last flush is silent.
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            raise ReaderGoneError from None

    @contextmanager
    def progress(self, label: str, total: int) -> Generator[Progress]:
        """Yield `update(done, remark)`: a bar on a terminal, a plain line now and then elsewhere, on stderr."""
        if self.quiet:
            yield _no_progress
        elif sys.stderr.isatty():
            with click.progressbar(length=total, label=label, file=sys.stderr, item_show_func=_remark) as bar:
                yield lambda done, remark="": bar.update(done - bar.pos, remark)  # pyright: ignore[reportArgumentType]  # click types the item as the iterated value, and there is none
        else:
            yield _plain_progress(label, total)

    @contextmanager
    def steps(self, label: str) -> Generator[Callable[[int, int | None, str], None]]:
        """Yield `on_step(done, total, step)`, for work that learns on the way how many steps it has.

        A total of None is not known: lines count without it, and a bar always has a step left.
        """
        if self.quiet:
            yield _no_step
        elif sys.stderr.isatty():
            with click.progressbar(length=1, label=label, file=sys.stderr, item_show_func=_remark) as bar:

                def draw(done: int, total: int | None, step: str) -> None:
                    bar.length = done + 2 if total is None else total
                    bar.update(done - bar.pos, step)  # pyright: ignore[reportArgumentType]  # as in `progress`

                yield draw
        else:
            yield lambda done, total, step: click.echo(f"{label} {_count(done + 1, total)}: {step}", err=True)


def _no_progress(done: int, remark: str = "") -> None:
    del done, remark


def _count(step: int, total: int | None) -> str:
    return str(step) if total is None else f"{step}/{total}"


def _no_step(done: int, total: int | None, step: str) -> None:
    del done, total, step


def _remark(item: Any) -> str:
    return str(item or "")


def _plain_progress(label: str, total: int) -> Progress:
    last = 0.0

    def update(done: int, remark: str = "") -> None:
        nonlocal last
        now = time.monotonic()
        if done >= total or now - last >= SECONDS_BETWEEN_LINES:
            last = now
            click.echo(f"{label} {done}/{total} {remark}".rstrip(), err=True)

    return update


def common_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add --json, --seed, --quiet and --debug; the command's function gets `console` as its first argument."""

    @click.option("--json", "as_json", is_flag=True, help="Print JSON on stdout, for scripts.")
    @click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, show_default=True, help="Of random choices.")
    @click.option("--quiet", is_flag=True, help="No progress and no remarks on stderr.")
    @click.option("--debug", is_flag=True, help="Show a traceback when something fails.")
    @functools.wraps(function)
    def command(as_json: bool, seed: int, quiet: bool, debug: bool, **arguments: Any) -> Any:
        del debug  # main() looks for it before parsing, so that errors of parsing show a traceback as well.
        _check_not_empty(click.get_current_context())
        return function(Console(as_json, quiet, seed), **arguments)

    return command


def _check_not_empty(ctx: click.Context) -> None:
    """An empty value is a shell variable that is not set; taken for a name it would be the current folder.

    Raises:
        click.BadParameter: there is one.
    """
    for param in ctx.command.params:
        if ctx.params.get(param.name or "") == "":
            raise click.BadParameter(_EMPTY, ctx, param)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned with spaces, for a person to read; numbers to the right."""
    cells = [list(header), *[list(row) for row in rows]]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    numeric = [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(len(header))]
    lines = [
        "  ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, numeric, strict=True)).rstrip()
        for row in cells
    ]
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join(lines)


def _is_number(cell: str) -> bool:
    return cell in ("", "-") or cell[:1].isdigit() or (cell[:1] in "+-" and cell[1:2].isdigit())


class _PathType(click.Path):
    """A path as it is typed, but for an empty one, of which `click.Path` makes the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail(_EMPTY, param, ctx)
        return super().convert(value, param, ctx)


PATH = _PathType(path_type=Path)
