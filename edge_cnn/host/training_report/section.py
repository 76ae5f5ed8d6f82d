"""The parts of a training's report: what each is made from, and what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edge_cnn.host.datasets import Dataset
from edge_cnn.host.decision_surface.film import Frame
from edge_cnn.host.evaluation import Evaluation
from edge_cnn.host.restarts.restarts import Restarts
from edge_cnn.host.restarts.symmetry import Symmetry
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
        restarts: the trainings that this one is the best of, or itself alone; None where nobody asked.
        symmetry: what became of a start that was not random; None where it was.
        frames: the decision surface on the way, where the data lies on a plane and somebody looked.
        search: that led to its configuration; None where the user gave it.
    """

    result: TrainResult
    evaluation: Evaluation
    dataset: Dataset
    record: dict[str, Any]
    restarts: Restarts | None = None
    symmetry: Symmetry | None = None
    frames: tuple[Frame, ...] = ()
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
