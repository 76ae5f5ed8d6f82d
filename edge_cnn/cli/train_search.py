"""`--search` and `--study`: how `edge-cnn train` looks for its settings first."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from edge_cnn.cli.console import PATH, Console
from edge_cnn.cli.output_path import check_file
from edge_cnn.core.errors import InputError

if TYPE_CHECKING:
    from edge_cnn.core.labelled_images import LabelledImages
    from edge_cnn.host.search.records import SearchResult, Trial
    from edge_cnn.host.training import EpochRecord, TrainConfig

OPTIONS = (
    click.option(
        "--search", type=int, metavar="N", help="Try N settings first, and train with the best; what is given stays."
    ),
    click.option(
        "--study", type=PATH, metavar="FILE", help="Where trials are kept, to go on or to share; default DIR/study.db."
    ),
)

STUDY = "study.db"


def take_search(chosen: dict[str, Any], several_workers: bool) -> tuple[int, Path | None] | None:
    """Take the options of a search out of `chosen`; None where none is wanted.

    Raises:
        InputError: options that do not go together.
    """
    trials: int | None = chosen.pop("search")
    study: Path | None = chosen.pop("study")
    if trials is None:
        if study is not None:
            raise InputError(f"--study {study}: it keeps the trials of a search; add --search with their number")
        return None
    if trials < 1:
        raise InputError(f"--search {trials}: it must be at least 1; try 20")
    if several_workers:
        raise InputError(
            "--search does not go with several workers; start it several times with the same --study, "
            "which shares the trials"
        )
    return trials, study


def find_settings(
    wanted: tuple[int, Path | None], out: Path, config: TrainConfig, samples: LabelledImages, console: Console
) -> SearchResult:
    """Run the search, and say what it came to.

    Args:
        wanted: number of trials; file of the study, None for the usual one.
        out: folder of the training.
        config: where the search begins.
        samples: the training part.
        console: how the command talks.

    Raises:
        InputError, UnavailableError, CheckFailedError, KeyboardInterrupt: as `search`.
    """
    from edge_cnn.host.search.search import search
    from edge_cnn.host.search.study import import_optuna

    trials, study = wanted
    import_optuna()
    if study is None:
        study = out / STUDY
        study.parent.mkdir(parents=True, exist_ok=True)
    check_file(study, option="--study")
    context = click.get_current_context()
    given = {name for name in context.params if context.get_parameter_source(name) == ParameterSource.COMMANDLINE}
    lowest = float("inf")
    with console.progress("search", trials) as update:

        def on_epoch(number: int, done: int, record: EpochRecord) -> None:
            best = "" if lowest == float("inf") else f"; best so far {lowest:.4f}"
            update(done, f"trial {number}, epoch {record.epoch}: validation {record.val_loss:.4f}{best}")

        def on_trial(trial: Trial, done: int) -> None:
            nonlocal lowest
            if trial.state == "complete" and trial.val_loss is not None:
                lowest = min(lowest, trial.val_loss)
            update(done, f"trial {trial.number} {trial.state}; best so far {lowest:.4f}")

        try:
            found = search(config, samples, trials, study, given=given, on_trial=on_trial, on_epoch=on_epoch)
        except KeyboardInterrupt:
            console.note(f"the trials so far are in {study}; the same command goes on")
            raise
    values = ", ".join(
        f"{name} {value:.3g}" if isinstance(value, float) else f"{name} {value}"
        for name, value in found.best_trial.values.items()
    )
    which = "the training without a search, is the best" if found.best_trial.baseline else "the best"
    console.note(f"trial {found.best}, {which} of {len(found.trials)}: {values}; it is trained whole now")
    return found


def found_document(found: SearchResult | None) -> dict[str, Any]:
    """What `--json` tells of a search."""
    if found is None:
        return {}
    return {
        "search": {
            "trials": len(found.trials),
            "best": found.best,
            "val_loss": found.best_trial.val_loss,
            "parameters": found.best_trial.values,
        }
    }
