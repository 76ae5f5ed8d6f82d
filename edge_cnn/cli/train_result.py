"""What `edge-cnn train` leaves and says when a classifier is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_cnn.cli.console import Console, table
from edge_cnn.cli.train_diagnosis import last_words
from edge_cnn.cli.train_reconstruction import finish_reconstruction, lasting
from edge_cnn.cli.train_restarts import restarts_table

if TYPE_CHECKING:
    from edge_cnn.cli.train_job import Trained
    from edge_cnn.host.datasets import Dataset
    from edge_cnn.host.evaluation import Evaluation
    from edge_cnn.host.restarts.restarts import Restarts
    from edge_cnn.host.search.records import SearchResult
    from edge_cnn.host.training import TrainResult


def finish(
    console: Console,
    out: Path,
    dataset: Dataset,
    trained: Trained,
    search: SearchResult | None,
    more: dict[str, Any],
) -> None:
    """Measure on the test part, write the folder, and say what came out.

    Args:
        console: of the command.
        out: folder to write.
        dataset: training and test part.
        trained: what training came to.
        search: that led to its configuration.
        more: for the JSON document, beside the figures of the training.

    Raises:
        InputError: the folder cannot be made or written to.
    """
    from edge_cnn.host.diagnosis import diagnose, passed, trajectory_of
    from edge_cnn.host.evaluation import evaluate
    from edge_cnn.host.restarts.best_line import with_line
    from edge_cnn.host.training import predict_scores
    from edge_cnn.host.training.files import training_record, write_search, write_training
    from edge_cnn.host.training.objectives import find_objective
    from edge_cnn.host.training_report.section import Story

    result = trained.restarts.result
    trajectory = trajectory_of(result, dataset.train)
    findings = diagnose(trajectory)
    more = more | {"diagnosis": [finding.to_json() for finding in findings]}
    if search is not None:
        write_search(out, search)
    restarts = with_line(trained.restarts, dataset.train)
    if not find_objective(result.config.objective).classifies:
        finish_reconstruction(console, restarts, trained.symmetry, dataset, out, more)
        return
    evaluation = evaluate(predict_scores(result.model, dataset.test, result.preprocessing), dataset.test)
    record = training_record(result, dataset, evaluation, restarts, trained.symmetry) | lasting(more)
    story = Story(result, evaluation, dataset, record, restarts, trained.symmetry, trained.frames, search)
    write_training(out, story)
    text = f"{restarts_table(restarts)}{_summary(result, evaluation, out)}\n{last_words(findings, passed(trajectory))}"
    console.result(_document(restarts, evaluation, out) | more, text)


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
        "learning_rate": result.config.peak_rate,
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
