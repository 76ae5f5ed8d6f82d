"""`edge-cnn train`: train a CNN with full back-propagation on the host."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_cnn.cli.budget_options import take_limits
from edge_cnn.cli.console import PATH, Console, Progress, common_options, table
from edge_cnn.cli.output_path import check_folder, check_outside
from edge_cnn.cli.train_checkpoint import find_checkpoint, note_interrupted, settle, start_checkpoints
from edge_cnn.cli.train_options import make_config, train_options
from edge_cnn.cli.train_reconstruction import finish_reconstruction
from edge_cnn.cli.train_restarts import note_restarts, restarts_table
from edge_cnn.cli.train_start import initial_model, make_start, read_pretrained, with_origin
from edge_cnn.core.errors import InputError

if TYPE_CHECKING:
    from edge_cnn.host.evaluation import Evaluation
    from edge_cnn.host.restarts.restarts import Restarts
    from edge_cnn.host.training import EpochRecord, StepProgress, TrainConfig, TrainResult, View


@click.command()
@click.option("--data", required=True, help="A data set of 'edge-cnn data', a folder of images by class, or an .npz.")
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Folder for model.keras, report.html and more.")
@train_options
@common_options
def command(
    console: Console,
    data: str,
    out: Path,
    resume: bool,
    checkpoint_every: float,
    tensorboard: Path | None,
    **chosen: Any,
) -> int:
    """Train a CNN on DATA with full back-propagation.

    The best weights by validation are kept; Ctrl-C ends the training and keeps the best so far, and --resume goes on.
    """
    from edge_cnn.host.data_audit import audited
    from edge_cnn.host.data_source import load_data
    from edge_cnn.host.datasets import DATASETS, recipe_of
    from edge_cnn.host.evaluation import evaluate
    from edge_cnn.host.restarts.best_line import with_line
    from edge_cnn.host.restarts.restarts import check_restarts, train_restarts
    from edge_cnn.host.restarts.symmetry import UnitWatch, symmetry_of
    from edge_cnn.host.training import predict_scores, train
    from edge_cnn.host.training.files import write_training
    from edge_cnn.host.training.objectives import find_objective
    from edge_cnn.host.training.tensorboard import TensorBoardLogs

    if data not in DATASETS:
        check_outside(out, Path(data))
    check_folder(out)
    if tensorboard is not None:
        check_folder(tensorboard, "--tensorboard")
    count = chosen.pop("restarts")
    check_limits = take_limits(chosen)
    image_size = chosen["image_size"]
    found = find_checkpoint(out, resume, console)
    pretrained = read_pretrained(chosen)
    image_shape = image_size if pretrained is None else pretrained.preprocessing.image_shape
    dataset = load_data(data, image_shape, on_skip=lambda _path, reason: console.note(f"skipped: {reason}"))
    recipe = recipe_of(dataset)
    start = make_start(pretrained, dataset.train.class_names, chosen)
    config = with_origin(make_config(chosen, recipe, console.seed), start, console)
    check_restarts(config, count)
    dataset = audited(dataset, config)
    for remark in dataset.remarks:
        console.note(f"data: {remark.text}")
    console.note(
        f"{config.architecture} on {dataset.name}: {len(dataset.train)} samples to train on, "
        f"{len(dataset.test)} to test, {len(dataset.train.class_names)} classes"
    )
    budget = check_limits(config.architecture, dataset.train, initial_model(start, config))
    if budget is not None:
        console.note(budget.describe())
    several = count > 1 or config.initialization != "random"
    if several and resume:
        raise InputError("--resume goes on with one training, and these options train several; leave --resume out")
    config = settle(config, dataset.train, found, pretrained, start, console)
    checkpoints = start_checkpoints(out, config, dataset.train, found, checkpoint_every, console)
    state = None if found is None else found.state
    fixed = config.initialization != "random"
    with console.progress("training", (count + fixed) * config.epochs) as update, checkpoints:
        live = _Live(update, config.epochs, count)
        logs = TensorBoardLogs(tensorboard, several, 0 if state is None else state.epoch)

        def run(asked: TrainConfig, watch: UnitWatch | None = None) -> TrainResult:
            with logs.one() as log:

                def on_view(view: View) -> None:
                    if watch is not None:
                        watch.on_view(view)
                    if log is not None:
                        log.on_view(view)

                return train(
                    asked,
                    dataset.train,
                    preprocessing=None if pretrained is None else pretrained.preprocessing,
                    watched=dataset.test if recipe.watch_test else None,
                    initial=initial_model(start, asked),
                    state=state,
                    on_epoch=live.on_epoch,
                    on_step=live.on_step,
                    on_view=on_view,
                    on_pause=None if several else checkpoints.on_pause,
                )

        units = UnitWatch() if fixed else None
        restarts = train_restarts(lambda asked: run(asked, units), config, count, live.on_restart)
        result = restarts.result
        if result.interrupted:
            note_interrupted(console, out)
        if result.interrupted and result.best_epoch == 0:
            raise KeyboardInterrupt  # nothing worth keeping yet
        live.on_random_beside()
        symmetry = None if units is None else symmetry_of(result, units, run)
    _note_ending(console, result)
    note_restarts(console, restarts)
    more: dict[str, Any] = {"remarks": [remark.to_json() for remark in dataset.remarks]}
    if budget is not None:
        more["budget"] = budget.to_json()
    restarts = with_line(restarts, dataset.train)
    if find_objective(config.objective).classifies:
        evaluation = evaluate(predict_scores(result.model, dataset.test, result.preprocessing), dataset.test)
        write_training(out, result, dataset, evaluation, restarts, symmetry)
        document = _document(restarts, evaluation, out) | more
        console.result(document, restarts_table(restarts) + _summary(result, evaluation, out))
    else:
        finish_reconstruction(console, restarts, symmetry, dataset, out, more)
    if not result.interrupted:
        checkpoints.remove()
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
        assert result.divergence is not None, "it says why"
        console.note(
            f"training diverged {result.divergence.told()}; the weights of epoch {result.best_epoch} are kept; "
            f"to go further, {result.divergence.advice}"
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
        "test_loss": best.test_loss,
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
    loss = "" if best.test_loss is None else f"loss {best.test_loss:.4f}, "
    rows = [
        ["validation", f"{best.val_accuracy:.2%}", f"loss {best.val_loss:.4f}, epoch {result.best_epoch}"],
        ["test", f"{evaluation.accuracy:.2%}", f"{loss}{wrong} of {len(evaluation.labels)} wrong"],
    ]
    return f"{table(['part', 'accuracy', ''], rows)}\nwrote {out / 'model.keras'}, {out / 'report.html'}"
