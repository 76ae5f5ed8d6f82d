"""The labels of an `.npz`: numbers, names or one-hot rows, as indices into class names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import DataError

MAX_CLASSES = 10_000
"""Of data that names no classes: a stray label must not make billions of them."""

OnRemark = Callable[[str], None]
"""Told how something was understood that could have been meant otherwise."""

_WHOLE = 2.0**53
"""Beyond it floats skip whole numbers."""


def ignore_remarks(text: str) -> None:
    """An `OnRemark` that tells nobody."""
    del text


def read_labels(
    path: Path,
    y: NDArray[Any],
    names_in_file: NDArray[Any] | None,
    class_names: tuple[str, ...] | None,
    on_remark: OnRemark = ignore_remarks,
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Indices int64 (n,) and the class names that they index.

    Numbers count classes from 0. Where nothing names the classes and the numbers count from 1, the classes are called
    "1", "2", ...; and for a model whose classes are called so, a number is a name: whatever part of such data is read
    later means the same.

    Args:
        path: of the file, for messages.
        y: as `label_values` takes it.
        names_in_file: of the classes, where the file has them.
        class_names: a model's labels, which the result indexes; None: the data's own.
        on_remark: told of labels that count from 1, and of one-hot rows.

    Raises:
        DataError: labels that are none, or out of range; an unknown name.
    """
    values, classes = label_values(path, y, on_remark)
    own = None if names_in_file is None else tuple(_text(path, name) for name in names_in_file.ravel())
    if values.dtype.kind == "U":
        return _by_name(path, values.tolist(), class_names)
    labels = values.astype(np.int64)
    if own is not None and class_names is not None and own != class_names:
        _check_range(path, labels, own, class_names)
        return _by_name(path, [own[i] for i in labels], class_names)
    if class_names is not None:
        # One-hot columns and the file's own names are places, whatever the classes are called.
        if own is None and classes is None and class_names == _counted(1, len(class_names)):
            labels = labels - 1
        _check_range(path, labels, class_names, class_names)
        return labels, class_names
    if own is None:
        own, labels = _numbered(path, labels, classes, on_remark)
    elif len(set(own)) < len(own):
        twice = next(name for name in own if own.count(name) > 1)
        raise DataError(f"{path}: labels names class {twice!r} twice; give each class a name of its own")
    _check_range(path, labels, own, None)
    return labels, own


def label_values(path: Path, y: NDArray[Any], on_remark: OnRemark = ignore_remarks) -> tuple[NDArray[Any], int | None]:
    """The labels of samples, int64 (n,) or text (n,), and how many classes one-hot rows are of (None for others).

    Args:
        path: of the file, for messages.
        y: (n,) or (n, 1) of whole numbers of any type, of truth values or of names; or one-hot rows (n, classes).
        on_remark: told of one-hot rows.

    Raises:
        DataError: another shape or type; numbers that are not whole; rows that are not one-hot.
    """
    if y.dtype.kind not in "biufUS":
        raise DataError(f"{path}: y is {y.dtype}; give class indices as integers, or class names")
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim == 2 and y.dtype.kind in "biuf" and y.shape[1] > 1:
        if not (np.isin(y, (0, 1)).all() and np.all(np.count_nonzero(y, axis=1) == 1)):
            raise DataError(
                f"{path}: y has shape {y.shape}, but its rows are not one-hot (a single 1, else 0); "
                "give one label a sample, for example y.argmax(axis=1)"
            )
        on_remark(f"y is one-hot {y.shape}: the place of the 1 is the class, out of {y.shape[1]}")
        return y.argmax(axis=1), y.shape[1]
    if y.ndim != 1:
        raise DataError(f"{path}: y has shape {y.shape}, not (n,); give one label a sample")
    if y.dtype.kind in "US":
        return np.array([_text(path, value) for value in y], np.str_), None
    if y.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            odd = y[~(np.isfinite(y) & (np.abs(y) < _WHOLE) & (np.mod(y, 1) == 0))]
        if len(odd):
            raise DataError(
                f"{path}: y is {y.dtype} and holds {odd[0]:g}; give class indices as integers, or class names"
            )
    return y.astype(np.int64), None


def check_known(used: set[str], names: tuple[str, ...], path: Path) -> None:
    """Raises: DataError: `path` uses a class name that is not among `names`, or is there twice."""
    twice = sorted(name for name in used if names.count(name) > 1)
    if twice:
        raise DataError(
            f"{path}: {names.count(twice[0])} of the model's classes are called {twice[0]!r}, so the name does not "
            "tell which; give an .npz with class indices as y"
        )
    unknown = sorted(used - set(names))
    if unknown:
        raise DataError(
            f"{path}: label {unknown[0]!r} is not one of the model's classes {', '.join(names)}; rename it, or add the "
            "class with finetune --add-classes"
        )


def _numbered(
    path: Path, labels: NDArray[np.int64], classes: int | None, on_remark: OnRemark
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Names for classes that have none, and the indices into these."""
    if classes is not None:
        return _counted(0, classes), labels
    most = int(labels.max(initial=1))
    if most >= MAX_CLASSES:
        raise DataError(
            f"{path}: label {most} would make that many classes, {MAX_CLASSES} is the most; number the classes from 0"
        )
    if len(labels) and labels.min() == 1:
        on_remark(
            f"labels count from 1: the classes are called 1 to {most}, so that the model answers with the numbers of y"
        )
        return _counted(1, most), labels - 1
    return _counted(0, most + 1), labels


def _counted(first: int, count: int) -> tuple[str, ...]:
    return tuple(str(number) for number in range(first, first + count))


def _text(path: Path, value: Any) -> str:
    """A name, also from bytes."""
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise DataError(f"{path}: label {value!r} is not UTF-8; save labels as text, not as bytes") from None


def _by_name(
    path: Path, values: list[str], class_names: tuple[str, ...] | None
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    names = class_names if class_names is not None else tuple(sorted(set(values)))
    check_known(set(values), names, path)
    index = {name: i for i, name in enumerate(names)}
    return np.array([index[v] for v in values], np.int64), names


def _check_range(
    path: Path, labels: NDArray[np.int64], names: tuple[str, ...], class_names: tuple[str, ...] | None
) -> None:
    outside = labels[(labels < 0) | (labels >= len(names))]
    if not len(outside):
        return
    by_number = class_names is not None and names is class_names and names == _counted(1, len(names))
    first = 1 if by_number else 0
    if not by_number and labels.min() == 1 and labels.max() == len(names):
        advice = "subtract 1, as the labels start at 1"
    elif outside[0] < 0:
        advice = "classes count from 0, so correct or drop these samples"
    elif class_names is None:
        advice = "correct or drop these samples, or name every class in labels"
    else:
        advice = "correct or drop these samples, or add the classes with finetune --add-classes"
    raise DataError(
        f"{path}: label {int(outside[0]) + first} is out of range, the {len(names)} classes are "
        f"{first}..{len(names) - 1 + first}; {advice}"
    )
