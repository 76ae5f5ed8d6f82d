"""Can a file or a folder be written where the user says? Tried before any work, not found out after it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_cnn.core.atomic_file import remove_leftovers
from edge_cnn.core.errors import InputError


def check_file(path: Path, suffixes: Sequence[str] = (), option: str = "--out") -> None:
    """Try to make a file beside `path`, and remove it; what is at `path` stays as it is.

    Args:
        path: the file that a command is going to write.
        suffixes: endings that it may have, as ".npz", in any case; empty for any.
        option: what the user typed it after, for the message.

    Raises:
        InputError: another ending, a folder that is missing or cannot be written to, or a folder, a pipe or a device
            of that name.
    """
    if suffixes and path.suffix.lower() not in suffixes:
        raise InputError(f"{option} {path}: give a name ending with {' or '.join(suffixes)}")
    folder = path.absolute().parent
    try:
        if path.is_dir():
            raise InputError(f"{option} {path}: there is a folder of this name, a file is wanted; give another name")
        if path.exists() and not path.is_file():
            raise InputError(f"{option} {path}: it is a pipe or a device, a file is wanted; give another name")
        if not folder.is_dir():
            raise InputError(f"{option} {path}: there is no folder {folder}; make it first")
    # Names that are too long, and places that may not even be looked at.
    except OSError as error:
        raise _cannot_write(path, option, error) from error
    _try_file(path, path, option)


def check_apart(files: Mapping[str, Path | None]) -> None:
    """Make sure that no file would be written over another one of the same command.

    Args:
        files: what the user typed each after, for messages -> the file; None where it was not given.

    Raises:
        InputError: two of them are one file.
    """
    seen: dict[str, str] = {}
    for option, path in files.items():
        if path is None:
            continue
        place = os.path.realpath(path)
        if place in seen:
            raise InputError(f"{seen[place]} and {option} are the same file, {path}; give another name")
        seen[place] = option


def check_page(report: Path | None, files: Mapping[str, Path | str | None]) -> None:
    """As `check_file` for `--report`, and that the page goes over none of the command's other files.

    Args:
        report: the page, None where none is wanted.
        files: what the user typed each other file after, for messages -> the file, or DATA, which may be a name.

    Raises:
        InputError: two of them are one file, another ending than .html, or a place that cannot be written to.
    """
    check_apart({option: None if file is None else Path(file) for option, file in files.items()} | {"--report": report})
    if report is not None:
        check_file(report, [".html"], "--report")


def check_outside(out: Path, data: Path) -> None:
    """Make sure that results do not land among the images that they come from, where they would be read as data.

    Raises:
        InputError: `out` is the folder `data`, or lies in it.
    """
    place, source = Path(os.path.realpath(out)), Path(os.path.realpath(data))
    if source.is_dir() and (place == source or source in place.parents):
        raise InputError(f"--out {out}: it is in the folder of the data, {data}; give a folder outside")


def check_folder(path: Path, option: str = "--out") -> None:
    """Try to make the folder, if it is not there, and a file in it; then remove what was made.

    Nothing stays behind, since the work that follows may fail and then must leave nothing.

    Args:
        path: the folder that a command is going to write files into.
        option: what the user typed it after, for the message.

    Raises:
        InputError: it, or what it would stand in, is a file or cannot be written to.
    """
    made: list[Path] = []
    try:
        missing: list[Path] = []
        place = path.absolute()
        while not place.exists() and place != place.parent:
            missing.append(place)
            place = place.parent
        if not place.is_dir():
            raise InputError(f"{option} {path}: {place} is a file, a folder is wanted; give another name")
        for folder in reversed(missing):
            folder.mkdir()
            made.append(folder)
        _try_file(path / "file", path, option)
    except OSError as error:
        raise _cannot_write(path, option, error) from error
    finally:
        for folder in reversed(made):
            folder.rmdir()


def _try_file(file: Path, shown: Path, option: str) -> None:
    """Make and remove the temporary file that `atomic_file.replacing` would make for `file`."""
    try:
        # Who was killed here before may not come to write the file this time either.
        remove_leftovers(file.absolute())
        handle, name = tempfile.mkstemp(prefix=f".{file.stem}-", suffix=file.suffix, dir=file.absolute().parent)
    except OSError as error:
        raise _cannot_write(shown, option, error) from error
    os.close(handle)
    Path(name).unlink(missing_ok=True)  # A writer of the same file may take it for a dead one's leftover.


def _cannot_write(path: Path, option: str, error: OSError) -> InputError:
    return InputError(f"{option} {path}: cannot write there: {error.strerror or error}; give another place")
