"""What `edge-cnn train` says of the course of a training: the learning rate that was chosen, and what goes wrong."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edge_cnn.cli.console import Console
    from edge_cnn.core.labelled_images import LabelledImages
    from edge_cnn.host.diagnosis import Finding
    from edge_cnn.host.training import EpochRecord, TrainConfig
    from edge_cnn.host.training.rate_choice import RangeTest


class Watch:
    """Says each finding once, when it is first found."""

    def __init__(
        self,
        console: Console,
        config: TrainConfig,
        samples: LabelledImages,
        on_epoch: Callable[[EpochRecord], None],
        history: tuple[EpochRecord, ...] = (),
        which: str = "",
    ) -> None:
        """Look over the shoulder of `on_epoch`, which is told first.

        Args:
            console: where it is said.
            config: of the training.
            samples: that it is given.
            on_epoch: told of each record.
            history: epochs that were before, of a training that goes on.
            which: of several trainings, before what is said.
        """
        from edge_cnn.host.diagnosis import constant_loss

        self._console, self._config, self._on_epoch = console, config, on_epoch
        self._constant_loss = constant_loss(config, samples.labels, samples.class_names)
        self._history, self._which = history, which
        self._auto_rate = False
        self._said: set[str] = set()

    def on_range_test(self, tested: RangeTest) -> None:
        """Say what was chosen, and why."""
        self._config = replace(self._config, learning_rate=tested.learning_rate)
        self._auto_rate = True
        self._console.note(f"learning rate {tested.reason}")

    def on_epoch(self, record: EpochRecord) -> None:
        """Look at the history with this epoch."""
        from edge_cnn.host.diagnosis import Trajectory, diagnose

        self._on_epoch(record)
        self._history = (*self._history, record)
        trajectory = Trajectory(self._history, self._config, self._constant_loss, auto_rate=self._auto_rate)
        for finding in diagnose(trajectory):
            if finding.name not in self._said:
                self._said.add(finding.name)
                if sys.stderr.isatty():
                    click.echo(err=True)  # the line of the progress bar stays as it is
                self._console.note(f"{self._which}epoch {record.epoch}: {finding}")


def last_words(findings: tuple[Finding, ...], before: str) -> str:
    """The end of the summary: what was found over the whole training.

    Args:
        findings: at its end.
        before: what was found on the way, as `passed` gives it.
    """
    if findings:
        return "\n".join(map(str, findings))
    end = f" at the end; {before} is over" if before else ""
    return f"diagnosis: nothing to worry about{end}"
