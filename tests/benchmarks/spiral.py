"""The two spirals, seed by seed: the table and the picture of docs/training-spiral.md.

`edge-cnn train --data spiral` as it is, with 200 epochs and with 1,531, beside the network that users of Keras write
first: two tanh layers of 16 and one tanh output, Adam at 0.01, batches of 10, all 250 training points in the
Playground's own coordinates (radius 5), the weights of the last epoch. Both are measured on the same 250 test points by
the Playground's loss, the mean of 1/2 (output - target)^2. Then the same recipe on other shuffles of the points, on
which nothing was chosen.

    python tests/benchmarks/spiral.py --picture docs/spiral.png
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.datasets import DATASETS, load_dataset
from edge_cnn.host.datasets.spiral import DOMAIN, make_points
from edge_cnn.host.tensorflow_import import import_tensorflow
from edge_cnn.host.training import TrainConfig, train

SHORT, LONG = 200, 1531
TEXT_EPOCHS, TEXT_START, TEXT_END = 1531, 0.425, 0.106
"""What the text tells of its run in the Playground."""

PLAIN_WIDTH, PLAIN_RATE, PLAIN_BATCH = 16, 0.01, 10
FIRST_SPLIT = 1
"""Seeds of other shuffles start here; the data set's own is another."""


@dataclass(frozen=True)
class Run:
    """One training.

    Attributes:
        losses: on the test part after each epoch, the untrained network first: (epochs + 1,).
        loss, wrong: of the network that is left, on the test part.
        epoch: whose weights it has.
    """

    losses: NDArray[np.float64]
    loss: float
    wrong: int
    epoch: int

    @property
    def reached(self) -> int | None:
        """First epoch with a loss as low as the text's last one."""
        low = np.flatnonzero(self.losses <= TEXT_END)
        return int(low[0]) if len(low) else None


def recipe_config(seed: int, epochs: int) -> TrainConfig:
    """What `edge-cnn train --data spiral --epochs EPOCHS --seed SEED` asks for."""
    recipe = DATASETS["spiral"].recipe
    return TrainConfig(
        architecture=recipe.architecture,
        optimizer=recipe.optimizer,
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        epochs=epochs,
        batch_size=recipe.batch_size,
        patience=recipe.patience,
        augmentation=None,
        objective=recipe.objective,
        seed=seed,
    )


def ours(train_part: LabelledImages, test: LabelledImages, seed: int, epochs: int) -> Run:
    """The data set's recipe."""
    result = train(recipe_config(seed, epochs), train_part, watched=test)
    kept = result.history[result.best_epoch]
    losses = np.array([record.test_loss for record in result.history], np.float64)
    return Run(losses, float(losses[kept.epoch]), int(kept.test_wrong or 0), kept.epoch)


def plain(train_part: LabelledImages, test: LabelledImages, seed: int, epochs: int) -> Run:
    """What users of Keras write; its `fit` in one graph an epoch, which saves minutes and changes nothing else."""
    tf, keras = import_tensorflow()
    keras.utils.set_random_seed(seed)
    hidden = [keras.layers.Dense(PLAIN_WIDTH, activation="tanh") for _ in range(2)]
    network = keras.Sequential([keras.Input((2,)), *hidden, keras.layers.Dense(1, activation="tanh")])
    optimizer = keras.optimizers.Adam(PLAIN_RATE)
    optimizer.build(network.trainable_variables)
    inputs, targets = (tf.constant(a) for a in _as_table(train_part))

    def step(rows: Any) -> None:
        with tf.GradientTape() as tape:
            output = network(tf.gather(inputs, rows), training=True)[:, 0]
            loss = tf.reduce_mean((output - tf.gather(targets, rows)) ** 2)
        optimizer.apply(tape.gradient(loss, network.trainable_variables), network.trainable_variables)

    @tf.function(autograph=False, input_signature=[tf.TensorSpec((None, PLAIN_BATCH), tf.int32)])
    def epoch(order: Any) -> None:
        def body(number: Any) -> Any:
            step(tf.gather(order, number))
            return number + 1

        tf.while_loop(lambda number: number < tf.shape(order)[0], body, [tf.constant(0)])

    points, truth = _as_table(test)
    measure = tf.function(lambda: network(tf.constant(points))[:, 0], autograph=False)

    def measured() -> tuple[float, int]:
        output = measure().numpy().astype(np.float64)
        return float(np.mean(0.5 * (output - truth) ** 2)), int(np.sum((output > 0) != (truth > 0)))

    rng = np.random.default_rng(seed)
    course = [measured()]
    for _ in range(epochs):
        epoch(rng.permutation(len(train_part)).reshape(-1, PLAIN_BATCH).astype(np.int32))
        course.append(measured())
    return Run(np.array([loss for loss, _ in course]), *course[-1], epochs)


def _as_table(samples: LabelledImages) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    # Divided by 6, as ours are, this network does not leave the loss of a straight line for hundreds of epochs.
    return samples.images.reshape(-1, 2) * np.float32(DOMAIN), (2 * samples.labels - 1).astype(np.float32)


def write_table(rows: Sequence[Sequence[str]]) -> None:
    """Markdown on stdout, the first row above the line."""
    for number, cells in enumerate(rows):
        sys.stdout.write("| " + " | ".join(cells) + " |\n" + ("|" + "---|" * len(cells) + "\n" if number == 0 else ""))
    sys.stdout.write("\n")


