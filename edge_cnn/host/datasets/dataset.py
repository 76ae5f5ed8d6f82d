"""A data set as training wants it: two disjoint parts, and where they come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.datasets.recipe import Recipe
from edge_cnn.host.datasets.remark import Remark


@dataclass(frozen=True)
class Dataset:
    """Samples to train on and samples that no training may see.

    Attributes:
        name: as the user wrote it, a path for a folder or an `.npz`.
        train: for training, calibration and replay.
        test: for accuracies and golden samples only; the same class names.
        source: who made the data and how it got here.
        licence: of the data, as far as it is stated.
        remarks: what was noticed of it so far.
    """

    name: str
    train: LabelledImages
    test: LabelledImages
    source: str
    licence: str
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True)
class DatasetEntry:
    """A row of the table of data sets: what can be said without reading it.

    Attributes:
        name: what the user types.
        summary: one line.
        source, licence: as in `Dataset`.
        image_shape: (height, width, channels).
        classes: how many.
        train_samples, test_samples: how many in each part.
        is_present: whether the data is on this machine.
        load: reads and splits it, always the same way.
        recipe: how it is trained where the user says nothing.
        obtain: what makes it present where it is not, in a few words.
    """

    name: str
    summary: str
    source: str
    licence: str
    image_shape: tuple[int, int, int]
    classes: int
    train_samples: int
    test_samples: int
    is_present: Callable[[], bool]
    load: Callable[[], tuple[LabelledImages, LabelledImages]]
    recipe: Recipe
    obtain: str = "pip install 'edge-cnn[host]'"
