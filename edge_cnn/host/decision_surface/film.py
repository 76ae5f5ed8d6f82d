"""What the surface looked like on the way: frames that are kept while a network trains."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edge_cnn.host.decision_surface.colours import score_colours
from edge_cnn.host.decision_surface.plane import Plane
from edge_cnn.host.decision_surface.surfaces import SurfaceProbe, can_be_probed
from edge_cnn.host.training import EpochRecord, View

SIDE = 64
FIRST_EPOCHS = (1, 2, 5)
"""Times 1, 10, 100, ...: each frame comes after about twice as long as the one before."""


@dataclass(frozen=True)
class Frame:
    """The surface after an epoch.

    Attributes:
        record: of the epoch.
        pixels: uint8 (side, side, 3), the upper row first.
    """

    record: EpochRecord
    pixels: NDArray[np.uint8]

    @property
    def caption(self) -> str:
        """Epoch and loss, of the test part where it is watched, else of the validation."""
        record = self.record
        part, loss = ("validation", record.val_loss) if record.test_loss is None else ("test", record.test_loss)
        return f"epoch {record.epoch}: {part} loss {loss:.3f}"


class Film:
    """Observer of a training."""

    def __init__(self, plane: Plane | None) -> None:
        """Look at `plane`; None keeps nothing."""
        self._plane = plane
        self._frames: list[Frame] = []
        self._probe: SurfaceProbe | None = None

    @property
    def frames(self) -> tuple[Frame, ...]:
        """What was kept of the training so far."""
        return tuple(self._frames)

    def on_view(self, view: View) -> None:
        """Keep a frame, if it is time for one; begin anew with another network."""
        if self._plane is None or not is_kept(view.record.epoch) or not can_be_probed(view.graph.mean):
            return
        if self._probe is None or self._probe.model is not view.graph.mean:
            self._frames, self._probe = [], SurfaceProbe(view.graph.mean, self._plane)
        self._frames.append(Frame(view.record, score_colours(self._probe.scores(SIDE))))


def is_kept(epoch: int) -> bool:
    """0, 1, 2, 5, 10, 20, 50, 100, ..."""
    while epoch and epoch % 10 == 0:
        epoch //= 10
    return epoch in (0, *FIRST_EPOCHS)
