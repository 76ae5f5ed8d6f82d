"""One training of `edge-cnn train`, or several from other initial weights, with all who look on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_cnn.cli.console import Console
from edge_cnn.cli.train_checkpoint import note_interrupted
from edge_cnn.cli.train_diagnosis import Watch
from edge_cnn.cli.train_live import Live, note_ending
from edge_cnn.cli.train_restarts import note_restarts
from edge_cnn.cli.train_start import initial_model
from edge_cnn.cli.train_workers import pausing

if TYPE_CHECKING:
    from edge_cnn.host.datasets import Dataset
    from edge_cnn.host.decision_surface.film import Film, Frame
    from edge_cnn.host.restarts.restarts import Restarts
    from edge_cnn.host.restarts.symmetry import Symmetry, UnitWatch
    from edge_cnn.host.training import TrainConfig, TrainingState, TrainResult, View
    from edge_cnn.host.training.checkpointing import Checkpointing
    from edge_cnn.host.training_report.live_page import LivePage
    from edge_cnn.host.transfer.start import Start
    from edge_cnn.host.workers.team import Team


@dataclass(frozen=True)
class Trained:
    """What training came to.

    Attributes:
        restarts: all trainings, with the result of the one that is kept.
        symmetry: what became of a start that was not random; None where it was.
        frames: of the decision surface on the way, of the training that is kept.
    """

    restarts: Restarts
    symmetry: Symmetry | None
    frames: tuple[Frame, ...]


@dataclass(frozen=True)
class TrainingJob:
    """What is to be trained.

    Attributes:
        console: of the command.
        out: its folder.
        dataset: training and test part.
        config: how.
        count: so many times.
        start: the trained network to start from; None for new weights.
        watches_test: whether the test part's loss is recorded each epoch.
        team: other workers that share every batch; None without any.
    """

    console: Console
    out: Path
    dataset: Dataset
    config: TrainConfig
    count: int
    start: Start | None
    watches_test: bool
    team: Team | None

    @property
    def trains_several(self) -> bool:
        """Whether there is more than one training, so that none of them can be gone on with."""
        return trains_several(self.config, self.count)

    def run(
        self,
        state: TrainingState | None,
        checkpoints: Checkpointing,
        page: LivePage | None,
        tensorboard: Path | None,
    ) -> Trained:
        """Train to the end, or to Ctrl-C.

        Args:
            state: to go on from; None starts at the beginning.
            checkpoints: writes the state now and then.
            page: to watch in a browser; None for none.
            tensorboard: folder for logs; None for none.

        Raises:
            KeyboardInterrupt: there is nothing worth keeping yet.
            CheckFailedError: the loss was not finite before there was anything worth keeping.
        """
        from edge_cnn.host.decision_surface.film import Film
        from edge_cnn.host.decision_surface.plane import plane_of
        from edge_cnn.host.restarts.restarts import train_restarts
        from edge_cnn.host.restarts.symmetry import UnitWatch, symmetry_of
        from edge_cnn.host.training.tensorboard import TensorBoardLogs

        plane = plane_of(self.dataset.train, self.dataset.test)
        films: dict[tuple[str, int | None], Film] = {}
        fixed = self.config.initialization != "random"
        logs = TensorBoardLogs(tensorboard, self.trains_several, 0 if state is None else state.epoch)
        total = (self.count + fixed) * self.config.epochs
        with self.console.progress("training", total) as update, checkpoints:
            live = Live(update, self.config.epochs, self.count)

            def train_one(asked: TrainConfig, units: UnitWatch | None = None) -> TrainResult:
                film = films[_start_of(asked)] = Film(plane)
                with logs.one() as log:
                    views = [look.on_view for look in (page, film, units, log) if look is not None]
                    return self._train(asked, state, live, views, checkpoints)

            units = UnitWatch() if fixed else None
            restarts = train_restarts(lambda asked: train_one(asked, units), self.config, self.count, live.on_restart)
            result = restarts.result
            if result.interrupted:
                note_interrupted(self.console, self.out)
            if result.interrupted and result.best_epoch == 0:
                raise KeyboardInterrupt
            live.on_random_beside()
            symmetry = None if units is None else symmetry_of(result, units, train_one)
        note_ending(self.console, result)
        note_restarts(self.console, restarts)
        return Trained(restarts, symmetry, films[_start_of(result.config)].frames)

    def _train(
        self,
        asked: TrainConfig,
        state: TrainingState | None,
        live: Live,
        views: list[Callable[[View], None]],
        checkpoints: Checkpointing,
    ) -> TrainResult:
        from edge_cnn.host.training import train

        def on_view(view: View) -> None:
            for look in views:
                look(view)

        on_pause: Any = None
        if self.team is not None:
            on_pause = pausing(self.team, checkpoints)
        elif not self.trains_several:
            on_pause = checkpoints.on_pause
        told = () if state is None else state.history
        watch = Watch(self.console, asked, self.dataset.train, live.on_epoch, told)
        return train(
            asked,
            self.dataset.train,
            preprocessing=None if self.start is None else self.start.pretrained.preprocessing,
            watched=self.dataset.test if self.watches_test else None,
            initial=initial_model(self.start, asked),
            state=state,
            team=self.team,
            on_epoch=watch.on_epoch,
            on_step=live.on_step,
            on_view=on_view,
            on_pause=on_pause,
            on_range_test=watch.on_range_test,
        )


def trains_several(config: TrainConfig, count: int) -> bool:
    """Whether `count` trainings of a configuration are more than one."""
    return count > 1 or config.initialization != "random"


def live_page(job: TrainingJob, leads: bool) -> contextlib.AbstractContextManager[LivePage | None]:
    """The page to watch the training on, which the chief of several workers writes alone."""
    from edge_cnn.host.training_report.live_page import PROGRESS, LivePage

    if not leads:
        return contextlib.nullcontext()
    path = job.out / PROGRESS

    def on_first() -> None:
        job.console.note(f"open {path} in a browser to watch")

    return LivePage(path, job.dataset, job.config, on_first=on_first, on_failure=job.console.note)


def _start_of(config: TrainConfig) -> tuple[str, int | None]:
    """What the trainings of a job differ in."""
    return config.initialization, config.initial_seed
