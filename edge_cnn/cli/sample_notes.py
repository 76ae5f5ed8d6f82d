"""What `finetune` notices of the files that it reads, told once and counted once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.cli.console import Console
from edge_cnn.device.image_files import STRETCH
from edge_cnn.device.sample_source import SampleSource


class SampleNotes:
    """Collects while samples are read.

    Args:
        console: where it is told.

    Attributes:
        skipped: files that could not be read.
        remarks: what was told of the samples as a whole.
    """

    def __init__(self, console: Console) -> None:
        self.skipped: set[Path] = set()
        self.remarks: list[str] = []
        self._console = console
        self._stretched: set[Path] = set()

    def skip(self, file: Path, reason: str) -> None:
        """A file that cannot be read, however often it is asked for."""
        if file not in self.skipped:
            self.skipped.add(file)
            self._console.note(f"skipped: {reason}")

    def stretch(self, file: Path) -> None:
        """An image whose aspect ratio is changed."""
        self._stretched.add(file)

    def tell(self, image_shape: tuple[int, int, int] | None) -> None:
        """Say what there is to say when all have been read; images are resized to `image_shape`."""
        if self.skipped:
            self._console.note(f"skipped {len(self.skipped)} unreadable images")
        if self._stretched and image_shape is not None:
            count = len(self._stretched)
            self.remarks.append(
                f"{count} image{'s were' if count > 1 else ' was'} stretched by more than {100 * STRETCH:.0f} % to "
                f"fit {image_shape[1]}x{image_shape[0]}; crop them to that shape, unless the model was "
                "trained with such ones"
            )
            self._console.note(self.remarks[-1])


def read_or_blank(samples: SampleSource, rows: NDArray[np.int64]) -> NDArray[Any]:
    """The images at `rows`, blank where a file has gone since it was classified."""
    images, read = samples.read(rows)
    drawn = np.zeros((len(rows), *images.shape[1:]), images.dtype)
    drawn[np.isin(rows, read)] = images
    return drawn
