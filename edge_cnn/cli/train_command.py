"""`edge-cnn train`: train a CNN with full back-propagation on the host."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_cnn.cli.console import PATH, Console, Progress, common_options, table
from edge_cnn.cli.output_path import check_folder
from edge_cnn.cli.train_options import make_config, train_options
from edge_cnn.cli.train_workers import joined, supervise_workers, take_crew

if TYPE_CHECKING:
    from edge_cnn.host.evaluation import Evaluation
    from edge_cnn.host.training import EpochRecord, StepProgress, TrainResult


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
    from edge_cnn.host.training import predict_scores, train
    from edge_cnn.host.training.files import write_training

    crew = take_crew(chosen)
    console = console if crew is None else crew.quieted(console)
    check_folder(out)
    dataset = load_data(data, on_skip=lambda _path, reason: console.note(f"skipped: {reason}"))
    recipe = recipe_of(dataset)
    config = make_config(chosen, recipe, console.seed)
    if crew is not None and crew.supervises:
        return supervise_workers(crew, console, config, click.get_current_context().obj)
    console.note(
        f"{config.architecture} on {dataset.name}: {len(dataset.train)} samples to train on, "
        f"{len(dataset.test)} to test, {len(dataset.train.class_names)} classes"
    )
    with contextlib.nullcontext() if crew is None else joined(crew, config, dataset, out) as member:
        team = None if member is None else member.team
        with console.progress("training", config.epochs) as update:
            live = _Live(update)
            result = train(
                config,
                dataset.train,
                watched=dataset.test if recipe.watch_test else None,
                state=None if member is None else member.state,
                team=team,
                on_epoch=live.on_epoch,
                on_step=live.on_step,
                on_pause=None if member is None else member.on_pause,
            )
        if result.interrupted and result.best_epoch == 0:
            raise KeyboardInterrupt  # nothing worth keeping yet
        _note_ending(console, result)
        if team is None or team.is_chief:
            evaluation = evaluate(predict_scores(result.model, dataset.test, result.preprocessing), dataset.test)
            write_training(out, result, dataset, evaluation)
            console.result(_document(result, evaluation, out), _summary(result, evaluation, out))
    return 0


class _Live:
    """Loss and accuracy beside the progress bar."""

    def __init__(self, update: Progress) -> None:
        self._update = update
        self._validation = ""

    def on_epoch(self, epoch: EpochRecord) -> None:
        self._validation = f"; validation {epoch.val_loss:.4f}, {epoch.val_accuracy:.1%}"
        self._update(epoch.epoch, f"loss {epoch.loss:.4f}, accuracy {epoch.accuracy:.1%}{self._validation}")

    def on_step(self, step: StepProgress) -> None:
        self._update(step.epoch - 1, f"loss {step.loss:.4f}, accuracy {step.accuracy:.1%}{self._validation}")


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


def _document(result: TrainResult, evaluation: Evaluation, out: Path) -> dict[str, Any]:
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
        "interrupted": result.interrupted,
        "diverged": result.diverged,
        "seed": result.config.seed,
    }


def _summary(result: TrainResult, evaluation: Evaluation, out: Path) -> str:
    best = result.history[result.best_epoch]
    wrong = int((evaluation.answers != evaluation.labels).sum())
    rows = [
        ["validation", f"{best.val_accuracy:.2%}", f"loss {best.val_loss:.4f}, epoch {result.best_epoch}"],
        ["test", f"{evaluation.accuracy:.2%}", f"{wrong} of {len(evaluation.labels)} wrong"],
    ]
    return f"{table(['part', 'accuracy', ''], rows)}\nwrote {out / 'model.keras'}, {out / 'report.html'}"
