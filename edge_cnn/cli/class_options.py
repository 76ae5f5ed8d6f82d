"""`--add-classes` and `--keep-classes`: the classes that a tuned model shall know."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from edge_cnn.core.errors import InputError
from edge_cnn.device.data_classes import new_classes, of_classes
from edge_cnn.device.head.class_change import change_classes
from edge_cnn.device.sample_source import SampleSource


@dataclass(frozen=True)
class WantedClasses:
    """What the two options say.

    Attributes:
        add: labels that the model does not know become classes.
        keep: the old classes to keep, None for all.
    """

    add: bool
    keep: tuple[str, ...] | None

    def names(self, known: tuple[str, ...], data: Path | tuple[str, ...]) -> tuple[str, ...] | None:
        """The classes that the tuned model shall have; None where they stay as they are.

        Args:
            known: the model's labels.
            data: the file or folder that it is tuned with, or the classes of a data set.

        Raises:
            InputError: a class to keep is not one of the model's, or the classes make no classifier.
            DataError: the data cannot be read.
        """
        if not self.add and self.keep is None:
            return None
        unknown = [name for name in self.keep or () if name not in known]
        if unknown:
            raise InputError(
                f"--keep-classes: {unknown[0]!r} is not one of the model's classes {', '.join(known)}; name these"
            )
        kept = tuple(name for name in known if self.keep is None or name in self.keep)
        if self.add:
            found = new_classes(data, known) if isinstance(data, Path) else data
            kept += tuple(name for name in found if name not in known)
        # Before the samples are read, which may take long.
        return change_classes(known, kept).labels

    def readable(self, known: tuple[str, ...], names: tuple[str, ...] | None) -> tuple[str, ...]:
        """The labels that samples may have: the model's and the new ones."""
        return known + tuple(name for name in names or () if name not in known)

    def select(self, samples: SampleSource, names: tuple[str, ...] | None, note: Callable[[str], None]) -> SampleSource:
        """The samples that the tuned model shall know the class of; `note` is told how many are left out."""
        if names is None:
            return samples
        chosen = of_classes(samples, names)
        if len(chosen) < len(samples):
            note(f"left out {len(samples) - len(chosen)} samples of classes that are not kept")
        return chosen


def class_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the two options; the command takes them together as `classes`."""

    @functools.wraps(command)
    def wrapped(*args: Any, add_classes: bool, keep_classes: str | None, **kwargs: Any) -> Any:
        keep = None
        if keep_classes is not None:
            keep = tuple(name.strip() for name in keep_classes.split(",") if name.strip())
        return command(*args, classes=WantedClasses(add_classes, keep), **kwargs)

    keeping = click.option("--keep-classes", metavar="A,B,...", help="Old classes that the tuned model keeps.")
    adding = click.option("--add-classes", is_flag=True, help="Labels that the model does not know become classes.")
    return adding(keeping(wrapped))
