"""`edge-cnn train`: train a CNN with full back-propagation on the host."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_cnn.cli.budget_options import take_limits
from edge_cnn.cli.console import PATH, Console, Progress, common_options, table
from edge_cnn.cli.output_path import check_folder
from edge_cnn.cli.train_checkpoint import find_checkpoint, note_interrupted, settle, start_checkpoints
from edge_cnn.cli.train_options import make_config, train_options
from edge_cnn.cli.train_reconstruction import finish_reconstruction
from edge_cnn.cli.train_search import find_settings, found_document, take_search
from edge_cnn.cli.train_workers import joined, pausing, supervise_workers, take_crew

if TYPE_CHECKING:
    from edge_cnn.host.evaluation import Evaluation
    from edge_cnn.host.training import EpochRecord, StepProgress, TrainResult


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
    from edge_cnn.host.data_source import load_data
    from edge_cnn.host.datasets import recipe_of
    from edge_cnn.host.evaluation import evaluate
    from edge_cnn.host.training import predict_scores, train
    from edge_cnn.host.training.files import write_search, write_training
    from edge_cnn.host.training.objectives import find_objective
    from edge_cnn.host.training.tensorboard import TensorBoardLog

    crew = take_crew(chosen)
    wanted = take_search(chosen, several_workers=crew is not None)
    console = console if crew is None else crew.quieted(console)
    check_folder(out)
    if tensorboard is not None:
        check_folder(tensorboard, "--tensorboard")
    check_limits = take_limits(chosen)
    found = find_checkpoint(out, resume, console) if crew is None or crew.supervises else None
    dataset = load_data(data, on_skip=lambda _path, reason: console.note(f"skipped: {reason}"))
    recipe = recipe_of(dataset)
    config = make_config(chosen, recipe, console.seed)
    # A worker may use TensorFlow only when it has joined, and its supervisor has checked.
    budget = check_limits(config.architecture, dataset.train, None) if crew is None or crew.supervises else None
    if crew is not None and crew.supervises:
        return supervise_workers(crew, console, config, click.get_current_context().obj)
    console.note(
        f"{config.architecture} on {dataset.name}: {len(dataset.train)} samples to train on, "
        f"{len(dataset.test)} to test, {len(dataset.train.class_names)} classes"
    )
    if budget is not None:
        console.note(budget.describe())
    settings = None if wanted is None else find_settings(wanted, out, config, dataset.train, console)
    config = config if settings is None else settings.config
    with contextlib.nullcontext() if crew is None else joined(crew, config, dataset, out, resume, console) as member:
        team, found = (None, found) if member is None else (member.team, member.found)
        leads = team is None or team.is_chief
        budget = budget if team is None else check_limits(config.architecture, dataset.train, None)
        config = settle(config, dataset.train, found, console)
        checkpoints = start_checkpoints(out, config, dataset.train, found, checkpoint_every, console)
        state = None if found is None else found.state
        with contextlib.ExitStack() as stack:
            log = None
            if tensorboard is not None and leads:
                log = stack.enter_context(TensorBoardLog(tensorboard, 0 if state is None else state.epoch))
            live = _Live(stack.enter_context(console.progress("training", config.epochs)))
            stack.enter_context(checkpoints)
            result = train(
                config,
                dataset.train,
                watched=dataset.test if recipe.watch_test else None,
                state=state,
                team=team,
                on_epoch=live.on_epoch,
                on_step=live.on_step,
                on_view=None if log is None else log.on_view,
                on_pause=checkpoints.on_pause if team is None else pausing(team, checkpoints),
            )
        if result.interrupted:
            note_interrupted(console, out)
        if result.interrupted and result.best_epoch == 0:
            raise KeyboardInterrupt  # nothing worth keeping yet
        _note_ending(console, result)
        if leads:
            costs = found_document(settings) | ({} if budget is None else {"budget": budget.to_json()})
            if settings is not None:
                out.mkdir(parents=True, exist_ok=True)
                write_search(out, settings)
            if find_objective(config.objective).classifies:
                evaluation = evaluate(predict_scores(result.model, dataset.test, result.preprocessing), dataset.test)
                write_training(out, result, dataset, evaluation, search=settings)
                console.result(_document(result, evaluation, out) | costs, _summary(result, evaluation, out))
            else:
                finish_reconstruction(console, result, dataset, out, costs)
            if not result.interrupted:
                checkpoints.remove()
    return 0


class _Live:
    """Loss and accuracy beside the progress bar."""

    def __init__(self, update: Progress) -> None:
        self._update = update
        self._validation = ""

    def on_epoch(self, epoch: EpochRecord) -> None:
        self._validation = f"; validation {epoch.val_loss:.4f}{_share(', ', epoch.val_accuracy)}"
        self._update(epoch.epoch, f"loss {epoch.loss:.4f}{_share(', accuracy ', epoch.accuracy)}{self._validation}")

    def on_step(self, step: StepProgress) -> None:
        self._update(step.epoch - 1, f"loss {step.loss:.4f}{_share(', accuracy ', step.accuracy)}{self._validation}")


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
