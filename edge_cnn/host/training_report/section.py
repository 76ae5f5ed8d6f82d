"""The parts of a training's report: what each is made from, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_cnn.host.datasets import Dataset
from edge_cnn.host.evaluation import Evaluation
from edge_cnn.host.search.records import SearchResult
from edge_cnn.host.training import TrainResult


@dataclass(frozen=True)
class Story:
    """What a report tells of.

    Attributes:
        result: the training.
        evaluation: of the test part.
        dataset: training and test part.
        record: the content of `training.json`.
        search: that led to its configuration; None where the user gave it.
    """

    result: TrainResult
    evaluation: Evaluation
    dataset: Dataset
    record: dict[str, Any]
    search: SearchResult | None = None


@dataclass(frozen=True)
class Section:
    """One heading of the page.

    Attributes:
        title: plain text.
        pictures: HTML that is safe: SVG and `image_grid`s; may be empty.
        text: one or two plain sentences below them; may be empty.
        wide: takes the whole width; else two sections stand side by side where there is room.
    """

    title: str
    pictures: str
    text: str = ""
    wide: bool = False
