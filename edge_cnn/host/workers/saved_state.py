"""A training's state as bytes, to go from the chief to the other workers and to come back after a loss."""

from __future__ import annotations

import io
import json
from dataclasses import fields
from typing import Any

import numpy as np

from edge_cnn.core.errors import InputError
from edge_cnn.host.training.records import BestEpoch, EpochRecord, TrainingState

_ABOUT, _VARIABLE, _BEST = "about", "variable", "best"


def state_to_bytes(state: TrainingState) -> bytes:
    """As an `.npz`: the arrays, and the numbers beside them as JSON."""
    history = [{field.name: getattr(record, field.name) for field in fields(record)} for record in state.history]
    about = {
        "epoch": state.epoch,
        "step": state.step,
        "seconds": state.seconds,
        "best": [state.best.epoch, state.best.val_loss],
        "history": history,
        "counts": [len(state.variables), len(state.best.weights)],
    }
    arrays: dict[str, Any] = {_ABOUT: np.frombuffer(json.dumps(about).encode(), np.uint8)}
    for name, values in ((_VARIABLE, state.variables), (_BEST, state.best.weights)):
        arrays |= {f"{name}{place}": value for place, value in enumerate(values)}
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def state_from_bytes(data: bytes) -> TrainingState:
    """What `state_to_bytes` wrote.

    Raises:
        InputError: something else, or a part of it.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as arrays:
            about = json.loads(arrays[_ABOUT].tobytes())
            variables, best = (
                [arrays[f"{name}{place}"] for place in range(count)]
                for name, count in zip((_VARIABLE, _BEST), about["counts"], strict=True)
            )
        return TrainingState(
            about["epoch"],
            about["step"],
            variables,
            tuple(EpochRecord(**record) for record in about["history"]),
            BestEpoch(about["best"][0], about["best"][1], best),
            about["seconds"],
        )
    # A damaged ZIP raises many kinds.
    except Exception as error:
        raise InputError(f"the saved state of the training cannot be read ({error}); remove it") from error
