"""Which trained network a training started from, as its record tells."""

from __future__ import annotations

from dataclasses import dataclass

NEW, KEPT = "new", "kept"


@dataclass(frozen=True)
class Origin:
    """Where the weights came from, and what becomes of them.

    Attributes:
        name: of the file, or of the Keras application with its way to the weights.
        sha256: of the file that held them.
        head: `NEW` or `KEPT`: whether the last layer starts at random or as it was.
        frozen: names of the layers whose weights stay as they are, in the order of the network.
    """

    name: str
    sha256: str
    head: str
    frozen: tuple[str, ...]
