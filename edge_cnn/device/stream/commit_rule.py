"""When a head that was tuned from a stream is written: the rule, and why it says no."""

from __future__ import annotations

import math
from dataclasses import dataclass

from edge_cnn.core.confidence_interval import wilson_interval


@dataclass(frozen=True)
class CommitRule:
    """What a new head must do on samples that it was not trained with.

    1. It answers more held-out samples of the stream right than the committed file does, of the same samples.
    2. Held-out replayed samples do not fall by more than `forgettable` below what the model did before the stream. Were
       it what the last committed file does, a little could be lost with every commit.
    3. There are at least `least_samples` held-out ones, and the 95 % interval (Wilson) of the share that it answers
       right lies above one in as many as there are classes. Against labels that are all wrong the old head has nothing
       right, so that a few lucky guesses would be more.

    Attributes:
        least_samples: held-out samples of the stream.
        forgettable: share of the held-out replayed samples.
    """

    least_samples: int = 5
    forgettable: float = 0.02

    def refusal(
        self, right: int, committed: int, samples: int, classes: int, replay: tuple[float, float] | None
    ) -> str | None:
        """Why the head is not to be committed; None where it is.

        Args:
            right, committed: held-out samples that the new head and the committed file answer right.
            samples: held-out ones.
            classes: of the model.
            replay: accuracies on held-out replayed samples, before the stream and with the new head; None without any.
        """
        if samples < self.least_samples:
            return f"{samples} held-out samples, {self.least_samples} are needed"
        if right <= committed:
            return f"{right} of {samples} held-out samples right, the committed version has {committed}"
        if wilson_interval(right, samples)[0] <= 1 / classes:
            return f"{right} of {samples} held-out samples right may be guesses among {classes} classes"
        if replay is not None and replay[0] - replay[1] > self.forgettable + 1e-9:
            drop = math.ceil(100 * (replay[0] - replay[1]) - 1e-9) / 100
            return (
                f"held-out old samples would fall from {100 * replay[0]:.1f} to {100 * replay[1]:.1f} %; "
                f"--max-old-drop {drop:g} allows that"
            )
        return None
