"""What a fine-tuning saves on its way: the prediction, the generator behind it, the optimizer's state."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.device.finetuning.work import FinetuneWork
from edge_cnn.device.training.linear_probe import PredictedGain
from edge_cnn.device.training.optimizers.optimizer import State

PREDICTED, TRAINING = "predicted", "training/"


OUTDATED = (
    "model, samples or settings are others than when it was interrupted: training starts anew, and what still "
    "fits of the embeddings is used again"
)


class TrainingCheckpoint:
    """A view of the work folder for one problem; without a folder nothing is saved.

    Args:
        work: the folder.
        key: of the problem; what was saved for another one is not used.
        on_remark: told that it is of another one.
    """

    def __init__(
        self, work: FinetuneWork | None, key: bytes, on_remark: Callable[[str], None] = lambda _: None
    ) -> None:
        self._work = work
        self._saved = (work.recall(key) if work is not None else None) or {}
        if work is not None and work.is_outdated:
            on_remark(OUTDATED)
        self._predicted: dict[str, NDArray[Any]] = {}

    @property
    def training(self) -> State | None:
        """State of the optimizer, where training had begun."""
        found = {name.removeprefix(TRAINING): a for name, a in self._saved.items() if name.startswith(TRAINING)}
        return found or None

    def predicted(self, rng: np.random.Generator, predict: Callable[[], PredictedGain]) -> PredictedGain:
        """The saved prediction with `rng` as it was then, else a new one, which is saved."""
        stored = self._saved.get(PREDICTED)
        if stored is not None:
            self._predicted = {PREDICTED: stored}
            told = json.loads(stored.tobytes())
            rng.bit_generator.state = told["generator"]
            return PredictedGain(**told["gain"] | {"interval": tuple(told["gain"]["interval"])})
        gain = predict()
        told = json.dumps({"gain": asdict(gain), "generator": rng.bit_generator.state}).encode()
        self._predicted = {PREDICTED: np.frombuffer(told, np.uint8)}
        if self._work is not None:
            self._work.save(lambda: self._predicted, now=True)
        return gain

    def save_training(self, state: Callable[[], State]) -> None:
        """After a pass: keep the optimizer's state, if the last save is not fresh."""
        if self._work is not None:
            self._work.save(lambda: self._predicted | {TRAINING + name: a for name, a in state().items()})
