"""The data sets that a name stands for. A new one is one file and one row here."""

from __future__ import annotations

from edge_cnn.core.errors import DataError
from edge_cnn.host.datasets.cifar10 import CIFAR10
from edge_cnn.host.datasets.dataset import Dataset, DatasetEntry
from edge_cnn.host.datasets.digits import DIGITS
from edge_cnn.host.datasets.optdigits import OPTDIGITS
from edge_cnn.host.datasets.recipe import Recipe, usual_recipe
from edge_cnn.host.datasets.spiral import SPIRAL

__all__ = ["DATASETS", "Dataset", "DatasetEntry", "Recipe", "find_entry", "is_present", "load_dataset", "recipe_of"]

DATASETS: dict[str, DatasetEntry] = {entry.name: entry for entry in (DIGITS, OPTDIGITS, SPIRAL, CIFAR10)}


def load_dataset(name: str) -> Dataset:
    """Read a data set by name; its split is always the same.

    Raises:
        DataError: unknown name, or a damaged file.
        UnavailableError: the data is not on this machine.
    """
    entry = find_entry(name)
    train, test = entry.load()
    return Dataset(name, train, test, entry.source, entry.licence)


def is_present(name: str) -> bool:
    """Whether the data is on this machine. Raises: DataError: unknown name."""
    return find_entry(name).is_present()


def find_entry(name: str) -> DatasetEntry:
    """Raises: DataError: unknown name."""
    if name not in DATASETS:
        raise DataError(f"unknown data set {name!r}; known: {', '.join(DATASETS)}, or a folder or .npz that exists")
    return DATASETS[name]


def recipe_of(dataset: Dataset) -> Recipe:
    """How a data set is trained where the user says nothing."""
    entry = DATASETS.get(dataset.name)
    return usual_recipe(dataset.train) if entry is None else entry.recipe
