"""`--learning-rate auto` against a grid, and the diagnosis against what the runs came to: tables of docs/training.md.

    python tests/benchmarks/learning_rates.py spiral/mlp digits/lenet digits/resnet8 --epochs 200 8 8
    python tests/benchmarks/learning_rates.py spiral/mlp --optimizer sgd --diagnosis

The grid has 12 rates from 1e-5 to 1, evenly in the logarithm; `auto` trains once with what the range test chooses.
"test" is the loss and the share of wrong answers of the weights that the training keeps. With `--diagnosis` the 12
rates go from 1e-5 to 10, and each run's findings stand beside what it was (`truth_of`). `--samples N` takes the first N
of the training part. The status is 1 where auto is more than 0.5 point (spiral: 0.02 of the loss) behind the best of
the grid, or a diverging or crawling run was not called so, or a good one was.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import click
import numpy as np

from edge_cnn.core.errors import CheckFailedError
from edge_cnn.core.labelled_images import LabelledImages
from edge_cnn.host.datasets import load_dataset, recipe_of
from edge_cnn.host.diagnosis import diagnose, trajectory_of
from edge_cnn.host.training import TrainConfig, TrainResult, train
from edge_cnn.host.training.augmentation import find_augmentation

GRID, WIDER = np.geomspace(1e-5, 1, 12), np.geomspace(1e-5, 10, 12)
BEHIND = {"loss": 0.02, "error": 0.005}


@dataclass(frozen=True)
class Run:
    """A training of one rate.

    Attributes:
        rate: peak.
        result: None where the loss was not finite in the first epoch.
        findings: names.
    """

    rate: float
    result: TrainResult | None
    findings: tuple[str, ...]

    @property
    def loss(self) -> float:
        """Of the test part, with the weights that are kept."""
        return math.inf if self.result is None else self.result.history[self.result.best_epoch].test_loss or 0.0

    def error(self, tested: int) -> float:
        """Share of wrong answers of the test part."""
        return 1.0 if self.result is None else (self.result.history[self.result.best_epoch].test_wrong or 0) / tested

    @property
    def progress(self) -> tuple[float, ...]:
        """Loss of the test part from the untrained network on."""
        return () if self.result is None else tuple(record.test_loss or 0.0 for record in self.result.history)


def truth_of(run: Run, runs: Sequence[Run], unlearned: float) -> str:
    """What a run was, from the test part, which the diagnosis does not see, and from all runs, which it does not know.

    diverging: the loss was not finite, or a lower rate learned and it ends above the untrained network's or no
    better than a constant answer (within 2 %). At the lowest rates of a network with batch normalization the loss
    is above the untrained network's too, and falls: they crawl. crawling: it ends with less than half of the best
    run's fall, a higher rate came further, and it still fell in the last third. good: it ends with 90 % of the best
    run's fall. The rest is neither.

    Args:
        run: to judge.
        runs: all.
        unlearned: loss of a constant answer.
    """
    if run.result is None or run.result.diverged:
        return "diverging"
    start, end = run.progress[0], run.progress[-1]
    best = min(other.progress[-1] for other in runs if other.progress)
    share = (start - end) / (start - best)
    lower_learned = any(o.progress and o.rate < run.rate and o.progress[-1] < 0.8 * unlearned for o in runs)
    if lower_learned and (end > start or end > 0.98 * unlearned):
        return "diverging"
    further = any(o.progress and o.rate > run.rate and o.progress[-1] < end for o in runs)
    if share < 0.5 and further and end < run.progress[-1 - len(run.progress) // 3]:
        return "crawling"
    return "good" if share > 0.9 else "between"


def is_right(truth: str, findings: Sequence[str]) -> bool:
    """Whether a diverging or crawling run is called so, and a good one is not."""
    return (
        truth in findings
        if truth in ("diverging", "crawling")
        else truth != "good" or not ({"diverging", "crawling"} & set(findings))
    )


def run_of(config: TrainConfig, samples: LabelledImages, test: LabelledImages) -> Run:
    """Train and diagnose."""
    try:
        result = train(config, samples, watched=test)
    except CheckFailedError:
        return Run(float(config.learning_rate or 0), None, ("diverging",))
    names = tuple(finding.name for finding in diagnose(trajectory_of(result, samples)))
    return Run(result.config.peak_rate, result, names)


def parts_of(
    task: str, arguments: argparse.Namespace, epochs: int
) -> tuple[TrainConfig, LabelledImages, LabelledImages]:
    """Configuration and data of a task such as digits/lenet."""
    name, _, architecture = task.partition("/")
    dataset = load_dataset(name)
    recipe = recipe_of(dataset)
    config = TrainConfig(
        architecture,
        arguments.optimizer,
        epochs=epochs,
        batch_size=recipe.batch_size,
        patience=None,
        augmentation=find_augmentation(recipe.augmentation),
        objective=recipe.objective,
        seed=arguments.seed,
        schedule=arguments.schedule,
    )
    samples = dataset.train
    if arguments.samples and arguments.samples < len(samples):
        samples = samples.select(np.arange(arguments.samples))
    return config, samples, dataset.test


def compare(task: str, arguments: argparse.Namespace, epochs: int) -> bool:
    """Print the table of a task; whether auto is good enough."""
    config, samples, test = parts_of(task, arguments, epochs)
    click.echo(f"\n{task}, {arguments.optimizer}, {len(samples)} samples, {epochs} epochs, seed {arguments.seed}\n")
    click.echo("| rate | training loss | test loss | test wrong |\n| --- | --- | --- | --- |")
    auto, *grid = [
        _told(run_of(replace(config, learning_rate=rate), samples, test), rate, len(test))
        for rate in ("auto", *map(float, GRID))
    ]
    if task.startswith("spiral"):
        behind, bound, unit = auto.loss - min(run.loss for run in grid), BEHIND["loss"], "of the loss"
    else:
        errors = [run.error(len(test)) for run in grid]
        behind, bound, unit = auto.error(len(test)) - min(errors), BEHIND["error"], "of the share of wrong answers"
    click.echo(f"\nauto is {behind:+.4f} {unit} from the best of the grid; at most {bound:g} is asked")
    return behind <= bound


def _told(run: Run, rate: Any, tested: int) -> Run:
    name = f"auto: {run.rate:g}" if rate == "auto" else f"{rate:.2g}"
    loss = "not finite" if run.result is None else f"{run.result.history[-1].loss:.4f}"
    click.echo(f"| {name} | {loss} | {run.loss:.4f} | {run.error(tested):.2%} |")
    return run


def judge(task: str, arguments: argparse.Namespace, epochs: int) -> bool:
    """Print what each of 12 runs was and was called; whether all are right."""
    config, samples, test = parts_of(task, arguments, epochs)
    runs = [run_of(replace(config, learning_rate=float(rate)), samples, test) for rate in WIDER]
    known = next(trajectory_of(run.result, samples) for run in runs if run.result)
    click.echo(f"\n{task}, {arguments.optimizer}, {len(samples)} samples, {epochs} epochs, seed {arguments.seed}\n")
    click.echo(
        "| rate | training loss | test loss at the end | it was | it was called |\n| --- | --- | --- | --- | --- |"
    )
    right: list[bool] = []
    for run in runs:
        truth = truth_of(run, runs, known.unlearned_loss)
        right.append(is_right(truth, run.findings))
        ends = (
            f"{run.result.history[-1].loss:.4f} | {run.progress[-1]:.4f}" if run.result else "not finite | not finite"
        )
        click.echo(f"| {run.rate:.2g} | {ends} | {truth} | {', '.join(run.findings) or 'nothing'} |")
    click.echo(f"\n{sum(right)} of {len(right)} right")
    return all(right)


def main() -> int:
    """Status 0 where everything is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tasks", nargs="+", metavar="DATA/ARCH")
    parser.add_argument("--epochs", type=int, nargs="+", help="of each task; default: the recipe's of the data")
    parser.add_argument("--optimizer", default="adam")
    parser.add_argument("--schedule", default="cosine")
    parser.add_argument("--samples", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--diagnosis", action="store_true")
    arguments = parser.parse_args()
    usual = [recipe_of(load_dataset(task.partition("/")[0])).epochs for task in arguments.tasks]
    work = judge if arguments.diagnosis else compare
    done = [work(t, arguments, e) for t, e in zip(arguments.tasks, arguments.epochs or usual, strict=True)]
    return int(not all(done))


if __name__ == "__main__":
    sys.exit(main())