def seed_table(seeds: Sequence[int], short: Sequence[Run], long: Sequence[Run], keras: Sequence[Run]) -> None:
    """A line a seed, then the medians and the worst."""

    def left(run: Run) -> str:
        return f"{run.loss:.4f}, {run.wrong}"

    def first(run: Run) -> str:
        return "never" if run.reached is None else str(run.reached)

    columns = (short, long, keras)
    rows = [
        [str(seed), f"{s.losses[0]:.3f}", first(s), left(s), first(n), left(n), f"{k.losses[0]:.3f}", first(k), left(k)]
        for seed, s, n, k in zip(seeds, *columns, strict=True)
    ]
    for name, pick in (("median", np.median), ("worst", np.max)):
        cells = [name]
        for runs in columns:
            start = [] if runs is long else [f"{pick([run.losses[0] for run in runs]):.3f}"]
            epochs = [len(run.losses) if run.reached is None else run.reached for run in runs]
            loss, wrong = pick([run.loss for run in runs]), pick([run.wrong for run in runs])
            cells += [*start, f"{pick(epochs):g}", f"{loss:.4f}, {wrong:g}"]
        rows.append(cells)
    header = [
        "seed",
        "start",
        f"at most {TEXT_END} after epoch",
        f"left of {SHORT} epochs: loss, wrong",
        f"at most {TEXT_END} after epoch",
        f"left of {LONG:,} epochs: loss, wrong",
        "plain: start",
        f"plain: at most {TEXT_END} after epoch",
        f"plain: after {LONG:,} epochs: loss, wrong",
    ]
    write_table([header, *rows])


def split_table(splits: Sequence[int]) -> None:
    """The recipe, seed 0, on other shuffles of the 500 points into two halves."""
    rows = [["epochs", "splits", "worst first epoch", "median loss", "worst loss", "median wrong", "worst wrong"]]
    for epochs in (SHORT, LONG):
        runs: list[Run] = []
        for split in splits:
            points = make_points(seed=split)
            half = np.arange(len(points) // 2)
            runs.append(ours(points.select(half), points.select(half + len(half)), 0, epochs))
        reached = [epochs + 1 if run.reached is None else run.reached for run in runs]
        losses, wrong = [run.loss for run in runs], [run.wrong for run in runs]
        figures = [f"{np.median(losses):.4f}", f"{max(losses):.4f}", f"{np.median(wrong):g}", str(max(wrong))]
        rows.append([f"{epochs:,}", str(len(splits)), str(max(reached)), *figures])
    write_table(rows)


def draw(path: Path, short: Sequence[Run], long: Sequence[Run], keras: Sequence[Run]) -> None:
    """Test loss by epoch: the median of the seeds and all of them behind it, beside what the text tells."""
    from edge_cnn.host.charts import FIRST, INK, SECOND, SOFT, drawing

    with drawing(7.2, 4.2) as figure:
        axes = figure.subplots()
        for name, runs, colour in (
            (f"plain Keras network, {LONG:,} epochs", keras, SECOND),
            (f"--data spiral, {LONG:,} epochs", long, FIRST),
            (f"--data spiral, {SHORT} epochs", short, "#2f9e6e"),
        ):
            losses = np.stack([run.losses for run in runs])
            epochs = np.arange(losses.shape[1])
            axes.fill_between(epochs, losses.min(axis=0), losses.max(axis=0), color=colour, alpha=0.15, linewidth=0)
            axes.plot(epochs, np.median(losses, axis=0), color=colour, label=f"{name}: median of {len(runs)} seeds")
        axes.plot(
            [0, TEXT_EPOCHS], [TEXT_START, TEXT_END], "o", color=INK, label="the text's run in the Playground", zorder=5
        )
        for epoch, loss in ((0, TEXT_START), (TEXT_EPOCHS, TEXT_END)):
            axes.annotate(f"{loss}", (epoch, loss), (6, 6), textcoords="offset points", color=INK)
        axes.axhline(TEXT_END, color=SOFT, linewidth=0.8, linestyle=":")
        axes.set_xscale("symlog", linthresh=10)
        axes.set_xlim(-0.5, 2600)
        ticks = [0, 5, 10, 20, 50, 100, 200, 500, 1531]
        axes.set_xticks(ticks, [f"{tick:,}" for tick in ticks])
        axes.set_yscale("log")
        levels = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1]
        axes.set_yticks(levels, [f"{level:g}" for level in levels])
        axes.minorticks_off()
        axes.set_xlabel("epoch")
        axes.set_title("mean of ½ (output - target)² on 250 test points; pale: from the lowest to the highest seed")
        axes.legend(loc="lower left")
        figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10, help="how many, from 0; 0: none (%(default)s)")
    parser.add_argument("--splits", type=int, default=10, help="how many other shuffles; 0: none (%(default)s)")
    parser.add_argument("--picture", type=Path, metavar="FILE.png", help="draw the curves")
    options = parser.parse_args()
    spiral = load_dataset("spiral")
    seeds = range(options.seeds)
    runs: dict[str, list[Run]] = {"short": [], "long": [], "keras": []}
    begun = time.monotonic()
    for seed in seeds:
        runs["short"].append(ours(spiral.train, spiral.test, seed, SHORT))
        runs["long"].append(ours(spiral.train, spiral.test, seed, LONG))
        runs["keras"].append(plain(spiral.train, spiral.test, seed, LONG))
        told = ", ".join(f"{runs[n][-1].reached} {runs[n][-1].loss:.4f} {runs[n][-1].wrong}" for n in runs)
        sys.stderr.write(f"seed {seed}: {told}; {time.monotonic() - begun:.0f} s\n")
    if options.seeds:
        seed_table(seeds, runs["short"], runs["long"], runs["keras"])
    if options.seeds and options.picture:
        draw(options.picture, runs["short"], runs["long"], runs["keras"])
    if options.splits:
        split_table(range(FIRST_SPLIT, FIRST_SPLIT + options.splits))


if __name__ == "__main__":
    main()
