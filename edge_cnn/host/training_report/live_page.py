"""A page that shows how a training goes while it goes: written anew every few seconds, and reloading itself."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from edge_cnn.core.atomic_file import write_atomically
from edge_cnn.core.errors import EdgeCnnError
from edge_cnn.host.charts import FIRST, INK, SECOND, error_of
from edge_cnn.host.datasets import Dataset
from edge_cnn.host.decision_surface.plane import plane_of
from edge_cnn.host.decision_surface.surfaces import SurfaceProbe, can_be_probed
from edge_cnn.host.log_chart import Curve, log_chart
from edge_cnn.host.page_template import render
from edge_cnn.host.training import EpochRecord, TrainConfig, View
from edge_cnn.host.training.objectives import find_objective
from edge_cnn.host.training_report.decision_surface import neuron_section, surface_section
from edge_cnn.host.training_report.section import Section

PROGRESS = "progress.html"

SECONDS_BETWEEN = 2.0
"""Pages come no faster, and a browser reloads so often."""

SHARE_OF_TIME = 0.02
"""Of the training's time, that pages may take: after one that took t seconds there is none for 49 t. The first, which
loads what draws, is not counted."""

LARGE, SMALL = 64, 20
"""Sides of the surfaces, in points: coarser than in the report, so that a page is made in hundredths of a second."""


class LivePage:
    """Observer of a training; as a context it removes the page in the end, unless `end` was called."""

    def __init__(
        self,
        path: Path,
        dataset: Dataset,
        config: TrainConfig,
        *,
        on_first: Callable[[], None] = lambda: None,
        on_failure: Callable[[str], None] = lambda _reason: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; nothing is written yet.

        Args:
            path: of the page; its folder is made if need be.
            dataset: whose points are shown, if they lie on a plane.
            config: of the training.
            on_first: told when there is a page to open.
            on_failure: told once if a page cannot be written; the training goes on without.
            clock: seconds.
        """
        self.path, self._dataset, self._config = path, dataset, config
        self._on_first, self._on_failure, self._clock = on_first, on_failure, clock
        self._plane = plane_of(dataset.train, dataset.test)
        self._probe: SurfaceProbe | None = None
        self._next = -math.inf
        self._written = self._made_folder = self._ended = self._failed = self._warm = False

    def on_view(self, view: View) -> None:
        """Write a page, if it is time for one."""
        begun = self._clock()
        if begun < self._next:
            return
        self._write(lambda: self._page(view))
        now = self._clock()
        rest = (now - begun) * (1 / SHARE_OF_TIME - 1) if self._warm else 0.0
        self._next, self._warm = max(begun + SECONDS_BETWEEN, now + rest), True

    def end(self, report: str, *, interrupted: bool = False) -> None:
        """Leave a page that leads a browser which is still open to the file `report` beside it."""
        self._ended = True
        if self._written:
            title = "Interrupted" if interrupted else "Trained"
            text = "The best so far is kept." if interrupted else "The training has ended."
            self._write(lambda: _page(f"1; url={report}", title, text, [], []))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._written and not self._ended:
            with contextlib.suppress(OSError):
                self.path.unlink()
                if self._made_folder:
                    self.path.parent.rmdir()

    def _write(self, make: Callable[[], str]) -> None:
        if self._failed:
            return
        try:
            if not self.path.parent.is_dir():
                self.path.parent.mkdir(parents=True)
                self._made_folder = True
            write_atomically(self.path, make().encode())
            if not self._written:
                self._on_first()
            self._written = True
        except (EdgeCnnError, OSError) as error:
            self._failed = True
            reason = error if isinstance(error, EdgeCnnError) else f"cannot write {self.path}: {error.strerror}"
            self._on_failure(f"no progress page ({reason}); the training goes on without it")

    def _page(self, view: View) -> str:
        record, config = view.record, self._config
        spent = sum(epoch.seconds for epoch in view.history)
        left = (config.epochs - record.epoch) * spent / max(record.epoch, 1)
        return _page(
            f"{SECONDS_BETWEEN:g}",
            f"{config.architecture} on {Path(self._dataset.name).name}: epoch {record.epoch} of {config.epochs}",
            f"Written at {time.strftime('%H:%M:%S')}, anew every few seconds while the training goes. If that was "
            "minutes ago, it was killed, and the same command with --resume goes on.",
            [*_cards(record), {"value": _duration(spent), "label": "so far"}]
            + ([{"value": _duration(left), "label": "left at most"}] if record.epoch else []),
            [*_curves(view.history, config.objective), *self._surfaces(view)],
        )

    def _surfaces(self, view: View) -> list[Section]:
        network = view.graph.mean
        if self._plane is None or not can_be_probed(network):
            return []
        if self._probe is None or self._probe.model is not network:
            self._probe = SurfaceProbe(network, self._plane)
        made = (
            surface_section(self._probe, self._dataset.train, self._dataset.test, LARGE),
            neuron_section(self._probe, SMALL),
        )
        return [section for section in made if section is not None]


def _page(refresh: str, title: str, summary: str, cards: Sequence[dict[str, str]], sections: Sequence[Section]) -> str:
    values = {"refresh": refresh, "title": title, "summary": summary, "cards": cards, "sections": sections}
    return render("edge_cnn.host", PROGRESS, **values)


def _cards(record: EpochRecord) -> list[dict[str, str]]:
    cards = [
        {"value": f"{record.loss:.4f}", "label": "loss of training"},
        {"value": f"{record.val_loss:.4f}", "label": "loss of validation"},
    ]
    if math.isfinite(record.val_accuracy):
        cards.append({"value": f"{100 * record.val_accuracy:.1f} %", "label": "right of validation"})
    if record.test_loss is not None:
        cards.append({"value": f"{record.test_loss:.4f}", "label": "loss of the test part"})
    if record.test_wrong is not None:
        cards.append({"value": f"{record.test_wrong}", "label": "wrong of the test part"})
    return cards


def _curves(history: Sequence[EpochRecord], objective: str) -> list[Section]:
    epochs = [record.epoch for record in history]
    losses = [
        Curve("training", FIRST, epochs, [record.loss for record in history]),
        Curve("validation", SECOND, epochs, [record.val_loss for record in history]),
    ]
    tested = [record for record in history if record.test_loss is not None]
    if tested:
        losses.append(Curve("test", INK, [r.epoch for r in tested], [r.test_loss or 0.0 for r in tested]))
    charts = log_chart(f"loss ({find_objective(objective).unit})", losses)
    if any(math.isfinite(record.val_accuracy) for record in history):
        charts += log_chart(
            "error (share of wrong answers)",
            [
                Curve("training", FIRST, epochs, error_of([record.accuracy for record in history]).tolist()),
                Curve("validation", SECOND, epochs, error_of([record.val_accuracy for record in history]).tolist()),
            ],
        )
    return [Section("Learning", charts)]


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
