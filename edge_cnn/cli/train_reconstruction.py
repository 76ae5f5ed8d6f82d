"""The end of `edge-cnn train` for a network that gives its input back, and has no right or wrong answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_cnn.cli.console import Console, table
from edge_cnn.cli.train_restarts import restarts_table

if TYPE_CHECKING:
    from edge_cnn.host.datasets import Dataset
    from edge_cnn.host.restarts.restarts import Restarts
    from edge_cnn.host.restarts.symmetry import Symmetry


def finish_reconstruction(
    console: Console,
    restarts: Restarts,
    symmetry: Symmetry | None,
    dataset: Dataset,
    out: Path,
    more: dict[str, Any],
) -> int:
    """Measure on the test part, write the folder, and say what came out.

    Args:
        console: of the command.
        restarts: the training, or several with the best of them.
        symmetry: what became of a start that was not random, if it was none.
        dataset: training and test part.
        out: folder to write.
        more: for the JSON document, beside the figures of the training.

    Raises:
        InputError: the folder cannot be made or written to.
    """
    from edge_cnn.host.reconstruction import reconstruct
    from edge_cnn.host.training.files import write_reconstruction

    result = restarts.result
    rebuilt = reconstruct(result.model, dataset.test, result.preprocessing)
    write_reconstruction(out, result, dataset, rebuilt, restarts, symmetry, lasting(more))
    best = result.history[result.best_epoch]
    document = {
        "out": str(out),
        "architecture": result.config.architecture,
        "parameters": result.model.count_params(),
        "test_loss": rebuilt.loss,
        "mean_loss": rebuilt.mean_loss,
        "val_loss": best.val_loss,
        "epochs": len(result.history) - 1,
        "best_epoch": result.best_epoch,
        "interrupted": restarts.interrupted,
        "diverged": result.diverged,
        "seed": result.config.seed,
        **({"restarts": restarts.to_json()} if restarts.asked > 1 else {}),
        **more,
    }
    rows = [
        ["validation", f"{best.val_loss:.5f}", f"epoch {result.best_epoch}"],
        ["test", f"{rebuilt.loss:.5f}", f"{rebuilt.mean_loss:.5f} if only the mean came back"],
    ]
    squared = table(["part", "squared error", ""], rows)
    text = f"{restarts_table(restarts)}{squared}\nwrote {out / 'model.keras'}, {out / 'report.html'}"
    console.result(document, text)
    return 0


def lasting(more: dict[str, Any]) -> dict[str, Any]:
    """What `training.json` keeps of it, too: the limits that the network was held against."""
    return {name: more[name] for name in ("budget",) if name in more}
