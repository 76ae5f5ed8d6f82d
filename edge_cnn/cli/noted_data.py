"""Labelled data for a trained model, with what was noticed while it was read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge_cnn.cli.console import Console

if TYPE_CHECKING:
    from edge_cnn.host.datasets import Dataset


def load_noted(
    console: Console, data: str, image_shape: tuple[int, int, int] | None, class_names: tuple[str, ...] | None
) -> tuple[Dataset, list[str]]:
    """As `load_data`, which says what it raises; what was skipped or understood in a way of its own is told.

    Returns:
        the data, and the files that could not be read.
    """
    from edge_cnn.host.data_source import load_data

    skipped: list[str] = []

    def on_skip(path: Path, reason: str) -> None:
        skipped.append(str(path))
        console.note(f"skipped: {reason}")

    dataset = load_data(data, image_shape, class_names, on_skip)
    for remark in dataset.remarks:
        if remark.finding == "reading":
            console.note(f"data: {remark.text}")
    return dataset, skipped
