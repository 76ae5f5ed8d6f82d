"""Where `finetune --stream` takes its samples from: lines on standard input, or a folder that is being filled."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

from edge_cnn.core.errors import DataError, InputError
from edge_cnn.device.classifier import Classifier
from edge_cnn.device.stream.folder_watch import FolderWatch
from edge_cnn.device.stream.sample_files import read_sample
from edge_cnn.device.stream.sample_lines import MAX_LINE, parse_line

STDIN = "-"

WAIT = 0.25
"""Seconds between two looks at a source, and at the wish to end."""

MAX_TOLD = 1000
"""Left-out lines whose reasons are kept: a stream need not end."""

Sample = tuple[NDArray[Any], str]
"""An image and the name of its class."""


class Source(Protocol):
    """Gives samples as they come."""

    skipped: list[str]
    """Why samples were left out for good, of lines only the first `MAX_TOLD`."""
    skipped_count: int
    """How many were left out for good."""

    def look(self) -> list[Callable[[], Sample | None]] | None:
        """What is there now, after `WAIT` seconds at most, each still to be read; None at the end.

        Reading gives None where there is nothing, or nothing yet.
        """
        ...

    @property
    def is_busy(self) -> bool:
        """Whether the last look found something on its way, though perhaps nothing that can be read yet."""
        ...

    def close(self) -> None:
        """Tell what remains unread."""
        ...


def open_source(name: str, classifier: Classifier, note: Callable[[str], None]) -> Source:
    """Standard input for "-", else a folder.

    Raises:
        InputError: a file.
        DataError: nothing there.
    """
    if name == STDIN:
        return LineSource(classifier, note)
    if Path(name).exists() and not Path(name).is_dir():
        raise InputError(f"--stream {name}: a file is no stream; give a folder, - for lines, or the file with --data")
    return FolderSource(Path(name), classifier, note)


class LineSource:
    """Lines on standard input, see `sample_lines`."""

    def __init__(self, classifier: Classifier, note: Callable[[str], None]) -> None:
        self.skipped: list[str] = []
        self.skipped_count = 0
        self._classifier, self._note = classifier, note
        # Python sets it to None where it is closed.
        if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison]  # as said
            raise InputError("--stream -: standard input is closed; pipe lines into it, or give a folder")
        # Not sys.stdin's buffer: what lies in it is not seen by select.
        self._handle = sys.stdin.fileno()
        self._rest = b""
        self._number = 0
        self._came = self._ended = False

    def look(self) -> list[Callable[[], Sample | None]] | None:
        if self._ended:
            return None
        self._came = bool(select.select([self._handle], [], [], WAIT)[0])
        if not self._came:
            return []
        data = os.read(self._handle, 2**16)
        *lines, rest = (self._rest + data).split(b"\n")
        if not data:
            self._ended = True
            lines, rest = [rest] if rest else [], b""
        # Of a line without an end no more is kept than shows that it is too long.
        self._rest = rest[: MAX_LINE + 1]
        first = self._number + 1
        self._number += len(lines)
        return [lambda line=line, number=number: self._read(line, number) for number, line in enumerate(lines, first)]

    @property
    def is_busy(self) -> bool:
        return self._came

    def close(self) -> None:
        if self.skipped_count > len(self.skipped):
            self._note(f"skipped {self.skipped_count} lines; the result lists the first {len(self.skipped)}")

    def _read(self, line: bytes, number: int) -> Sample | None:
        try:
            named = parse_line(line)
            if named is None:
                return None
            if named.label not in self._classifier.labels:
                known = ", ".join(self._classifier.labels)
                raise DataError(f"label {named.label!r} is not one of the model's classes {known}")
            return read_sample(named.path, self._classifier), named.label
        except DataError as error:
            self.skipped_count += 1
            if len(self.skipped) < MAX_TOLD:
                self.skipped.append(f"line {number}: {error}")
            self._note(f"skipped line {number}: {error}")
            return None


class FolderSource:
    """A folder that is being filled, see `folder_watch`."""

    def __init__(self, folder: Path, classifier: Classifier, note: Callable[[str], None]) -> None:
        self.skipped: list[str] = []
        self.skipped_count = 0
        self._classifier, self._note = classifier, note
        self._watch = FolderWatch(folder, classifier.labels, note)
        self._looked = -WAIT

    def look(self) -> list[Callable[[], Sample | None]]:
        time.sleep(max(self._looked + WAIT - time.monotonic(), 0.0))
        files = self._watch.poll()
        self._looked = time.monotonic()
        return [lambda file=file: self._read(file.path, file.label) for file in files]

    @property
    def is_busy(self) -> bool:
        return self._watch.changing

    def close(self) -> None:
        self.skipped += self._watch.close()
        self.skipped_count = len(self.skipped)

    def _read(self, path: Path, label: str) -> Sample | None:
        try:
            image = read_sample(path, self._classifier)
        except DataError as error:
            self._watch.failed(path, str(error))
            return None
        self._watch.took(path)
        return image, label
