"""Time of a training step: `edge_cnn.host.training.train` against Keras' `fit`, epoch by epoch in turns.

Both train the same network on the same samples in the same batches with Adam, without augmentation, and measure the
same held-out samples after each epoch. The bare side is what one writes: `compile`, then `fit` on float arrays; it may
use XLA, and gives other weights every time. Ours gives the same weights for the same seed, keeps a running mean of
them, and takes down the gradient norm of each layer, all of which is in its time.

Each side is one training in a process of its own, since determinism is a switch for a whole process. It waits before
every epoch until it is its turn, so tracing the graphs is paid in the first epoch, which does not count.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from side_by_side import BARE, EDGE_CNN, alternate, result

GOAL = 1 / 0.95
"""Of the times; of the throughputs it is 0.95."""

ROUNDS = 9
BATCH = 64
NETWORKS = {"lenet": "lenet on digits", "resnet8": "resnet8 on 32x32x3"}


def samples(network: str) -> Any:
    """The real digits, or colour images of noise: time does not depend on what is in them."""
    import numpy as np

    from edge_cnn.core.labelled_images import LabelledImages
    from edge_cnn.host.datasets import load_dataset

    if network == "lenet":
        return load_dataset("digits").train
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2000, 32, 32, 3), dtype=np.uint8)
    return LabelledImages(images, np.arange(2000) % 10, tuple("0123456789"))


class Turns:
    """The child's end: waits for its turn, and tells what the epoch took."""

    def begin(self) -> None:
        if not sys.stdin.readline():
            sys.exit()
        self._start = time.perf_counter()

    def end(self, steps: int) -> None:
        sys.stdout.write(f"{(time.perf_counter() - self._start) / steps}\n")
        sys.stdout.flush()


def train_with_edge_cnn(network: str, turns: Turns) -> None:
    from edge_cnn.host.training import EpochRecord, StepProgress, TrainConfig, train

    steps = 0

    def on_step(progress: StepProgress) -> None:
        nonlocal steps
        steps = progress.steps

    def on_epoch(record: EpochRecord) -> None:
        if record.epoch:
            turns.end(steps)
        turns.begin()

    config = TrainConfig(network, epochs=10_000, batch_size=BATCH, learning_rate=1e-3, augmentation=None, patience=None)
    train(config, samples(network), on_epoch=on_epoch, on_step=on_step)


def train_with_fit(network: str, turns: Turns) -> None:
    import keras
    import numpy as np

    from edge_cnn.core.labelled_images import stratified_split
    from edge_cnn.host.architectures import build_model

    class Callback(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            del epoch, logs
            turns.begin()

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            del epoch, logs
            turns.end(self.params["steps"])

    part = samples(network)
    fitted, held_out = stratified_split(part.labels, 0.1, np.random.default_rng(0))
    # What does not fill a batch is left out, as ours does.
    fitted = fitted[: len(fitted) // BATCH * BATCH]
    inputs = part.images.astype(np.float32) / 255
    model = build_model(network, inputs.shape[1:], len(part.class_names))
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(
        inputs[fitted],
        part.labels[fitted],
        batch_size=BATCH,
        epochs=10_000,
        validation_data=(inputs[held_out], part.labels[held_out]),
        verbose=0,
        callbacks=[Callback()],
    )


SIDES: dict[str, Callable[[str, Turns], None]] = {EDGE_CNN: train_with_edge_cnn, BARE: train_with_fit}


def measure(network: str, rounds: int = ROUNDS) -> dict[str, Any]:
    """Median milliseconds a step of both sides, and the median ratio of a round."""
    children = {
        side: subprocess.Popen(
            [sys.executable, __file__, "--network", network, "--side", side],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
            text=True,
        )
        for side in SIDES
    }

    def epoch(side: str) -> float:
        child = children[side]
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write("go\n")
        child.stdin.flush()
        return 1e3 * float(child.stdout.readline())

    try:
        for side in SIDES:
            epoch(side)
            epoch(side)
        times = alternate({side: functools.partial(epoch, side) for side in SIDES}, rounds)
    finally:
        for child in children.values():
            child.kill()
            child.communicate()
    return result(f"training step, {NETWORKS[network]}", times, unit="ms", goal=round(GOAL, 3))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--network", choices=list(NETWORKS), help="one of them; both where it is not given")
    parser.add_argument("--side", choices=list(SIDES), help="be one side, and take turns by stdin and stdout")
    parser.add_argument("--bundle", type=Path, help="of no use here: every benchmark is given it")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    if chosen.side is not None:
        SIDES[chosen.side](chosen.network, Turns())
        return 0
    networks = [chosen.network] if chosen.network else list(NETWORKS)
    sys.stdout.write(json.dumps([measure(network, chosen.rounds) for network in networks]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
