"""The folder that a training leaves: model, history, report, and what the model was made of."""

from __future__ import annotations

import contextlib
import json
import platform
from pathlib import Path
from typing import Any

import numpy as np

from edge_cnn import __version__
from edge_cnn.core.atomic_file import replacing, write_atomically
from edge_cnn.core.errors import InputError
from edge_cnn.host.architectures.architecture import RECONSTRUCTION
from edge_cnn.host.datasets import Dataset
from edge_cnn.host.diagnosis import diagnose, trajectory_of
from edge_cnn.host.evaluation import Evaluation
from edge_cnn.host.reconstruction import Reconstruction
from edge_cnn.host.restarts.restarts import Restarts
from edge_cnn.host.restarts.symmetry import Symmetry
from edge_cnn.host.search.records import SearchResult
from edge_cnn.host.tensorflow_import import import_tensorflow
from edge_cnn.host.training.records import TrainResult
from edge_cnn.host.training_report.data_remarks import remarks_about
from edge_cnn.host.training_report.page import training_report
from edge_cnn.host.training_report.rebuilt import reconstruction_report
from edge_cnn.host.training_report.section import Story

MODEL, HISTORY, REPORT, TRAINING = "model.keras", "history.json", "report.html", "training.json"
SEARCH = "search.json"


def training_record(
    result: TrainResult,
    dataset: Dataset,
    evaluation: Evaluation | None,
    restarts: Restarts | None = None,
    symmetry: Symmetry | None = None,
) -> dict[str, Any]:
    """The content of `training.json`: what `export` and a reader need to know of the model beside it.

    `evaluation` is None where there are no right and wrong answers.
    """
    return {
        "labels": list(result.labels),
        "preprocessing": result.preprocessing.to_json(),
        "architecture": result.config.architecture,
        "data": {
            # Where a file lies on this machine is nobody's business.
            "name": Path(dataset.name).name,
            "fingerprint": dataset.train.fingerprint(),
            "source": dataset.source,
            "licence": dataset.licence,
            "remarks": [remark.to_json() for remark in dataset.remarks],
        },
        "seed": result.config.seed,
        "config": result.config.to_json(),
        "diagnosis": [finding.to_json() for finding in diagnose(trajectory_of(result, dataset.train))],
        "range_test": result.range_test.to_json() if result.range_test else None,
        "best_epoch": result.best_epoch,
        "interrupted": result.interrupted,
        "test_accuracy": None if evaluation is None else evaluation.accuracy,
        **_starts(restarts, symmetry),
        "versions": versions(),
    }


def versions() -> dict[str, str]:
    """Of what computes, by name."""
    tf, keras = import_tensorflow()
    return {
        "edge_cnn": __version__,
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
    }


def write_training(folder: Path, story: Story) -> None:
    """Write all four files into `folder`, which is made if need be; they appear when all are whole.

    Raises:
        InputError: the folder cannot be made or written to.
        UnavailableError: matplotlib or Jinja2 is not installed.
    """
    _write(folder, story.result, story.record, training_report(story))


def write_reconstruction(
    folder: Path,
    result: TrainResult,
    dataset: Dataset,
    rebuilt: Reconstruction,
    restarts: Restarts | None = None,
    symmetry: Symmetry | None = None,
    more: dict[str, Any] | None = None,
) -> None:
    """The same for a network that gives its input back, with `more` in `training.json`.

    Raises:
        InputError, UnavailableError: as `write_training`.
    """
    record = training_record(result, dataset, None, restarts, symmetry)
    record |= {"task": RECONSTRUCTION, "test_loss": rebuilt.loss} | (more or {})
    _write(folder, result, record, reconstruction_report(result, rebuilt, record, remarks_about(dataset)))


def write_search(folder: Path, search: SearchResult) -> None:
    """Write all trials of a search.

    Raises:
        InputError: the folder cannot be written to.
    """
    write_atomically(folder / SEARCH, _json(search.to_json()).encode())


def _write(folder: Path, result: TrainResult, record: dict[str, Any], report: str) -> None:
    history = [epoch.to_json() for epoch in result.history]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot make folder {folder}: {error.strerror}; give another --out") from error
    with contextlib.ExitStack() as stack:
        model, *texts = (stack.enter_context(replacing(folder / n)) for n in (MODEL, HISTORY, REPORT, TRAINING))
        result.model.save(model)
        for path, text in zip(texts, (_json(history), report, _json(record)), strict=True):
            # Names of files may hold bytes that are no characters.
            path.write_text(text, encoding="utf-8", errors="backslashreplace")


def _starts(restarts: Restarts | None, symmetry: Symmetry | None) -> dict[str, Any]:
    several: dict[str, Any] = {}
    if restarts is not None and restarts.asked > 1:
        several["restarts"] = restarts.to_json()
        several["barrier"] = None if restarts.line is None else restarts.line.barrier
    return several | ({} if symmetry is None else {"units": symmetry.to_json()})


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
