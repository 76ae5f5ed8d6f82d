"""`edge-cnn train`: train a CNN with full back-propagation on the host."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_cnn.cli.budget_options import take_limits
from edge_cnn.cli.console import PATH, Console, Progress, common_options, table
from edge_cnn.cli.output_path import check_folder
from edge_cnn.cli.train_options import make_config, train_options
from edge_cnn.cli.train_reconstruction import finish_reconstruction
from edge_cnn.cli.train_restarts import note_restarts, restarts_table
from edge_cnn.cli.train_start import initial_model, make_start, read_pretrained, with_origin

if TYPE_CHECKING:
    from edge_cnn.host.evaluation import Evaluation
    from edge_cnn.host.restarts.restarts import Restarts
    from edge_cnn.host.training import EpochRecord, StepProgress, TrainConfig, TrainResult


@click.command()
@click.option("--data", required=True, help="A data set of 'edge-cnn data', a folder of images by class, or an .npz.")
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Folder for model.keras, report.html and more.")
@train_options
@common_options
def command(console: Console, data: str, out: Path, **chosen: Any) -> int:
    """Train a CNN on DATA with full back-propagation.

    The best weights by validation are kept; Ctrl-C ends the training and keeps the best so far.
    """
    from edge_cnn.host.data_source import load_data
    from edge_cnn.host.datasets import recipe_of
    from edge_cnn.host.evaluation import evaluate
    from edge_cnn.host.restarts.best_line import with_line
    from edge_cnn.host.restarts.restarts import check_restarts, train_restarts
    from edge_cnn.host.restarts.symmetry import UnitWatch, symmetry_of
    from edge_cnn.host.training import predict_scores, train
    from edge_cnn.host.training.files import write_training
    from edge_cnn.host.training.objectives import find_objective

    check_folder(out)
    count = chosen.pop("restarts")
    check_limits = take_limits(chosen)
    pretrained = read_pretrained(chosen)
    image_shape = None if pretrained is None else pretrained.preprocessing.image_shape
    dataset = load_data(data, image_shape, on_skip=lambda _path, reason: console.note(f"skipped: {reason}"))
    recipe = recipe_of(dataset)
    start = make_start(pretrained, dataset.train.class_names, chosen)
    config = with_origin(make_config(chosen, recipe, console.seed), start, console)
    check_restarts(config, count)
    console.note(
        f"{config.architecture} on {dataset.name}: {len(dataset.train)} samples to train on, "
        f"{len(dataset.test)} to test, {len(dataset.train.class_names)} classes"
    )
    budget = check_limits(config.architecture, dataset.train, initial_model(start, config))
    if budget is not None:
        console.note(budget.describe())
    fixed = config.initialization != "random"
    with console.progress("training", (count + fixed) * config.epochs) as update:
        live = _Live(update, config.epochs, count)

        def run(asked: TrainConfig, watch: UnitWatch | None = None) -> TrainResult:
            return train(
                asked,
                dataset.train,
                preprocessing=None if pretrained is None else pretrained.preprocessing,
                watched=dataset.test if recipe.watch_test else None,
                initial=initial_model(start, asked),
                on_epoch=live.on_epoch,
                on_step=live.on_step,
                on_view=None if watch is None else watch.on_view,
            )

        units = UnitWatch() if fixed else None
        restarts = train_restarts(lambda asked: run(asked, units), config, count, live.on_restart)
        result = restarts.result
        if result.interrupted and result.best_epoch == 0:
            raise KeyboardInterrupt  # nothing worth keeping yet
        live.on_random_beside()
        symmetry = None if units is None else symmetry_of(result, units, run)
    _note_ending(console, result)
    note_restarts(console, restarts)
    restarts = with_line(restarts, dataset.train)
    costs = {} if budget is None else {"budget": budget.to_json()}
    if not find_objective(config.objective).classifies:
        return finish_reconstruction(console, restarts, symmetry, dataset, out, costs)
    evaluation = evaluate(predict_scores(result.model, dataset.test, result.preprocessing), dataset.test)
    write_training(out, result, dataset, evaluation, restarts, symmetry)
    text = restarts_table(restarts) + _summary(result, evaluation, out)
    console.result(_document(restarts, evaluation, out) | costs, text)
    return 0


class _Live:
    """Loss and accuracy beside the progress bar."""

    def __init__(self, update: Progress, epochs: int, restarts: int) -> None:
        self._update, self._epochs, self._restarts = update, epochs, restarts
        self._validation = self._which = ""
        self._before = 0

    def on_restart(self, number: int) -> None:
        self._before, self._validation = number * self._epochs, ""
        self._which = f"restart {number + 1} of {self._restarts}, " if self._restarts > 1 else ""

    def on_random_beside(self) -> None:
        self._before, self._validation, self._which = self._epochs, "", "from random weights, "

    def on_epoch(self, epoch: EpochRecord) -> None:
        self._validation = f"; validation {epoch.val_loss:.4f}{_share(', ', epoch.val_accuracy)}"
        self._say(epoch.epoch, epoch.loss, epoch.accuracy)

    def on_step(self, step: StepProgress) -> None:
        self._say(step.epoch - 1, step.loss, step.accuracy)

    def _say(self, epochs: int, loss: float, accuracy: float) -> None:
        seen = f"{self._which}loss {loss:.4f}{_share(', accuracy ', accuracy)}{self._validation}"
        self._update(self._before + epochs, seen)


def _share(before: str, accuracy: float) -> str:
    """Nothing where there are no right answers."""
    return f"{before}{accuracy:.1%}" if math.isfinite(accuracy) else ""


def _note_ending(console: Console, result: TrainResult) -> None:
    last = len(result.history) - 1
    if result.interrupted:
        console.note(f"interrupted after epoch {last}; the best weights so far, of epoch {result.best_epoch}, are kept")
    elif result.diverged:
        console.note(
            f"the loss was not finite in epoch {last + 1}; the weights of epoch {result.best_epoch} are kept, "
            f"a smaller --learning-rate than {result.config.peak_rate:g} may help"
        )
    elif last < result.config.epochs:
        console.note(f"stopped after epoch {last}, as the validation loss fell no further")


def _document(restarts: Restarts, evaluation: Evaluation, out: Path) -> dict[str, Any]:
    result = restarts.result
    several = {"restarts": restarts.to_json()} if restarts.asked > 1 else {}
    best = result.history[result.best_epoch]
    return {
        "out": str(out),
        "architecture": result.config.architecture,
        "parameters": result.model.count_params(),
        "test_accuracy": evaluation.accuracy,
        "val_accuracy": best.val_accuracy,
        "val_loss": best.val_loss,
        "epochs": len(result.history) - 1,
        "best_epoch": result.best_epoch,
        "interrupted": restarts.interrupted,
        "diverged": result.diverged,
        "seed": result.config.seed,
        **several,
    }


def _summary(result: TrainResult, evaluation: Evaluation, out: Path) -> str:
    best = result.history[result.best_epoch]
    wrong = int((evaluation.answers != evaluation.labels).sum())
    rows = [
        ["validation", f"{best.val_accuracy:.2%}", f"loss {best.val_loss:.4f}, epoch {result.best_epoch}"],
        ["test", f"{evaluation.accuracy:.2%}", f"{wrong} of {len(evaluation.labels)} wrong"],
    ]
    return f"{table(['part', 'accuracy', ''], rows)}\nwrote {out / 'model.keras'}, {out / 'report.html'}"
