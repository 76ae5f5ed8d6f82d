import math
from dataclasses import replace

import numpy as np
import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.host.training import EpochRecord, TrainingState
from edge_cnn.host.training.records import BestEpoch
from edge_cnn.host.workers.saved_state import state_from_bytes, state_to_bytes

RNG = np.random.default_rng(0)
STATE = TrainingState(
    4,
    2,
    [RNG.normal(size=(3, 4)).astype(np.float32), np.array(7, np.int64), np.array([1, 2], np.uint32)],
    (EpochRecord(0, 0.1 + 0.2, 1 / 3, math.nan, 0.5, 0.0), EpochRecord(1, 1e-30, 2.0, 0.5, 0.5, 1e-3, 0.7, {"a": 0.1})),
    BestEpoch(0, math.inf, [RNG.normal(size=5).astype(np.float32)]),
    1.25,
)


def test_a_state_comes_back_bit_for_bit():
    back = state_from_bytes(state_to_bytes(STATE))
    for mine, theirs in ((STATE.variables, back.variables), (STATE.best.weights, back.best.weights)):
        assert [(a.dtype, a.shape, a.tobytes()) for a in mine] == [(a.dtype, a.shape, a.tobytes()) for a in theirs]
    # Also what compares unequal to itself.
    assert repr(replace(back, variables=[], best=replace(back.best, weights=[]))) == repr(
        replace(STATE, variables=[], best=replace(STATE.best, weights=[]))
    )


@pytest.mark.parametrize("data", [b"", b"PK", state_to_bytes(STATE)[:-200], state_to_bytes(STATE)[:300]])
def test_what_is_no_state_is_one_clear_line(data):
    with pytest.raises(InputError, match="the saved state of the training cannot be read"):
        state_from_bytes(data)
