"""A folder with one sub-folder of images a class, looked at again and again while somebody fills it.

A file that is still being written changes its size or its time, or cannot be decoded yet, so it is taken when it was
the same twice, and tried again where it could not be read. Asking the kernel instead (inotify) would need a library,
and would not see what another machine writes to a network drive.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from edge_cnn.core.errors import DataError
from edge_cnn.device.stream.sample_files import SAMPLE_SUFFIXES
from edge_cnn.device.stream.sample_lines import LabelledFile

TRIES = 8
"""Times that an unchanged file is tried to be read before it is given up; it gets as many again when it changes."""


@dataclass(frozen=True)
class Waiting:
    """A file that was not taken yet.

    Attributes:
        label: its class.
        stamp: size in bytes and time of the last change in ns.
        tries: how often it could not be read as it is.
        reason: why, the last time.
    """

    label: str
    stamp: tuple[int, int]
    tries: int = 0
    reason: str = ""


class FolderWatch:
    """Finds new samples below a folder.

    Args:
        folder: that is being filled.
        class_names: names of the sub-folders that count.
        on_note: told of files and folders that are left out, once each.

    Raises:
        DataError: there is no such folder.
    """

    def __init__(self, folder: Path, class_names: tuple[str, ...], on_note: Callable[[str], None]) -> None:
        if not folder.is_dir():
            raise DataError(f"no folder at {folder}; make one with one sub-folder of images a class")
        self._folder, self._class_names, self._on_note = folder, class_names, on_note
        self._taken: set[str] = set()
        self._waiting: dict[str, Waiting] = {}
        self._noted: set[str] = set()
        self.changing = False
        """Whether the last look found a file that is new or was still being written."""

    def poll(self) -> list[LabelledFile]:
        """Files that were the same at the last look, the oldest first."""
        ready: list[tuple[int, str]] = []
        found: set[str] = set()
        self.changing = False
        for label, path in self._files():
            if path in self._taken:
                continue
            try:
                status = os.stat(path)  # noqa: PTH116  # thousands of paths, and a Path costs more than the look
            except OSError:  # Gone again, or a link to nowhere.
                continue
            if not stat.S_ISREG(status.st_mode):  # Opening a pipe would wait for its writer.
                continue
            found.add(path)
            stamp = status.st_size, status.st_mtime_ns
            known = self._waiting.get(path)
            if known is None or known.stamp != stamp:
                self._waiting[path] = Waiting(label, stamp)
                self.changing = True
            elif known.tries < TRIES:
                ready.append((status.st_mtime_ns, path))
        for gone in self._waiting.keys() - found:
            del self._waiting[gone]
        return [LabelledFile(Path(path), self._waiting[path].label) for _, path in sorted(ready)]

    def took(self, path: Path) -> None:
        """It was read, and is not looked at again."""
        self._taken.add(str(path))
        self._waiting.pop(str(path), None)

    def failed(self, path: Path, reason: str) -> None:
        """It could not be read; told once it has been tried often enough."""
        known = self._waiting[str(path)]
        self._waiting[str(path)] = replace(known, tries=known.tries + 1, reason=reason)
        if known.tries + 1 == TRIES:
            self._on_note(f"skipped: {reason}")

    def close(self) -> list[str]:
        """Why each file that was tried in vain could not be read; told of those that were to be tried again."""
        unread = [file for file in self._waiting.values() if file.tries]
        for file in unread:
            if file.tries < TRIES:
                self._on_note(f"skipped: {file.reason}")
        return [file.reason for file in unread]

    def _files(self) -> Iterator[tuple[str, str]]:
        """Class and path of each image in a sub-folder; hidden ones are left out, as writers rename them when done.

        Paths are as `str(Path)` writes them, so that `took` and `failed` find a file again.
        """
        top = os.fspath(self._folder)
        for place, folders, names in os.walk(top):
            folders[:] = [name for name in folders if not name.startswith(".")]
            inside = os.path.relpath(place, top)
            label, *_ = inside.split(os.sep)  # noqa: PTH206  # as above
            images = [name for name in names if not name.startswith(".") and self._is_sample(name)]
            if not images:
                continue
            if inside == os.curdir:
                self._once(f"left out: images in {top} itself, as it is their sub-folder that tells the class")
            elif label not in self._class_names:
                known = ", ".join(self._class_names)
                self._once(f"left out: {Path(top, label)}, as {label!r} is not one of the model's classes {known}")
            else:
                # Path drops the leading "./" of a walk from the current folder.
                tidy = os.fspath(Path(place))
                for name in images:
                    yield label, os.path.join(tidy, name)  # noqa: PTH118  # as above

    def _once(self, note: str) -> None:
        if note not in self._noted:
            self._noted.add(note)
            self._on_note(note)

    @staticmethod
    def _is_sample(name: str) -> bool:
        return os.path.splitext(name)[1].lower() in SAMPLE_SUFFIXES  # noqa: PTH122  # as above
