"""`--resume` and `--checkpoint-every`: how `edge-cnn train` goes on after a kill."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from edge_cnn.cli.console import Console
from edge_cnn.cli.train_start import initial_model
from edge_cnn.core.errors import InputError

if TYPE_CHECKING:
    from edge_cnn.core.labelled_images import LabelledImages
    from edge_cnn.host.training import TrainConfig
    from edge_cnn.host.training.checkpoint import Checkpoint
    from edge_cnn.host.training.checkpointing import Checkpointing
    from edge_cnn.host.transfer.pretrained import Pretrained
    from edge_cnn.host.transfer.start import Start

LITTLE_WORK = 60.0
"""Seconds of training that may go without asking: somebody has pressed Ctrl-C and corrected an option."""


def find_checkpoint(out: Path, resume: bool, console: Console) -> Checkpoint | None:
    """What to go on from; None to start at the beginning.

    Raises:
        InputError: none is there, or it is damaged, with `resume`; without it, hours of work would be lost.
    """
    from edge_cnn.host.training.checkpoint import NAME, read_checkpoint

    path = out / NAME
    if not path.exists():
        if not resume:
            return None
        ended = (
            "the training there has ended" if (out / "model.keras").exists() else "no training was interrupted there"
        )
        raise InputError(f"--resume: there is no {path}, {ended}; leave --resume out to start one")
    if resume:
        return read_checkpoint(path)
    try:
        found = read_checkpoint(path)
    except InputError:
        console.note(f"{path} is damaged and of no use; the training starts at the beginning")
        return None
    if found.seconds >= LITTLE_WORK:
        raise InputError(
            f"{path} holds a training that was interrupted in {found.place}, {_duration(found.seconds)} of work; "
            "add --resume to go on, give another --out, or delete it"
        )
    console.note(
        f"starts at the beginning; what was interrupted here in {found.place} was {_duration(found.seconds)} of work"
    )
    return None


def start_checkpoints(
    out: Path,
    config: TrainConfig,
    samples: LabelledImages,
    found: Checkpoint | None,
    every: float,
    console: Console,
) -> Checkpointing:
    """What writes checkpoints of this training, from the state in `found` on.

    Raises:
        InputError: `found` is of another training.
    """
    from edge_cnn.host.training.checkpoint import NAME, Origin, check_origin
    from edge_cnn.host.training.checkpointing import Checkpointing
    from edge_cnn.host.training.files import versions

    path = out / NAME
    origin = Origin(config.to_json(), samples.fingerprint(), versions())
    if found is not None:
        remark = check_origin(found, origin, path, config, samples)
        console.note(f"going on in {found.place}" + (f"; {remark}" if remark else ""))
    else:
        path.unlink(missing_ok=True)
    return Checkpointing(path, origin, every, console.note)


def settle(
    config: TrainConfig,
    samples: LabelledImages,
    found: Checkpoint | None,
    pretrained: Pretrained | None,
    start: Start | None,
    console: Console,
) -> TrainConfig:
    """The configuration with what is chosen by measuring: as it was chosen before, or now, and says what and why."""
    from edge_cnn.host.training.checkpoint import settled
    from edge_cnn.host.training.precision import AUTO
    from edge_cnn.host.training.precision_trial import settle_precision

    if found is not None:
        return settled(config, found)
    if config.precision != AUTO:
        return config
    preprocessing = None if pretrained is None else pretrained.preprocessing
    config, choice = settle_precision(config, samples, preprocessing, initial_model(start, config))
    if choice is not None:
        console.note(f"precision {choice.precision}: {choice.reason}")
    return config


def note_interrupted(console: Console, out: Path) -> None:
    """Say how to go on, where there is something to go on from."""
    from edge_cnn.host.training.checkpoint import NAME

    if (out / NAME).exists():
        console.note(f"the same command with --resume goes on from {out / NAME}")


@contextlib.contextmanager
def told_to_resume(out: Path) -> Generator[None]:
    """Where results cannot be written, the checkpoint still holds the training.

    Raises:
        InputError: as before, with how to go on.
    """
    from edge_cnn.host.training.checkpoint import NAME

    try:
        yield
    except InputError as error:
        if not (out / NAME).exists():
            raise
        raise InputError(f"{error}, then the same command with --resume goes on") from error


def _duration(seconds: float) -> str:
    """As a person says it: 40 s, 12 min, 3 h 5 min."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"
