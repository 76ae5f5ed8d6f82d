"""What a search tells: its trials, and the best of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from edge_cnn.host.training.config import TrainConfig

COMPLETE, PRUNED, DIVERGED = "complete", "pruned", "diverged"


@dataclass(frozen=True)
class Trial:
    """One training of a search.

    Attributes:
        number: from 1, without gaps; one that was taken again after a kill keeps it.
        state: "complete"; "pruned" where it was stopped as worse than the median; "diverged" where its loss was not
            finite.
        val_loss: lowest validation loss; None where no epoch ended.
        epochs: how many ended.
        seconds: what it took.
        values: by name of the parameter; without those that the configuration itself has outside of their range.
        learning_rate: peak, that they come to.
        baseline: whether it is the training without a search, with the values of the configuration itself.
    """

    number: int
    state: str
    val_loss: float | None
    epochs: int
    seconds: float
    values: dict[str, Any]
    learning_rate: float
    baseline: bool = False


@dataclass(frozen=True)
class SearchResult:
    """A finished search.

    Attributes:
        trials: in the order of their numbers.
        best: number of the complete trial with the lowest validation loss.
        config: its configuration.
        importance: share of the variance of the validation loss that goes back to each parameter, largest first
            (Hutter, Hoos and Leyton-Brown 2014); empty where there are too few trials to tell.
        summaries: range of each parameter, for a person.
    """

    trials: tuple[Trial, ...]
    best: int
    config: TrainConfig
    importance: dict[str, float]
    summaries: dict[str, str]

    @property
    def best_trial(self) -> Trial:
        return next(trial for trial in self.trials if trial.number == self.best)

    @property
    def baseline(self) -> Trial | None:
        """The training without a search; None in a study that does not say which one it is."""
        return next((trial for trial in self.trials if trial.baseline), None)

    def to_json(self) -> dict[str, Any]:
        return {
            "best": self.best,
            "parameters": self.best_trial.values,
            "val_loss": self.best_trial.val_loss,
            "config": self.config.to_json(),
            "importance": self.importance,
            "space": self.summaries,
            "trials": [asdict(trial) for trial in self.trials],
        }
