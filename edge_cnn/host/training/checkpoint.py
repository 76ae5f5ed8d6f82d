"""A training's whole state in one file, `OUT/checkpoint.npz`: after a kill it goes on to the same bytes.

The file is replaced at once or not at all. It holds arrays and JSON, nothing that runs when it is read, and a SHA-256
over everything. What the training is of stands in it too: with other options or other data it would not be the same.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.atomic_file import write_atomically
from edge_cnn.core.errors import DataError, InputError
from edge_cnn.core.labelled_images import LabelledImages, stratified_split
from edge_cnn.core.npz import pack_npz, unpack_npz
from edge_cnn.host.training.config import TrainConfig
from edge_cnn.host.training.differences import differing, told
from edge_cnn.host.training.precision import AUTO
from edge_cnn.host.training.records import BestEpoch, EpochRecord, TrainingState
from edge_cnn.host.training.schedules import Course, learning_rates, warm_up_steps

NAME = "checkpoint.npz"

FORMAT = 1
MAX_BYTES = 2**34
_ABOUT, _CHECKSUM, _VARIABLE, _BEST = "about", "sha256", "variable/", "best/"

_ANEW = "delete it to start anew, without --resume"

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Origin:
    """What a training is of.

    Attributes:
        options: `TrainConfig.to_json`.
        data: fingerprint of the training part.
        versions: of what computes, by name.
    """

    options: dict[str, Any]
    data: str
    versions: dict[str, str]


@dataclass(frozen=True)
class Checkpoint:
    """What a file holds: the state, and what it is of."""

    state: TrainingState
    origin: Origin

    @property
    def seconds(self) -> float:
        """What it took to come so far."""
        return sum(record.seconds for record in self.state.history) + self.state.seconds

    @property
    def place(self) -> str:
        """Where it stands, in words."""
        return f"epoch {self.state.epoch} of {self.origin.options['epochs']}, after step {self.state.step}"


def write_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Replace the file.

    Raises:
        InputError: the folder cannot be written to, or the disk is full; the file before is still there, whole.
    """
    state = checkpoint.state
    about = {
        "format": FORMAT,
        "origin": asdict(checkpoint.origin),
        "epoch": state.epoch,
        "step": state.step,
        "seconds": state.seconds,
        "history": [asdict(record) for record in state.history],
        "best": {"epoch": state.best.epoch, "val_loss": state.best.val_loss},
    }
    arrays: Arrays = {_ABOUT: np.frombuffer(json.dumps(about).encode(), np.uint8)}
    for prefix, values in ((_VARIABLE, state.variables), (_BEST, state.best.weights)):
        arrays |= {f"{prefix}{number:05}": value for number, value in enumerate(values)}
    write_atomically(path, pack_npz(arrays | {_CHECKSUM: _checksum(arrays)}))


def read_checkpoint(path: Path) -> Checkpoint:
    """What `write_checkpoint` wrote.

    Raises:
        InputError: the file cannot be read, is damaged, or is of another version of this format.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; {_ANEW}") from error
    return unpack_checkpoint(data, path)


def unpack_checkpoint(data: bytes, path: Path) -> Checkpoint:
    """The content of a file, which stands or stood at `path`; raises as `read_checkpoint`."""
    try:
        arrays = unpack_npz(data, name="it", max_bytes=MAX_BYTES)
        checksum = arrays.pop(_CHECKSUM)
        if checksum.tobytes() != _checksum(arrays).tobytes():
            raise ValueError("its checksum is wrong")
        about = json.loads(arrays.pop(_ABOUT).tobytes())
        if about["format"] != FORMAT:
            raise InputError(f"{path} has format {about['format']}, this edge-cnn reads {FORMAT}; {_ANEW}")
        best = BestEpoch(about["best"]["epoch"], about["best"]["val_loss"], _numbered(arrays, _BEST))
        history = tuple(EpochRecord(**record) for record in about["history"])
        state = TrainingState(
            about["epoch"], about["step"], _numbered(arrays, _VARIABLE), history, best, about["seconds"]
        )
        return Checkpoint(state, Origin(**about["origin"]))
    except (DataError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is damaged: {str(error).partition(';')[0]}; {_ANEW}") from error


def settled(config: TrainConfig, found: Checkpoint) -> TrainConfig:
    """The configuration with what was chosen by measuring when the training began."""
    return replace(config, precision=found.origin.options["precision"]) if config.precision == AUTO else config


def check_origin(found: Checkpoint, wanted: Origin, path: Path, config: TrainConfig, samples: LabelledImages) -> str:
    """Make sure that a checkpoint is of the training that is asked for.

    Returns:
        a remark on other versions of what computes, which give other last bits; empty where they are the same.

    Raises:
        InputError: it has another architecture, other options or other data; says which.
    """
    began, now = found.origin.options, wanted.options
    if found.origin.data != wanted.data:
        raise InputError(
            f"{path} is of a training on other data (fingerprint {found.origin.data[:12]}, now {wanted.data[:12]}); "
            "give the same --data, or another --out"
        )
    if began["architecture"] != now["architecture"]:
        raise InputError(
            f"{path} is of {began['architecture']}, not of {now['architecture']}; give --arch {began['architecture']}, "
            "or another --out"
        )
    other = differing(began, now)
    if other == ["epochs"] and _same_rates(config, began["epochs"], found.state, samples):
        other = []
    if other:
        why = "; the learning rates so far would have been others" if other == ["epochs"] else ""
        raise InputError(
            f"{path} is of a training with another {told(other, began)}{why}; give the same, or another --out"
        )
    versions = [
        f"{name} {version} (now {wanted.versions.get(name, 'none')})"
        for name, version in found.origin.versions.items()
        if wanted.versions.get(name) != version
    ]
    return f"it began with {', '.join(versions)}, so the last bits may differ" if versions else ""


def _same_rates(config: TrainConfig, epochs: int, state: TrainingState, samples: LabelledImages) -> bool:
    """Whether the steps that were taken would have had the same learning rates in a training of `config.epochs`."""
    rng = np.random.default_rng(config.seed)
    fitted = len(stratified_split(samples.labels, config.validation_share, rng)[0])
    steps = fitted // min(config.batch_size, fitted)
    courses = [Course(n, steps, warm_up_steps(config.warm_up, n, steps)) for n in (epochs, config.epochs)]
    for epoch in range(1, state.epoch + 1):
        taken = steps if epoch < state.epoch else state.step
        history = state.history[:epoch]
        first, second = (learning_rates(config.schedule, 1.0, course, epoch, history)[:taken] for course in courses)
        if not np.array_equal(first, second):
            return False
    return True


def _numbered(arrays: Arrays, prefix: str) -> list[NDArray[Any]]:
    return [arrays[name] for name in sorted(arrays) if name.startswith(prefix)]


def _checksum(arrays: Arrays) -> NDArray[np.uint8]:
    """SHA-256 over names, types, shapes and bytes."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.asarray(arrays[name], order="C")
        digest.update(f"{name} {array.dtype.str} {array.shape};".encode())
        digest.update(array.tobytes())
    return np.frombuffer(digest.digest(), np.uint8)
