"""TensorBoard's logs of a training, through tensorboardX: curves, learning rate, gradients, histograms of weights."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Generator
from pathlib import Path
from types import TracebackType

from edge_cnn.core.errors import InputError, UnavailableError
from edge_cnn.host.training.loop import View


class TensorBoardLog:
    """Writes one point an epoch; a context manager around `train`, whose `on_view` it takes.

    Weights are those of the running mean, which validation sees and which the best epoch leaves.
    """

    def __init__(self, folder: Path, first_epoch: int = 0) -> None:
        """Begin a file of events.

        Args:
            folder: made where there is none; files of other trainings in it show as one curve with this one.
            first_epoch: what earlier files say of this epoch and later ones counts no more.

        Raises:
            UnavailableError: tensorboardX is not installed.
            InputError: the folder cannot be written to.
        """
        try:
            from tensorboardX import SummaryWriter  # pyright: ignore[reportMissingImports]  # an extra
        except ImportError as error:
            raise UnavailableError(
                f"--tensorboard needs tensorboardX, which cannot be imported here ({error}); "
                "pip install 'edge-cnn[tensorboard]'"
            ) from error
        try:
            self._writer = SummaryWriter(str(folder), purge_step=first_epoch or None)
        except OSError as error:
            raise InputError(f"cannot write to {folder}: {error.strerror}; give another --tensorboard") from error

    def __enter__(self) -> TensorBoardLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):  # A full disk may not cost the training.
            self._writer.close()

    def on_view(self, view: View) -> None:
        """An epoch has ended."""
        record = view.record
        scalars = {
            "loss/training": record.loss,
            "loss/validation": record.val_loss,
            "loss/test": record.test_loss,
            "accuracy/training": record.accuracy,
            "accuracy/validation": record.val_accuracy,
            "learning_rate": record.learning_rate,
            **{f"gradient_norm/{layer}": norm for layer, norm in record.gradient_norms.items()},
        }
        with contextlib.suppress(OSError):
            for tag, value in scalars.items():
                if value is not None and math.isfinite(value):
                    self._writer.add_scalar(tag, value, record.epoch)
            for variable in view.graph.mean.trainable_variables:
                self._writer.add_histogram(f"weights/{variable.path}", variable.numpy(), record.epoch)
            self._writer.flush()


class TensorBoardLogs:
    """A log for each training of a command: in the folder itself, or where there are several, in folders below it."""

    def __init__(self, folder: Path | None, several: bool, first_epoch: int = 0) -> None:
        """As `TensorBoardLog`; a folder of None logs nothing."""
        self._folder, self._several, self._first_epoch = folder, several, first_epoch
        self._count = 0

    @contextlib.contextmanager
    def one(self) -> Generator[TensorBoardLog | None]:
        """The log of the next training. Raises: as `TensorBoardLog`."""
        if self._folder is None:
            yield None
            return
        self._count += 1
        with TensorBoardLog(
            self._folder / f"training{self._count}" if self._several else self._folder, self._first_epoch
        ) as log:
            yield log
