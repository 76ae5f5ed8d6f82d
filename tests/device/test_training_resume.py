"""Training that goes on from a saved state against training that was never interrupted: not a bit may differ."""

from __future__ import annotations

import dataclasses
import functools
import io
import signal
import subprocess
import sys

import numpy as np
import pytest

from edge_cnn.core.errors import InputError
from edge_cnn.device.training.embedding_rows import CodeRows, DenseRows
from edge_cnn.device.training.head_training import Ended, TrainedHead, TrainingConfig, balancing_weights, train_head
from edge_cnn.device.training.optimizers.optimizer import OptimizerSettings, State
from edge_cnn.device.training.optimizers.table import OPTIMIZERS
from edge_cnn.device.training.problem import HeadProblem

NAMES = sorted(OPTIMIZERS)
CLASSES, HELD = 4, 100
SHAPES = {"warm-up": (700, 800), "metric": (700, 40)}
"""Samples and features; what quasi-Newton makes of them."""

PASSES = 14  # more than the steps that quasi-Newton remembers


@functools.cache
def codes_and_labels(samples: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    """Drawn once, and read-only: trainings share them."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, samples + HELD)
    spread = rng.normal(0, 25, (samples + HELD, features))
    codes = rng.normal(0, 8, (CLASSES, features))[labels] + spread
    # Some labels are wrong, so that the held-out loss rises again.
    wrong = rng.random(len(labels)) < 0.2
    labels[wrong] = rng.integers(0, CLASSES, int(wrong.sum()))
    drawn = np.clip(codes, -128, 127).astype(np.int8), labels.astype(np.int64)
    for array in drawn:
        array.setflags(write=False)
    return drawn


@dataclasses.dataclass(frozen=True)
class Case:
    name: str
    dense: bool = True
    held_out: bool = True
    threads: int = 1
    patience: int | None = None
    tolerance: float = 1e-9
    l2: float = 1e-3
    passes: int = PASSES
    shape: str = "warm-up"

    def train(self, seed: int = 5, **others) -> TrainedHead:
        samples, width = SHAPES[self.shape]
        codes, labels = codes_and_labels(samples, width)
        coded = CodeRows(codes, None, np.full(width, 3, np.float32), np.full(width, 0.04, np.float32))
        rows = DenseRows(coded.take(slice(None))) if self.dense else coded
        inside, outside = np.arange(samples), np.arange(samples, samples + HELD)
        anchor = np.random.default_rng(1).normal(0, 0.02, (CLASSES, width + 1)).astype(np.float32)
        problem = HeadProblem(
            rows.select(inside), labels[inside], anchor, self.l2, balancing_weights(labels[inside]), 0.1, self.threads
        )
        settings = OptimizerSettings(passes=self.passes, tolerance=self.tolerance, batch_size=64)
        return train_head(
            problem,
            np.asfortranarray(anchor),
            TrainingConfig(self.name, settings, patience=self.patience),
            np.random.default_rng(seed),
            (rows.select(outside), labels[outside]) if self.held_out else None,
            **others,
        )


def through_a_file(state: State) -> State:
    file = io.BytesIO()
    np.savez(file, **state)
    file.seek(0)
    with np.load(file, allow_pickle=False) as arrays:
        return {name: arrays[name] for name in arrays.files}


def bits(trained: TrainedHead) -> tuple[object, ...]:
    """All of it, where NaN equals NaN."""
    history = [tuple(value.hex() for value in map(float, dataclasses.astuple(epoch))) for epoch in trained.history]
    return (
        trained.parameters.tobytes(),
        trained.optimizer,
        trained.steps,
        trained.learning_rate.hex(),
        history,
        trained.ended,
    )


def saved_states(case: Case) -> tuple[TrainedHead, list[State]]:
    """Kept as they are until the end: a state that later passes write to would show."""
    states: list[State] = []
    trained = case.train(on_pass=lambda snapshot: states.append(snapshot()))
    return trained, states


CASES = [
    *(Case(name, dense, held_out) for name in NAMES for dense in (True, False) for held_out in (True, False)),
    *(Case(name, threads=2) for name in NAMES),
    *(Case(name, shape="metric") for name in NAMES),
    Case("quasi-newton", dense=False, shape="metric"),
    *(Case(name, patience=2) for name in NAMES),
    *(Case(name, tolerance=0.5, l2=1.0) for name in NAMES),
    Case("auto"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_training_goes_on_bit_for_bit_from_every_pass_at_which_it_can_be_cut(case):
    whole, states = saved_states(case)
    assert bits(case.train()) == bits(whole), "saving changed something"
    assert len(states) == len(whole.history)
    for number, state in enumerate(states, 1):
        # Another generator, as its place is in the state.
        again = case.train(seed=99, resumed=through_a_file(state))
        assert bits(again) == bits(whole), f"cut after pass {number}"


@pytest.mark.parametrize("name", NAMES)
def test_training_that_is_cut_after_every_pass_ends_where_it_would_have(name):
    case = Case(name)
    whole = case.train()

    class CutError(Exception):
        pass

    state: State | None = None

    def cut(snapshot):
        nonlocal state
        state = through_a_file(snapshot())
        raise CutError

    for _ in whole.history:
        with pytest.raises(CutError):
            case.train(resumed=state, on_pass=cut)
    assert bits(case.train(resumed=state, on_pass=cut)) == bits(whole)


def test_the_shapes_are_what_they_are_called():
    for shape, (warm, metric) in {"warm-up": (True, False), "metric": (False, True)}.items():
        _, states = saved_states(Case("quasi-newton", shape=shape, passes=6))
        assert (int(states[0]["optimizer.stage"]) == 0) == warm
        assert int(states[5]["optimizer.stage"]) == 1
        assert (states[5]["optimizer.metric"].size > 0) == metric


def test_a_resumed_pass_tells_of_itself_alone():
    told: list[int] = []
    _, states = saved_states(Case("sgd"))
    Case("sgd").train(resumed=states[9], on_epoch=lambda epoch: told.append(epoch.epoch))
    assert told == list(range(11, PASSES + 1))


@pytest.mark.parametrize("name", NAMES)
def test_another_process_goes_on_where_one_was_killed(name, tmp_path):
    script = f"""
import os, signal, sys
import numpy as np
from tests.device.test_training_resume import Case, bits

def save_and_die(snapshot):
    state = snapshot()
    if int(state["passes"]) == 6:
        np.savez({str(tmp_path / "state.npz")!r}, **state)
        os.kill(os.getpid(), signal.SIGKILL)

resumed = None
if sys.argv[1] == "resume":
    resumed = dict(np.load({str(tmp_path / "state.npz")!r}))
    save_and_die = lambda snapshot: None
sys.stdout.write(repr(bits(Case({name!r}).train(resumed=resumed, on_pass=save_and_die))))
"""
    killed = subprocess.run([sys.executable, "-c", script, "die"], capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL
    resumed = subprocess.run([sys.executable, "-c", script, "resume"], capture_output=True, text=True, check=True)
    assert resumed.stdout == repr(bits(Case(name).train()))


@pytest.mark.parametrize("after", [1, 5])
@pytest.mark.parametrize("name", NAMES)
def test_a_state_that_lacks_anything_or_has_another_shape_is_refused_in_one_line(name, after):
    case = Case(name)
    _, states = saved_states(case)
    state = states[after - 1]
    for key, values in state.items():
        longer = np.zeros((len(values) + 1, *values.shape[1:]), values.dtype) if values.ndim else values[None]
        for wrong in ({k: v for k, v in state.items() if k != key}, state | {key: longer}):
            with pytest.raises(InputError, match=r"^saved training does not fit: .*; start it anew$"):
                case.train(resumed=wrong)


def test_a_state_of_another_optimizer_or_another_head_is_refused():
    _, (state, *_) = saved_states(Case("sgd"))
    with pytest.raises(InputError, match="it is of sgd, not of accelerated; start it anew"):
        Case("accelerated").train(resumed=state)
    with pytest.raises(InputError, match=r"'last' is float32 \(4, 801\), not float32 \(4, 41\)"):
        Case("sgd", shape="metric").train(resumed=state)
    with pytest.raises(InputError, match="it is of nothing, not of sgd"):
        Case("sgd").train(resumed={})


def test_it_says_why_training_ended():
    assert Case("sgd").train().ended == Ended.PASSES == "number of passes"
    for name in ("quasi-newton", "accelerated"):
        near = Case(name, tolerance=0.5, l2=1.0).train()
        assert near.ended == Ended.OPTIMUM == "at the optimum"
        assert len(near.history) < PASSES
    early = Case("quasi-newton", patience=2, shape="metric").train()
    assert early.ended == Ended.PATIENCE == "held-out loss stopped falling"
    losses = [epoch.holdout_loss for epoch in early.history]
    assert min(losses) == losses[-3]


def test_a_warm_up_is_not_what_exhausts_patience():
    trained = Case("quasi-newton", patience=1).train()
    losses = [epoch.holdout_loss for epoch in trained.history]
    assert losses[1] > losses[0]  # it would have
    assert len(losses) > 2
    assert trained.ended == Ended.PATIENCE
