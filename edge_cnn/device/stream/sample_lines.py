"""Labelled samples as lines of text: `path<TAB>label`, or a JSON object `{"image": "path", "label": "name"}`."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edge_cnn.core.errors import DataError

MAX_LINE = 2**16
"""Bytes of a line at most: a path has 4096 at most on Linux, and six for each of them where JSON spells it out."""

EXPECTED = 'give path<TAB>label, or {"image": "path", "label": "name"}'


@dataclass(frozen=True)
class LabelledFile:
    """A file with the name of its class."""

    path: Path
    label: str


def parse_line(line: bytes) -> LabelledFile | None:
    """What a line says; None where it is blank.

    A path may be any bytes that the file system takes. A JSON label that is a number stands for the class of that name.

    Raises:
        DataError: it says neither of the two.
    """
    if len(line) > MAX_LINE:
        raise DataError(f"it has more than {MAX_LINE} bytes; {EXPECTED}")
    text = os.fsdecode(line.rstrip(b"\r\n"))
    if not text.strip():
        return None
    path, label = _object(text) if text.lstrip().startswith("{") else _columns(text)
    if not path or not label:
        raise DataError(f"its {'label' if path else 'path'} is empty; {EXPECTED}")
    if "\0" in path:
        raise DataError(f"its path holds a NUL character; {EXPECTED}")
    return LabelledFile(Path(path), label)


def _columns(text: str) -> tuple[str, str]:
    path, tab, label = text.rpartition("\t")
    if not tab:
        raise DataError(f"{_shown(text)} has no tab between path and label; {EXPECTED}")
    return path, label.strip()


def _object(text: str) -> tuple[str, str]:
    try:
        value: Any = json.loads(text)
        path, label = value["image"], value["label"]
    except (ValueError, RecursionError) as error:
        raise DataError(f"{_shown(text)} is not JSON ({error}); {EXPECTED}") from error
    except KeyError as error:
        raise DataError(f"{_shown(text)} has no {error.args[0]!r}; {EXPECTED}") from error
    if type(label) is int:
        label = str(label)
    if not isinstance(path, str) or not isinstance(label, str):
        raise DataError(f"{_shown(text)}: image and label must be texts; {EXPECTED}")
    return path, label


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else f"{text[:57]}...")
