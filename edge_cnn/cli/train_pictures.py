"""What `edge-cnn train` shows of a training while it goes, and keeps of it for the report."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_cnn.cli.console import Console

if TYPE_CHECKING:
    from edge_cnn.host.datasets import Dataset
    from edge_cnn.host.decision_surface.film import Film, Frame
    from edge_cnn.host.training import TrainConfig, View


class Pictures:
    """The page of the progress, and a film of the decision surface of each training."""

    def __init__(self, out: Path, dataset: Dataset, config: TrainConfig, console: Console) -> None:
        """Tell where to look; where the command fails, the page goes with it."""
        from edge_cnn.host.decision_surface.plane import plane_of
        from edge_cnn.host.training_report.live_page import PROGRESS, LivePage

        page = LivePage(out / PROGRESS, dataset, config, on_failure=console.note)
        self._page = click.get_current_context().with_resource(page)
        self._plane = plane_of(dataset.train, dataset.test)
        # By what one of several trainings differs in from the others.
        self._films: dict[tuple[int | None, str], Film] = {}
        console.note(f"open {page.path} in a browser to watch")

    def one(self, asked: TrainConfig) -> Callable[[View], None]:
        """What is to be told of each epoch of the next training."""
        from edge_cnn.host.decision_surface.film import Film

        film = self._films[asked.initial_seed, asked.initialization] = Film(self._plane)

        def on_view(view: View) -> None:
            self._page.on_view(view)
            film.on_view(view)

        return on_view

    def frames(self, config: TrainConfig) -> tuple[Frame, ...]:
        """Of the training that was asked for so."""
        return self._films[config.initial_seed, config.initialization].frames

    def end(self) -> None:
        """The report is there: lead to it."""
        from edge_cnn.host.training.files import REPORT

        self._page.end(REPORT)
